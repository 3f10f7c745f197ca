"""What is said of a load in its first second."""

from __future__ import annotations

import pytest
from tests.scene import Gpu, Loading, Machine, Model, Weights

from gpumon.app.diagnosis.forecast import Forecast
from gpumon.app.picture.load import LoadPicture
from gpumon.app.snapshot.build import build_snapshot

SHAPE = Weights()
"""4.9 GiB of weights; 128 KiB of context a token."""


def loading(
    gpu_gib: float = 24.0, context: int = 4096, *, kind: str = "llama_server", **settings: int
) -> tuple[Machine, Model]:
    """Return a machine on which a model that its server has once described begins to load."""
    machine = Machine(Gpu(gib=gpu_gib), ram_gib=64.0)
    server = machine.ollama()
    known = server.load(Model("llama3.1:8b", weights=SHAPE, context=4096, gpu_gib=5.5))
    machine.run(2)
    server.models.remove(known)
    machine.run(3)
    model = Model(
        "llama3.1:8b",
        weights=SHAPE,
        context=context,
        pid=200,
        kind=kind,
        loading=Loading(weights_gib=4.9),
        settings={"context_length": context, **settings},
    )
    server.starts(model)
    machine.run(2)
    return machine, model


def load_of(machine: Machine) -> LoadPicture:
    [load] = machine.monitor.pictures.loads()
    return load


def forecast_of(machine: Machine) -> Forecast:
    found = load_of(machine).forecast
    assert found is not None
    return found


def test_one_that_fits_is_well() -> None:
    machine, _ = loading()
    found, load = forecast_of(machine), load_of(machine)
    assert (found.ram_bytes, found.spills, load.level) == (0, False, "ok")
    assert load.sentence == "llama3.1:8b is loading"


def test_one_that_will_spill_is_worth_watching_from_its_first_second() -> None:
    machine, _ = loading(gpu_gib=6.0)
    found, load = forecast_of(machine), load_of(machine)
    assert load.seconds < 3
    assert found.spills
    assert found.gpu_bytes + found.ram_bytes >= found.need_bytes * 0.9
    assert load.level == "watch"
    assert load.sentence.startswith("llama3.1:8b will not fit: ")


def test_every_surface_says_so() -> None:
    machine, _ = loading(gpu_gib=6.0)
    load, health = load_of(machine), machine.monitor.pictures.health()
    assert (health.level, health.sentence, health.exit_code) == ("watch", load.sentence, 1)
    [entry] = [one for one in build_snapshot(machine.monitor.pictures).models if one.load is not None]
    assert (entry.level, entry.sentence) == ("watch", load.sentence)
    assert entry.load is not None
    assert entry.load.forecast is not None
    assert entry.load.forecast.will_spill


def test_a_context_that_is_too_long_is_cured_by_a_shorter_one() -> None:
    machine, _ = loading(gpu_gib=12.0, context=131072)
    found = forecast_of(machine)
    assert found.spills
    assert found.cure.startswith("a context of ")
    assert (found.command.line or "").startswith("/set parameter num_ctx ")


def test_weights_larger_than_the_gpu_have_no_line_to_type() -> None:
    machine, _ = loading(gpu_gib=4.0)
    assert "smaller quantisation" in forecast_of(machine).cure
    assert forecast_of(machine).command.line is None


def test_what_it_has_taken_already_counts_as_free_for_it() -> None:
    machine, _ = loading(gpu_gib=12.0)
    rooms = []
    for _ in range(5):
        rooms.append(forecast_of(machine).room_bytes)
        machine.run(1)
    assert max(rooms) - min(rooms) < 2**20


@pytest.mark.parametrize("gpu_gib", [5.0, 6.0, 7.0, 24.0])
def test_it_spills_if_and_only_if_a_part_goes_to_ram(gpu_gib: float) -> None:
    machine, _ = loading(gpu_gib=gpu_gib)
    found = forecast_of(machine)
    assert found.spills == (found.ram_bytes > 0)
    assert found.spills == (gpu_gib < 6.5), "it needs 5.9 GiB, and some are always taken"


def test_of_a_file_that_nobody_has_described_nothing_is_said() -> None:
    machine = Machine(Gpu(gib=6.0))
    machine.ollama().starts(Model("new", is_described=False, loading=Loading(weights_gib=20.0)))
    machine.run(2)
    load = load_of(machine)
    assert load.forecast is None
    assert load.level == "ok"
