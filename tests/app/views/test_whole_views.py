"""Every field of every view at moments of the demonstrations. ``GPUMON_UPDATE_GOLDEN=1`` keeps it anew."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from tests.fakes.recordings import scenario_samples
from tests.scene import after

from gpumon.app.demo.story import PRELUDE_SECONDS
from gpumon.app.insight.wording import model_id
from gpumon.app.monitor import Monitor
from gpumon.app.views.dashboard import ModelOrder, dashboard_view
from gpumon.app.views.gpus import gpu_page
from gpumon.app.views.model_page import model_page

GOLDEN = Path(__file__).parent / "golden"
MOMENTS = {"spill": 75.0, "gpu-lost": 45.0, "70b": 60.0, "evict": 40.0}
MOST_VALUES = 12
"""A longer list of numbers is told by its length and its last one: it is a curve."""


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def told(value: object) -> object:
    """Return a view as plain values: figures to four digits, curves by their length and last value."""
    match value:
        case dict():
            return {str(name): told(one) for name, one in value.items() if name != "gpu_pictures"}
        case list() | tuple():
            if len(value) > MOST_VALUES and all(one is None or isinstance(one, float | int) for one in value):
                return f"{len(value)} values, the last {told(value[-1])}"
            return [told(one) for one in value]
        case float():
            return float(f"{value:.4g}")
    return value


def views(monitor: Monitor) -> dict[str, object]:
    pages = {
        f"model {number}": model_page(model_id(key), monitor.pictures, 300.0)
        for number, key in enumerate(sorted(monitor.state.models))
    }
    pages |= {f"gpu {uuid}": gpu_page(uuid, monitor.pictures, 300.0) for uuid in sorted(monitor.state.gpus)}
    return {"dashboard": dashboard_view(monitor, ModelOrder()), **pages}


@pytest.mark.parametrize("name", MOMENTS)
def test_every_field_is_as_kept(name: str) -> None:
    monitor = after(*scenario_samples(name, PRELUDE_SECONDS + MOMENTS[name])).monitor
    plain = told(msgspec.to_builtins(views(monitor), enc_hook=repr))
    said = json.dumps(plain, indent=1, ensure_ascii=False) + "\n"
    kept = GOLDEN / f"{name}.json"
    if os.environ.get("GPUMON_UPDATE_GOLDEN"):
        kept.write_text(said, encoding="utf-8")
    assert said == kept.read_text(encoding="utf-8")
