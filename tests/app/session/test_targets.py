"""What is known of the processes behind a server's URL."""

from __future__ import annotations

import pytest
from tests.fakes.process_samples import STARTED
from tests.fakes.samples import OLLAMA, START
from tests.scene import Machine, Model, Server

from gpumon.app.session.whom import known_runners
from gpumon.collectors.servers.talk import KnownRunners

OTHER = "http://127.0.0.1:9999"


def known(machine: Machine, url: str = OLLAMA) -> KnownRunners | None:
    return known_runners(machine.state, url)


def server(url: str = OLLAMA, **fields: bool) -> Server:
    """Return the one server of a machine, with these of its fields."""
    one = Machine().ollama(url)
    for name, value in fields.items():
        setattr(one, name, value)
    return one


def test_the_runners_of_a_server_are_known_by_pid_and_start() -> None:
    one = server()
    one.load(Model("a", port="ready"))
    one.load(Model("b", pid=200, port="ready", is_claimed=False))
    seen = known(one.machine.look("servers").look("processes", at=1).look("ports", at=2))
    assert seen == KnownRunners(frozenset({(100, STARTED), (200, STARTED)}))


def test_a_runner_whose_model_is_not_ready_is_loading() -> None:
    one = server()
    one.starts(Model(port="loading"))
    seen = known(one.machine.look("servers").look("processes", at=1).look("ports", at=2))
    assert seen == KnownRunners(frozenset({(100, START)}), loading=True)


@pytest.mark.parametrize("url", ["http://localhost:11434", "http://[::1]:11434"])
def test_other_spellings_of_loopback_are_the_same_server(url: str) -> None:
    assert known(server().machine.look("processes"), url) == KnownRunners(frozenset())


def test_runners_of_another_server_do_not_count() -> None:
    machine = server().machine
    machine.ollama(OTHER, pid=77).starts(Model())
    assert known(machine.look("servers").look("processes", at=1)) == KnownRunners(frozenset())


@pytest.mark.parametrize(
    "machine",
    [
        Machine(),
        server(is_here=False).machine.look("processes"),
        server(is_contained=True).machine.look("processes"),
        server(OTHER).machine.look("processes"),
        server().machine.look("processes").is_silent("processes", at=5),
    ],
    ids=["not looked", "hidden", "in a container", "elsewhere", "not answering"],
)
def test_of_what_is_not_seen_nothing_is_known(machine: Machine) -> None:
    assert known(machine) is None
