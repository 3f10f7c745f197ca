"""A source that does not deliver has the same grade in its line and in the verdict."""

from __future__ import annotations

import pytest
from tests.fakes.samples import OLLAMA, START
from tests.scene import Machine, after

from gpumon.app.views.band import source_rows
from gpumon.collectors.samples import SourceSilent, SourceState
from gpumon.widgets.kit.lines import Level

BROKEN = SourceSilent(time=START, source="plug-in toy", seconds=0.0, state="absent", detail="it fails")


def server(*states: SourceState | None) -> Machine:
    """Return a machine whose Ollama was in these states, one after the other."""
    machine = Machine()
    one = machine.ollama()
    for at, one.state in enumerate(states):
        machine.look("servers", at=at)
    return machine


def driver(state: SourceState) -> Machine:
    machine = Machine()
    machine.gpus, machine.driver = [], state
    return machine.look("driver")


@pytest.mark.parametrize(
    ("machine", "level"),
    [
        (server("not_running"), "watch"),
        (server(None, "not_running"), "watch"),
        (server(None).is_silent(OLLAMA, seconds=4, at=5), "watch"),
        (server("foreign"), "bad"),
        (after(BROKEN), "watch"),
        (driver("absent"), "watch"),
        (driver("serving").is_silent("nvml", seconds=4, at=5), "bad"),
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
def test_the_grade_of_a_source(machine: Machine, level: Level) -> None:
    [row] = source_rows(machine.state)
    assert row.level == level
