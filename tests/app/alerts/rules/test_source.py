from __future__ import annotations

import pytest
from tests.fakes.samples import OLLAMA, START, log
from tests.scene import Machine

from gpumon.collectors.samples import SourceState


def asked(state: SourceState | None = None) -> Machine:
    """Return a machine whose Ollama was asked once."""
    machine = Machine()
    machine.ollama().state = state
    return machine.look("servers")


def then(machine: Machine, state: SourceState | None, looks: int, detail: str | None = None) -> Machine:
    """Have its Ollama answer so from now on, once a second."""
    [server] = machine.servers
    server.state, server.detail = state, detail
    for _ in range(looks):
        machine.look("servers", at=machine.now + 1)
    return machine


@pytest.mark.parametrize("state", ["unreachable", "refused", "foreign", "nonsense", "forbidden", "failing"])
def test_a_server_that_answered_and_now_fails_is_bad_after_three_seconds(state: SourceState) -> None:
    machine = then(asked(), state, 3)
    assert machine.alert("source") is None
    alert = then(machine, state, 1).raised("source")
    assert (alert.severity, alert.since) == ("bad", START + 1)
    assert alert.subject == "Ollama at 127.0.0.1:11434"


@pytest.mark.parametrize("state", ["absent", "not_running", "refused", "unreachable"])
def test_a_source_that_never_answered_is_no_alert(state: SourceState) -> None:
    assert then(asked(state), state, 59).alert("source") is None


@pytest.mark.parametrize("state", ["foreign", "nonsense", "forbidden", "failing"])
def test_a_wrong_answer_is_an_alert_from_the_start(state: SourceState) -> None:
    alert = then(asked(state), state, 3).raised("source")
    assert (alert.severity, alert.since) == ("bad", START)


def test_a_server_that_served_and_is_no_longer_running_is_worth_watching() -> None:
    machine = then(asked(), "not_running", 4, "connection refused at 127.0.0.1:11434")
    alert = machine.raised("source")
    assert alert.severity == "watch"
    assert alert.message == "Ollama stopped: connection refused at 127.0.0.1:11434"


def test_a_source_that_hangs_from_the_start_is_an_alert() -> None:
    alert = Machine().is_silent(at=2).is_silent(seconds=3, at=3).raised("source")
    assert (alert.message, alert.since) == ("Ollama at 127.0.0.1:11434 is not answering", START)


def test_silence_counts_from_the_question() -> None:
    machine = asked().is_silent(at=12).is_silent(seconds=3, at=13)
    assert machine.raised("source").since == START + 10


def test_a_server_that_hangs_may_be_loading_and_a_driver_that_hangs_is_sick() -> None:
    server = asked().is_silent(OLLAMA, 4, at=5).raised("source")
    driver = Machine().look("driver").is_silent("nvml", 4, at=5).raised("source")
    assert (server.severity, driver.severity) == ("watch", "bad")
    assert driver.message == "GPU driver is not answering"


def test_a_driver_that_goes_away_is_bad() -> None:
    machine = Machine().look("driver")
    machine.gpus, machine.driver, machine.driver_detail = [], "absent", "no driver library"
    alert = machine.goes_on(4).raised("source")
    assert (alert.severity, alert.message) == ("bad", "GPU driver is not there: no driver library")


def test_other_samples_let_the_time_of_a_silent_source_pass() -> None:
    machine = then(asked(), "failing", 1)
    for at in range(2, 6):
        machine.look("driver", at=at)
    assert machine.raised("source").since == START + 1


def test_an_answer_ends_it_once_it_stays() -> None:
    recent = then(then(asked(), "failing", 4), None, 4).monitor.alerts.recent
    assert [(alert.ended, alert.until) for alert in recent] == [("recovered", START + 5)]


def test_a_detail_from_outside_is_shown_and_not_obeyed() -> None:
    message = then(asked(), "failing", 4, "\x1b[2Joops").raised("source").message
    assert message.endswith("is failing: ␛[2Joops")


class Logged:
    """A machine whose Ollama writes a log."""

    def __init__(self) -> None:
        self.machine = Machine()
        self.server = self.machine.ollama()
        self.machine.look("servers", "processes")
        self.writes("serving", at=0.5)

    def writes(
        self, state: SourceState, source: str = "log /var/log/ollama.log", *, at: float | None = None
    ) -> None:
        self.machine.now = self.machine.now if at is None else at
        self.machine.say(log(self.machine.now, source=source, state=state))

    def stops(self) -> None:
        """End its process, of which the server's address says no more than that nobody is there."""
        self.server.is_here, self.server.state = False, "not_running"

    def subjects(self) -> list[str]:
        return [alert.subject for alert in self.machine.alerts("source")]


STOPPED = ["Ollama at 127.0.0.1:11434"]


def test_a_log_that_goes_with_its_server_is_no_alert_of_its_own() -> None:
    logged = Logged()
    logged.writes("serving", "server log")
    logged.stops()
    for at in range(1, 8):
        logged.writes("absent", at=at)
        logged.writes("absent", "server log")
        logged.machine.look("processes", "servers")
    assert logged.subjects() == STOPPED


@pytest.mark.parametrize("state", ["absent", "failing"], ids=["it goes", "it cannot be read"])
def test_a_log_is_optional_and_no_alert_while_its_server_runs(state: SourceState) -> None:
    logged = Logged()
    for at in range(1, 6):
        logged.writes(state, at=at)
        logged.machine.look("servers")
    assert logged.subjects() == []


def test_a_log_that_cannot_be_read_is_no_alert_where_nothing_runs() -> None:
    logged = Logged()
    logged.machine = Machine()
    logged.writes("serving", at=0)
    for at in range(1, 6):
        logged.writes("failing", at=at)
    assert logged.subjects() == []


def test_a_log_that_goes_just_before_its_server_is_seen_to_have_gone_is_no_alert() -> None:
    logged = Logged()
    logged.stops()
    logged.machine.look("processes", at=5)
    logged.writes("absent", at=5.2)
    logged.machine.look("servers", at=5.7)
    for at in range(6, 12):
        logged.machine.look("driver", "servers", at=at)
    assert logged.subjects() == STOPPED


def test_the_alert_of_a_lost_log_is_over_when_its_server_stops() -> None:
    logged = Logged()
    for at in range(1, 6):
        logged.writes("absent", at=at)
        logged.machine.look("servers")
    logged.stops()
    for at in range(6, 10):
        logged.machine.look("processes", "servers", at=at)
    assert logged.subjects() == STOPPED
