"""A file named as a log of which nothing is understood spoils nothing else."""

from __future__ import annotations

from tests.fakes.samples import log
from tests.scene import Machine, Model

from gpumon.app.insight.health import health
from gpumon.app.monitor import Monitor
from gpumon.app.views.band import source_rows
from gpumon.collectors.samples import LogSample


def strange(at: float) -> LogSample:
    return log(
        at,
        source="log /all.log",
        state="nonsense",
        detail="nothing in it is understood",
        hint="is it the log?",
        unknown_format=True,
    )


def monitor_of_a_strange_file() -> Monitor:
    machine = Machine()
    machine.ollama().load(Model())
    for at in range(8):
        machine.look("driver", "servers", at=at).say(strange(at))
    return machine.monitor


def test_the_verdict_on_the_models_is_what_it_would_be() -> None:
    monitor = monitor_of_a_strange_file()
    found = health(monitor.state, monitor.alerts.active)
    assert (found.level, found.exit_code) == ("ok", 0)
    assert monitor.alerts.active == ()


def test_a_grey_line_says_so_with_the_next_step() -> None:
    [row] = source_rows(monitor_of_a_strange_file().state)
    assert (row.level, row.name, row.hint) == ("unknown", "log /all.log", "is it the log?")
    assert "nothing in it is understood" in row.words
