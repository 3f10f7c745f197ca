"""What is said of a load in its first second."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
from tests.fakes.samples import GIB, START
from tests.scene import Gpu, Loading, Machine, Model, Weights

from gpumon.app.diagnosis.forecast import Forecast
from gpumon.app.picture.load import LoadPicture
from gpumon.app.snapshot.build import build_snapshot
from gpumon.collectors.samples import ModelFacts
from gpumon.collectors.servers.llama_server.command_line import settings_of

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


Load = Callable[..., LoadPicture]


class TestToldWhereToGo:
    """Cards and shares that were asked for count; where they cannot be told apart nothing is said."""

    @pytest.fixture
    def load(self, llama: ModelFacts) -> Load:
        def load(line: str = "", *gpus: Gpu, variables: Mapping[str, str] | None = None) -> LoadPicture:
            argv = ["llama-server", "-m", "/m.gguf", "-c", "4096", *line.split()]
            settings = settings_of(argv, lambda: variables or {})
            assert settings is not None
            machine = Machine(*(gpus or (Gpu(gib=4.0), Gpu(gib=12.0))))
            machine.llama_server(
                settings={one: getattr(settings, one) for one in settings.__struct_fields__},
                file=llama,
                held={0: 0.1},
                port="loading",
                started=START,
            )
            machine.run(3)
            return load_of(machine)

        return load

    def test_a_device_is_the_only_room_there_is(self, load: Load) -> None:
        small, large = load("--device CUDA0"), load("--device CUDA1")
        assert small.forecast is not None
        assert large.forecast is not None
        assert (small.level, large.level) == ("watch", "ok")
        assert small.forecast.room_bytes < 4 * GIB < large.forecast.room_bytes < 12 * GIB

    def test_so_is_what_the_variables_leave(self, load: Load) -> None:
        assert load(variables={"CUDA_VISIBLE_DEVICES": "0"}).level == "watch"

    def test_one_card_alone_is_the_main_one(self, load: Load) -> None:
        assert load("-sm none -mg 1").level == "ok"

    def test_shares_decide_which_card_gets_how_many_layers(self, load: Load) -> None:
        even = load("-ts 1,3").forecast
        assert even is not None
        assert not even.spills
        assert load("-ts 9,1").forecast is None, "nine tenths are more than the first card holds: it may fail"

    def test_a_share_of_nothing_leaves_a_card_out(self, load: Load) -> None:
        found = load("-ts 0,1").forecast
        assert found is not None
        assert found.room_bytes < 12 * GIB

    def test_a_number_among_cards_that_differ_may_be_any(self, load: Load) -> None:
        cards = (Gpu(gib=4.0, name="RTX 3050"), Gpu(gib=12.0, name="RTX 4070"))
        assert load("--device CUDA0", *cards).forecast is None
        named = load("", *cards, variables={"CUDA_VISIBLE_DEVICES": "GPU-0"})
        assert named.forecast is not None

    @pytest.mark.parametrize("line", ["-sm row", "--device Vulkan0"])
    def test_of_cut_matrices_and_of_what_the_driver_does_not_see_nothing_is_said(
        self, load: Load, line: str
    ) -> None:
        assert load(line).forecast is None
