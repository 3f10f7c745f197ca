"""Which files' names a server is asked for: those that are loaded and cannot be read on disk."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from tests.fakes.process_samples import blob_names
from tests.fakes.samples import OLLAMA
from tests.scene import BLOB, Machine, Model, Server

from gpumon.app.session.whom import unnamed_blobs
from gpumon.collectors.samples import SourceHealth

HIDDEN = replace(blob_names(0, {}), health=SourceHealth(state="forbidden"))
OTHER = "http://127.0.0.1:11500"


@pytest.fixture
def server() -> Server:
    """It loads a model that it does not claim yet, from a folder of its own."""
    server = Machine().ollama()
    server.models_path = "/m"
    server.load(Model(is_claimed=False, is_described=False))
    server.machine.look("servers", "processes")
    return server


def asked(server: Server, url: str = OLLAMA) -> frozenset[str]:
    return unnamed_blobs(server.machine.state, url)


def test_a_file_that_loads_from_a_folder_that_cannot_be_read_is_asked_for(server: Server) -> None:
    server.machine.say(HIDDEN)
    assert asked(server) == {BLOB}


def test_none_is_before_the_folder_was_looked_at(server: Server) -> None:
    assert asked(server) == frozenset()


def test_none_is_whose_name_is_on_disk(server: Server) -> None:
    server.machine.say(blob_names(0, {BLOB: ("qwen3:8b",)}))
    assert asked(server) == frozenset()


def test_none_is_whose_name_the_server_has_told(server: Server) -> None:
    server.machine.say(HIDDEN)
    server.models[0].is_described = True
    server.machine.look("servers")
    assert asked(server) == frozenset()


def test_no_server_elsewhere_is_asked(server: Server) -> None:
    server.machine.say(HIDDEN)
    assert asked(server, "http://far:11434") == frozenset()


def test_no_other_server_of_this_machine_is_asked(server: Server) -> None:
    server.machine.ollama(OTHER).is_here = False
    server.machine.look("servers").say(HIDDEN)
    assert asked(server, OTHER) == frozenset()


def test_a_file_with_two_names_has_the_one_it_was_asked_for_by() -> None:
    machine = Machine()
    server = machine.ollama()
    server.models_path = "/m"
    model = server.load(Model("qwen3:8b", is_described=False))
    machine.look("servers")
    server.unload(model)
    machine.look("servers", at=1)
    server.starts(Model(is_described=False), after=0.5)
    machine.look("processes", at=2).say(blob_names(2, {BLOB: ("alias", "qwen3:8b")}))
    assert machine.look("servers", at=3).only_load().name == "qwen3:8b"
