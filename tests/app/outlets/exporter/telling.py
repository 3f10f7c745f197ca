"""What a monitor is told to have said, family by family."""

from __future__ import annotations

from collections.abc import Iterable

from tests.fakes.recordings import scenario_samples
from tests.scene import after

from gpumon.app.demo.story import PRELUDE_SECONDS
from gpumon.app.monitor import Monitor
from gpumon.app.outlets.exporter.collect import DECLARED, Collector
from gpumon.app.outlets.exporter.page import Page

NAMES = {one.name for _, series in DECLARED for one in series}


def played(name: str, seconds: float) -> Monitor:
    """Return what is known at a second of a demonstration."""
    return after(*scenario_samples(name, PRELUDE_SECONDS + seconds)).monitor


def page_of(monitor: Monitor) -> Page:
    return Page(Collector(monitor, "1.2.3"), lambda: monitor.state.now)


def told(monitor: Monitor) -> dict[str, list[tuple[dict[str, str], float]]]:
    """Return labels and values by the name of their series."""
    return told_by(Collector(monitor, "1.2.3"), monitor)


def told_by(collector: Collector, monitor: Monitor) -> dict[str, list[tuple[dict[str, str], float]]]:
    families = collector.families(monitor.state.now)
    return {family.name: [(one.labels, one.value) for one in family.samples] for family in families}


def values(found: Iterable[tuple[dict[str, str], float]], **labels: str) -> list[float]:
    """Return the figures under labels."""
    return [value for own, value in found if labels.items() <= own.items()]
