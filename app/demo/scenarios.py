"""The scenarios, by name."""

from __future__ import annotations

import difflib

from gpumon.app.demo.fleet import FLEET
from gpumon.app.demo.story import Scenario
from gpumon.app.demo.troubles import GPU_LOST, RESTART, THROTTLE
from gpumon.app.demo.workstation import EVICT, FITS, SEVENTY, SPILL
from gpumon.app.errors import GpumonError

_ALL = (FITS, SPILL, EVICT, SEVENTY, FLEET, THROTTLE, GPU_LOST, RESTART)


def list_scenarios() -> tuple[Scenario, ...]:
    """Return every scenario, the simplest first; ``name`` and ``description`` are for a list."""
    return _ALL


def scenario_named(name: str) -> Scenario:
    """Return the scenario called ``name``.

    Raises:
        GpumonError: there is none; the text names the nearest ones.
    """
    by_name = {scenario.name: scenario for scenario in _ALL}
    if name in by_name:
        return by_name[name]
    near = difflib.get_close_matches(name, by_name, n=2, cutoff=0.5)
    known = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(by_name)}"
    raise GpumonError(f"no scenario {name!r}: {known}")
