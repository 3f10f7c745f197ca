"""Servers that nobody has named: missed only where nothing else serves, forgotten when they end."""

from __future__ import annotations

import pytest
from tests.fakes.process_samples import answer, processes, runner
from tests.fakes.samples import OLLAMA
from tests.scene import Machine, Model, Server, after

from gpumon.app.insight.health import Health
from gpumon.app.picture.pictures import Pictures
from gpumon.app.views.band import source_rows
from gpumon.collectors.samples import KnownBy, SourceState

OTHER = "http://127.0.0.1:11435"
ALONE = runner(200, blob=None, name="qwen", server_pid=None)


def usual(machine: Machine, known_by: KnownBy = "default", state: SourceState = "not_running") -> Server:
    """Have the usual server asked, which does not answer as it should; it is no process of this machine."""
    server = machine.ollama()
    server.is_here, server.known_by = False, known_by
    server.state, server.detail = state, "connection refused"
    return server


def other(machine: Machine) -> Server:
    """Have a server at another port, which was found by its process."""
    server = machine.ollama(OTHER)
    server.known_by = "process"
    return server


def health(machine: Machine) -> Health:
    return Pictures(machine.look("driver").state).health()


def speaks_of_the_usual_one(machine: Machine) -> bool:
    rows = [row for row in source_rows(machine.state) if "11434" in row.name]
    return bool(rows) or "Ollama at" in health(machine).sentence


def test_where_nothing_serves_the_usual_server_is_missed() -> None:
    machine = Machine()
    usual(machine)
    said = health(machine.look("processes", "servers"))
    assert said.sentence == "1 GPU well; no Ollama at 127.0.0.1:11434"


def test_where_another_server_answers_nobody_speaks_of_the_usual_one() -> None:
    machine = Machine()
    usual(machine)
    other(machine)
    assert not speaks_of_the_usual_one(machine.look("servers"))


def test_nor_where_a_process_serves() -> None:
    machine = Machine()
    usual(machine)
    machine.look("servers")
    other(machine).is_asked = False
    assert not speaks_of_the_usual_one(machine.look("processes", at=2))


def test_nor_where_a_llama_server_runs_alone() -> None:
    machine = Machine()
    usual(machine)
    machine.look("servers").say(processes(2, ALONE, servers=[]))
    assert not speaks_of_the_usual_one(machine)


def test_a_process_that_comes_to_serve_is_noted_at_once() -> None:
    machine = Machine()
    usual(machine)
    machine.look("servers").look("processes", at=1)
    assert not machine.state.sources[OLLAMA].is_pointless
    other(machine).is_asked = False
    machine.look("processes", at=2)
    assert machine.state.sources[OLLAMA].is_pointless
    assert OLLAMA in machine.state.touched.sources


def test_one_that_somebody_has_named_is_missed_wherever_else_one_runs() -> None:
    machine = Machine()
    usual(machine, "url")
    other(machine)
    assert health(machine.look("processes", "servers")).sentence.endswith("no Ollama at 127.0.0.1:11434")
    (row,) = (row for row in source_rows(machine.state) if "11434" in row.name)
    assert row.hint == "Ollama runs here, at 127.0.0.1:11435: check --url"


def test_one_that_somebody_names_meanwhile_is_missed() -> None:
    machine = Machine()
    named = usual(machine)
    other(machine).is_here = False
    machine.look("driver", "servers")
    named.known_by = "url"
    assert health(machine.look("servers", at=1)).sentence.endswith("no Ollama at 127.0.0.1:11434")


def test_it_is_missed_again_once_the_other_has_ended() -> None:
    machine = Machine()
    usual(machine)
    found = other(machine)
    machine.look("servers")
    found.state = "absent"
    assert "no Ollama at 127.0.0.1:11434" in health(machine.look("servers")).sentence


def test_with_its_process_a_found_server_and_its_models_are_forgotten() -> None:
    machine = Machine()
    found = other(machine)
    found.load(Model("a:8b"))
    machine.look("servers")
    assert [key.source for key in machine.state.models] == [OTHER]
    found.state = "absent"
    state = machine.look("servers").state
    assert OTHER not in state.sources
    assert (state.models, [one.claim.name for one in state.departed]) == ({}, ["a:8b"])
    assert state.touched.sources == {OTHER}


def test_one_that_is_asked_by_name_is_not_told_twice() -> None:
    machine = Machine()
    machine.ollama("http://localhost:11435")
    other(machine).state = "forbidden"
    assert OTHER not in machine.look("servers").state.sources


@pytest.mark.parametrize("state", ["refused", "forbidden", "foreign"])
def test_a_found_server_that_was_never_heard_is_no_alarm(state: SourceState) -> None:
    machine = Machine()
    usual(machine, "process", state)
    assert health(machine.look("servers")).level == "ok"


def test_one_that_was_heard_and_fails_is() -> None:
    machine = Machine()
    found = other(machine)
    machine.look("servers")
    found.state, found.detail = "failing", "HTTP 500"
    assert health(machine.look("servers")).level == "bad"


def test_a_model_of_a_process_alone_is_something_that_was_read() -> None:
    machine = after(processes(0, ALONE, servers=[]), answer(1, pid=200))
    usual(machine)
    machine.look("servers")
    assert machine.state.models
    assert Pictures(machine.state).health().exit_code == 0
