"""What alerts say in the feed: nothing is said twice."""

from __future__ import annotations

from tests.scene import Gpu, Machine, Model

from gpumon.app.events.event import Feed
from gpumon.collectors.samples import SourceState


def stopped(state: SourceState, detail: str | None = None) -> Machine:
    """Return a machine whose Ollama was well and is in this state for five looks."""
    machine = Machine()
    server = machine.ollama()
    machine.look("servers")
    server.state, server.detail = state, detail
    for at in range(1, 6):
        machine.look("servers", at=at)
    return machine


def feed(machine: Machine) -> Feed:
    return machine.monitor.events.feed


def line(machine: Machine) -> str:
    (event,) = feed(machine).ongoing
    return event.words


def past(machine: Machine) -> list[str]:
    return [event.words for event in feed(machine).past]


def test_a_server_that_the_message_names_by_its_address_is_not_named_again() -> None:
    refused = "connection refused at 127.0.0.1:11434"
    assert line(stopped("not_running", refused)) == f"Ollama stopped: {refused}"


def test_a_server_that_the_message_does_not_name_stands_before_it() -> None:
    assert line(stopped("not_running")) == "Ollama at 127.0.0.1:11434: Ollama stopped"


def test_a_name_in_the_message_is_not_set_before_it() -> None:
    machine = Machine()
    machine.ollama()
    words = line(machine.look("servers").is_silent(seconds=4, at=5))
    assert words == "Ollama at 127.0.0.1:11434 is not answering"


def test_what_has_recovered_is_an_event_after_what_was_wrong() -> None:
    machine = Machine(card := Gpu()).look("driver")
    card.state, card.detail = "lost", "fell off the bus"
    machine.look("driver", at=1)
    card.state, card.detail = "ok", None
    for at in range(2, 9):
        machine.look("driver", at=at)
    assert past(machine) == ["GPU 0 is back after 1s", "GPU 0 is lost: fell off the bus"]


def test_a_server_that_answers_again_is_named_once() -> None:
    machine = stopped("failing")
    machine.servers[0].state = None
    for at in range(6, 11):
        machine.look("servers", at=at)
    assert past(machine) == [
        "Ollama at 127.0.0.1:11434 answers again after 5s",
        "Ollama at 127.0.0.1:11434 is failing",
    ]


def test_of_a_model_that_has_gone_it_is_said_what_was_wrong() -> None:
    machine = Machine()
    model = machine.ollama().load(Model("a", ram_gib=5.0, gpu_gib=5.0))
    machine.look("driver", "servers")
    model.server.unload(model)
    assert past(machine.look("servers", at=1)) == ["a spilled: 5.0 GiB (50%) in RAM"]


def test_a_name_is_no_format_string() -> None:
    machine = Machine()
    model = machine.ollama().load(Model("{}{0}{name}", ram_gib=5.0))
    machine.look("driver", "servers")
    model.ram_gib = 0.0
    for at in range(1, 7):
        machine.look("servers", at=at)
    assert past(machine)[0] == "{}{0}{name} is wholly on GPU again"
