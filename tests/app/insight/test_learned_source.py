"""A file of what was learned that cannot be used is said so, and spoils nothing else."""

from __future__ import annotations

from tests.fakes.samples import START
from tests.scene import Machine, Model, after

from gpumon.app.insight.health import health
from gpumon.app.views.band import source_rows
from gpumon.collectors.samples import Learned, SourceHealth

DAMAGED = Learned(
    time=START,
    source="learned",
    health=SourceHealth(state="nonsense", detail="/s/learned.json is damaged", hint="remove /s/learned.json"),
)


def heard(machine: Machine) -> Machine:
    machine.ollama().load(Model())
    return machine.look("driver", "servers", at=1)


def test_the_panel_of_sources_has_a_line_with_the_next_step() -> None:
    [row] = source_rows(heard(after(DAMAGED)).state)
    assert (row.name, row.hint) == ("learned", "remove /s/learned.json")
    assert "/s/learned.json is damaged" in row.words


def test_the_verdict_on_the_models_is_what_it_would_be() -> None:
    monitor = heard(Machine()).say(DAMAGED).monitor
    assert health(monitor.state, monitor.alerts.active).level == "ok"
    assert monitor.alerts.active == ()
