"""What is not as it was when the usual rate of a model was learned: each kind, and from where on."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec.structs import replace
from tests.fakes.samples import START
from tests.scene import Gpu, Machine, Model, Program, loaded

from gpumon.app.insight.falls import changes_since, compare, paced_of, reason_words
from gpumon.collectors.samples import GpuFacts, GpuReading, GpuSlow

MIB = 1024**2


@pytest.fixture
def model() -> Model:
    model = loaded(machine=Machine(Gpu(utilization=90), Gpu()))
    model.usual(40.0)
    return model


def changes(model: Model, rate: float = 8.0, *, active: bool = True, **work: int) -> dict[str, str]:
    """Answer a request at this rate, and return what has changed."""
    model.request(rate, 16.0, **work)
    paced = paced_of(model.record, model.machine.state)
    assert paced is not None
    compared = compare(paced, active=active)
    assert compared is not None
    return {change.kind: change.words for change in changes_since(paced, compared)}


def retouch(model: Model, change: Callable[[GpuReading], GpuReading]) -> None:
    model.machine.retouch = lambda reading: change(reading) if reading.index == 0 else reading


def test_nothing_has_changed(model: Model) -> None:
    assert changes(model) == {}
    assert reason_words(()) == "for no visible reason"


def test_a_spill_tells_its_share(model: Model) -> None:
    model.ram_gib = 7.5
    assert changes(model) == {"spill": "since it spilled (43% in RAM)"}


def test_a_spill_that_grows_is_a_further_one() -> None:
    model = loaded(Model(ram_gib=2.0))
    model.usual(20.0)
    model.ram_gib = 7.5
    assert changes(model, active=False) == {"spill": "since it spilled further (43% in RAM)"}


def test_another_gpu_is_named(model: Model) -> None:
    model.gpu = 1
    assert changes(model) == {"gpus": "on GPU 1 instead of GPU 0"}


def test_a_gpu_that_is_not_there_any_more_has_no_number() -> None:
    model = loaded()
    model.usual(40.0)
    retouch(model, lambda reading: replace(reading, uuid="GPU-9", index=9))
    found = changes(model)
    assert found["gpus"] in {"on GPU 9 instead of another GPU", "on GPU 9 instead of GPU 0"}


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("power cap", None),
        ("thermal slowdown (software)", "GPU 0 is slowed down: thermal slowdown (software)"),
    ],
)
def test_heat_is_a_change_and_a_power_cap_is_how_it_is_set_up(
    model: Model, reason: str, told: str | None
) -> None:
    model.machine.gpus[0].throttle = (reason,)
    assert changes(model).get("throttling") == told


def test_heat_of_a_gpu_that_holds_nothing_of_it_is_no_change(model: Model) -> None:
    model.machine.gpus[1].throttle = ("thermal slowdown (software)",)
    assert changes(model) == {}


@pytest.mark.parametrize(
    ("watts", "is_told"), [(349.4, True), (349.6, False), (350.0, False), (400.0, False)]
)
def test_a_power_limit_below_the_default_is_told_from_a_watt_on(
    model: Model, watts: float, is_told: bool
) -> None:
    limits = {"power_limit_watts": watts, "facts": GpuFacts(power_limit_default_watts=350.0)}
    retouch(model, lambda reading: replace(reading, **limits))
    found = changes(model)
    assert ("power_limit" in found) == is_told
    if is_told:
        assert found["power_limit"] == "GPU 0 is limited to 349 W of 350 W"


@pytest.mark.parametrize(
    "known", [{"power_limit_watts": 200.0}, {"facts": GpuFacts(power_limit_default_watts=350.0)}]
)
def test_of_a_limit_of_which_one_figure_is_missing_nothing_is_said(
    model: Model, known: dict[str, object]
) -> None:
    retouch(model, lambda reading: replace(reading, **known))
    assert changes(model) == {}


@pytest.mark.parametrize(("busy_percent", "is_told"), [(49, False), (50, True)])
def test_a_link_below_its_best_counts_on_a_gpu_that_is_half_busy(
    model: Model, busy_percent: int, is_told: bool
) -> None:
    link = {
        "utilization_percent": busy_percent,
        "facts": GpuFacts(pcie_width_max=16, pcie_generation_max=4),
        "slow": GpuSlow(pcie_width=4, pcie_generation=3),
    }
    retouch(model, lambda reading: replace(reading, **link))
    words = "GPU 0 PCIe link is below its maximum: width 4 of 16, generation 3 of 4"
    assert changes(model) == ({"link": words} if is_told else {})


@pytest.mark.parametrize(("mib", "is_told"), [(3.9, False), (4.0, True)])
def test_traffic_to_swap_counts_from_four_mib_a_second(model: Model, mib: float, is_told: bool) -> None:
    model.machine.swap_in = mib * MIB
    assert changes(model) == ({"swapping": "the machine swaps 4 MiB/s"} if is_told else {})


def test_a_process_that_has_come_since_is_named(model: Model) -> None:
    model.machine.starts(Program("blender", 1.0, pid=77, started=START + model.machine.now))
    assert changes(model) == {"process": "blender has come to GPU 0"}


@pytest.mark.parametrize("started", [START - 5000, None], ids=["long ago", "nobody knows when"])
def test_one_that_may_have_been_there_all_along_is_not(model: Model, started: float | None) -> None:
    model.machine.starts(Program("Xorg", 1.0, pid=77, started=started))
    assert changes(model) == {}


def test_one_on_another_gpu_is_not(model: Model) -> None:
    model.machine.starts(Program("blender", 1.0, pid=77, gpu=1, started=START + model.machine.now))
    assert changes(model) == {}


def test_a_model_at_work_on_the_same_gpu_is_named(model: Model) -> None:
    other = model.machine.servers[0].load(Model("qwen3:8b", gpu_gib=4.0, pid=300, blob="sha256-" + 64 * "b"))
    other.works()
    assert changes(model)["rival"] == "qwen3:8b is at work on the same GPU"


def test_more_requests_at_once_tell_how_many_are_usual(model: Model) -> None:
    assert changes(model, parallel=3) == {"parallel": "3 requests at once, usually 1"}


def test_a_longer_context_tells_how_long_is_usual(model: Model) -> None:
    assert changes(model, prompt=60_000) == {"context": "a context of 59k tokens, usually 741"}


def test_the_most_costly_change_stands_first(model: Model) -> None:
    model.ram_gib = 7.5
    model.machine.swap_in = 100 * MIB
    assert [*changes(model, parallel=2)] == ["spill", "swapping", "parallel"]
