"""A source that does not deliver has the same grade in its line and in the verdict."""

from __future__ import annotations

import pytest
from tests.app.state.states import state_of
from tests.fakes.samples import START, nvml, ollama, ollama_down, silent

from gpumon.app.views.dashboard import source_rows
from gpumon.collectors.samples import AnySample, SourceSilent
from gpumon.widgets.kit.lines import Level

BROKEN = SourceSilent(time=START, source="plug-in toy", seconds=0.0, state="absent", detail="it fails")


@pytest.mark.parametrize(
    ("samples", "level"),
    [
        ([ollama_down(0, "not_running")], "watch"),
        ([ollama(0), ollama_down(1, "not_running")], "watch"),
        ([ollama(0), silent(5, seconds=4)], "watch"),
        ([ollama_down(0, "foreign")], "bad"),
        ([BROKEN], "watch"),
        ([nvml(0, state="absent")], "watch"),
        ([nvml(0), silent(5, "nvml", seconds=4)], "bad"),
    ],
    ids=[
        "never there",
        "stopped",
        "silent server",
        "another program",
        "broken plug-in",
        "no driver",
        "silent driver",
    ],
)
def test_the_grade_of_a_source(samples: list[AnySample], level: Level) -> None:
    [row] = source_rows(state_of(*samples))
    assert row.level == level
