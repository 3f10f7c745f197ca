"""Rows stand still: of what loads, is loaded and has left, with one key for one model."""

from __future__ import annotations

import pytest
from tests.scene import Machine, Model, Server

from gpumon.app.views.model_page import model_page
from gpumon.app.views.models import SETTLED_SECONDS, all_rows, model_rows
from gpumon.widgets.views import ModelRow

NAME, OTHER = "qwen3:14b", "llama3.2:3b"


@pytest.fixture
def machine() -> Machine:
    return Machine()


@pytest.fixture
def server(machine: Machine) -> Server:
    return machine.ollama()


def rows(machine: Machine) -> tuple[ModelRow, ...]:
    return all_rows(machine.pictures)


def names(machine: Machine) -> list[str]:
    return [row.name for row in rows(machine)]


def small(**more: object) -> Model:
    fields = {"name": OTHER, "gpu_gib": 2.0, "pid": 300, "blob": f"sha256-{'c' * 64}", **more}
    return Model(**fields)  # type: ignore[arg-type]


def key_of(machine: Machine, name: str) -> str:
    return next(row.key for row in rows(machine) if row.name == name)


def test_a_load_the_model_it_becomes_and_what_is_left_of_it_are_one_row(
    machine: Machine, server: Server
) -> None:
    model = server.load(Model(NAME))
    machine.run(2)
    key = key_of(machine, NAME)
    server.unload(model)
    machine.goes_on(2)
    [left] = rows(machine)
    assert (left.key, left.left_reason, left.left_seconds) == (key, "unloaded", 1.0)
    again = server.starts(Model(NAME, pid=101))
    machine.goes_on(3)
    [load] = rows(machine)
    assert (load.key, load.left_seconds, load.state) == (key, None, "weights")
    again.is_claimed = True
    machine.goes_on(2)
    [row] = rows(machine)
    assert (row.key, row.state) == (key, "loaded")


def test_two_loads_of_what_is_one_model_are_two_rows(machine: Machine, server: Server) -> None:
    model = server.load(Model(NAME))
    machine.run(2)
    server.unload(model)
    machine.goes_on(2)
    server.starts(Model(NAME, pid=101))
    server.starts(Model(NAME, pid=102))
    machine.goes_on(3)
    keys = [row.key for row in rows(machine)]
    assert len(set(keys)) == 2
    for key in keys:
        load = machine.pictures.load(key)
        assert load is not None
        assert load.id == key


def test_what_is_new_is_put_below_and_stays_there_when_it_is_ready(machine: Machine, server: Server) -> None:
    server.load(small())
    machine.run(3)
    late = server.starts(Model(NAME, pid=101))
    machine.goes_on(3)
    assert names(machine) == [OTHER, NAME]
    late.is_claimed = True
    machine.goes_on(3)
    assert names(machine) == [OTHER, NAME]


def test_what_is_in_trouble_stands_first(machine: Machine, server: Server) -> None:
    server.load(small())
    machine.run(3)
    server.load(Model(NAME, ram_gib=8.0))
    machine.goes_on(3)
    assert names(machine) == [NAME, OTHER]


def test_what_has_left_goes_below_once_it_does_not_come_back_at_once(
    machine: Machine, server: Server
) -> None:
    first = server.load(small())
    server.load(Model(NAME))
    machine.run(3)
    before = names(machine)
    server.unload(first)
    machine.goes_on(int(SETTLED_SECONDS))
    assert names(machine) == before
    machine.goes_on(1)
    assert names(machine) == [NAME, OTHER]
    server.load(first)
    machine.goes_on(2)
    assert names(machine) == before


@pytest.mark.parametrize("sort", ["name", "vram", "spill", "loaded", "trouble"])
def test_in_every_order_what_has_left_stands_last(machine: Machine, server: Server, sort: str) -> None:
    gone, stays = server.load(small(gpu_gib=12.0, ram_gib=4.0)), server.load(Model(NAME))
    machine.run(3)
    server.unload(gone)
    machine.goes_on(6)
    found = model_rows(machine.pictures, sort)  # type: ignore[arg-type]
    assert [row.name for row in found] == [stays.name, OTHER]
    assert [row.name for row in model_rows(machine.pictures, filter_text="LLAMA")] == [OTHER]


def test_the_page_of_one_that_has_left_says_why(machine: Machine, server: Server) -> None:
    model = server.load(Model(NAME))
    machine.run(2)
    key = key_of(machine, NAME)
    server.state, server.is_here = "not_running", False
    machine.goes_on(2)
    assert model_page(key, machine.pictures, 300.0).verdict.sentence == f"{NAME} has left: server stopped"
    assert model_page("x", machine.pictures, 300.0).verdict.sentence == "this model is no longer loaded"
    assert model.name == NAME


def test_a_model_on_a_lost_card_is_old_as_long_as_its_server_lists_it(
    machine: Machine, server: Server
) -> None:
    server.load(Model(NAME))
    machine.run(2)
    machine.gpus[0].state = "lost"
    machine.goes_on(5)
    [row] = rows(machine)
    assert row.age_seconds == pytest.approx(4.0)
    machine.gpus[0].state = "ok"
    machine.goes_on(1)
    assert rows(machine)[0].age_seconds is None
