"""Lines of the alert feed: nothing is said twice."""

from __future__ import annotations

from typing import get_args

from tests.fakes.samples import START
from tests.scene import Gpu, Machine, Model

from gpumon.app.alerts.alert import AlertKind
from gpumon.app.views.dashboard import RECOVERED_WORDS, alert_row
from gpumon.collectors.samples import SourceState
from gpumon.widgets.views import AlertRow


def stopped(state: SourceState, detail: str | None = None) -> Machine:
    """Return a machine whose Ollama was well and is in this state for five looks."""
    machine = Machine()
    server = machine.ollama()
    machine.look("servers")
    server.state, server.detail = state, detail
    for at in range(1, 6):
        machine.look("servers", at=at)
    return machine


def line(machine: Machine) -> AlertRow:
    return alert_row(machine.raised("source"), START + 5)


def ended(machine: Machine) -> AlertRow:
    (alert,) = machine.monitor.alerts.recent
    return alert_row(alert, START + 100)


def test_a_server_that_the_message_names_by_its_address_is_not_named_again() -> None:
    refused = "connection refused at 127.0.0.1:11434"
    row = line(stopped("not_running", refused))
    assert (row.subject, row.message) == ("", f"Ollama stopped: {refused}")


def test_a_server_that_the_message_does_not_name_stands_before_it() -> None:
    row = line(stopped("not_running"))
    assert (row.subject, row.message) == ("Ollama at 127.0.0.1:11434", "Ollama stopped")


def test_a_name_in_the_message_is_not_set_before_it() -> None:
    machine = Machine()
    machine.ollama()
    row = line(machine.look("servers").is_silent(seconds=4, at=5))
    assert (row.subject, row.message) == ("", "Ollama at 127.0.0.1:11434 is not answering")


def test_what_has_recovered_is_said_and_not_what_was_wrong() -> None:
    machine = Machine(card := Gpu()).look("driver")
    card.state, card.detail = "lost", "fell off the bus"
    machine.look("driver", at=1)
    card.state, card.detail = "ok", None
    for at in range(2, 9):
        machine.look("driver", at=at)
    row = ended(machine)
    assert (row.subject, row.message, row.ongoing) == ("", "GPU 0 is back", False)


def test_a_source_that_has_recovered_is_named_once() -> None:
    machine = stopped("failing")
    machine.servers[0].state = None
    for at in range(6, 11):
        machine.look("servers", at=at)
    row = ended(machine)
    assert (row.subject, row.message) == ("", "Ollama at 127.0.0.1:11434 is well again")


def test_of_a_model_that_has_gone_it_is_said_what_was_wrong() -> None:
    machine = Machine()
    model = machine.ollama().load(Model("a", ram_gib=5.0, gpu_gib=5.0))
    machine.look("driver", "servers")
    model.server.unload(model)
    row = ended(machine.look("servers", at=1))
    assert row.message == "unloaded: a spill: 5.0 GiB (50%) in RAM, 5.0 GiB (50%) on GPU"


def test_a_name_is_no_format_string() -> None:
    machine = Machine()
    model = machine.ollama().load(Model("{}{0}{name}", ram_gib=5.0))
    machine.look("driver", "servers")
    model.ram_gib = 0.0
    for at in range(1, 7):
        machine.look("servers", at=at)
    assert ended(machine).message == "{}{0}{name} is wholly on GPU again"


def test_kinds_that_end_otherwise_have_no_words_of_their_own() -> None:
    """A GPU and a model can be stuck; a failed load and errors that are counted are only forgotten.

    A hidden spill may end as a silent fallback, and that as a hidden spill.
    """
    others: set[AlertKind] = {"stuck", "load_failed", "restarted", "ecc", "hidden_spill", "silent_fallback"}
    assert set(get_args(AlertKind)) - RECOVERED_WORDS.keys() == others
