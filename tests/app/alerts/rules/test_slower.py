"""A model that generates more slowly than it usually does."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.fakes.samples import START
from tests.scene import Machine, Model, Program, loaded

from gpumon.app.alerts.limits import Limits
from gpumon.app.monitor import Monitor
from gpumon.collectors.samples import GpuFacts, GpuSlow


@pytest.fixture
def desk() -> Model:
    """A model that usually makes 40 tokens a second."""
    desk = loaded()
    desk.usual(40.0)
    return desk


def slow_request(desk: Model, rate: float = 8.0, seconds: float = 16.0) -> str:
    desk.request(rate, seconds)
    return desk.machine.raised("slower").message


def test_a_fall_is_named_with_both_rates(desk: Model) -> None:
    assert slow_request(desk) == (
        "llama3:70b is slower than usual: 8.0 tok/s instead of 40 tok/s (-80%), for no visible reason"
    )
    assert desk.machine.raised("slower").measure == pytest.approx(80)


def test_it_says_since_when(desk: Model) -> None:
    began = desk.machine.now
    slow_request(desk)
    assert 0 <= desk.machine.raised("slower").since - (START + began) <= 8.0


def test_half_the_rate_is_bad_and_less_is_worth_watching(desk: Model) -> None:
    desk.request(28.0, 16)
    assert desk.machine.raised("slower").severity == "watch"
    desk.request(8.0, 16)
    assert desk.machine.raised("slower").severity == "bad"


def test_a_short_fall_is_none(desk: Model) -> None:
    began = desk.machine.now
    desk.request(lambda now: 8.0 if now - began < 4 else 40.0, 30)
    assert desk.machine.alert("slower") is None


@pytest.mark.parametrize("rate", [34.0, 40.0, 400.0])
def test_what_is_within_a_fifth_or_faster_is_none(desk: Model, rate: float) -> None:
    desk.request(rate, 20)
    assert desk.machine.alert("slower") is None


def test_the_limit_can_be_set() -> None:
    desk = loaded(machine=Machine(limits=Limits(slower_percent=5.0)))
    desk.usual(40.0)
    desk.request(36.0, 16)
    assert desk.machine.raised("slower").severity == "watch"


def test_without_a_baseline_nothing_is_slow() -> None:
    desk = loaded()
    desk.usual(40.0, count=4)
    desk.request(8.0, 20)
    assert desk.machine.alert("slower") is None


def test_at_rest_it_stays_until_there_is_a_better_rate(desk: Model) -> None:
    slow_request(desk)
    for _ in range(60):
        desk.machine.look()
        desk.machine.now += 1
    assert desk.machine.alert("slower") is not None
    desk.request(40.0, 20)
    assert [alert.ended for alert in desk.monitor.alerts.recent if alert.kind == "slower"] == ["recovered"]


def test_a_model_that_is_unloaded_is_no_longer_slow(desk: Model) -> None:
    slow_request(desk)
    desk.pid = 101
    desk.machine.look()
    assert desk.machine.alert("slower") is None


@settings(max_examples=8)
@given(st.floats(24.0, 40.0), st.floats(0.0, 1.5), st.randoms(use_true_random=False))
def test_a_rate_near_the_limit_does_not_flap(rate: float, noise: float, random: Random) -> None:
    desk = loaded()
    desk.usual(40.0)
    for _ in range(6):
        desk.request(lambda _: rate + random.uniform(-noise, noise), 20)
    news = desk.machine.news("slower")
    assert len(news) <= 2, news


@settings(max_examples=20)
@given(st.floats(5.0, 200.0), st.floats(0.0, 0.12), st.randoms(use_true_random=False))
def test_noise_alone_is_never_slow(rate: float, noise: float, random: Random) -> None:
    desk = loaded()

    def noisy(_: float) -> float:
        return rate * (1 + random.uniform(-noise, noise))

    desk.usual(noisy, count=8)
    desk.request(noisy, 40)
    kinds = {event.alert.kind for event in desk.monitor.alerts.fresh()}
    assert "slower" not in kinds


class TestWhatChanged:
    def test_a_spill(self, desk: Model) -> None:
        desk.ram_gib = 7.5
        assert slow_request(desk).endswith(
            "8.0 tok/s instead of 40 tok/s (-80%), since it spilled (43% in RAM)"
        )

    def test_a_spill_stays_the_reason_when_its_rate_becomes_the_usual_one(self, desk: Model) -> None:
        desk.ram_gib = 7.5
        slow_request(desk)
        desk.usual(8.0, count=8)
        assert "since it spilled" in desk.machine.raised("slower").message

    def test_a_spilled_model_has_a_usual_rate_of_its_own(self) -> None:
        desk = loaded(Model(ram_gib=7.5))
        desk.usual(8.0)
        desk.request(8.0, 16)
        assert desk.machine.alert("slower") is None

    def test_a_spill_that_the_server_does_not_admit(self, desk: Model) -> None:
        desk.measured_gib = 6.0
        assert slow_request(desk).endswith("since a part of it is not on the GPU, whatever its server claims")

    def test_heat(self, desk: Model) -> None:
        desk.machine.gpus[0].throttle = ("thermal slowdown (hardware)",)
        assert slow_request(desk).endswith("GPU 0 is slowed down: thermal slowdown (hardware)")

    def test_swapping(self, desk: Model) -> None:
        desk.machine.swap_in = 100 * 1024**2
        assert slow_request(desk).endswith("the machine swaps 100 MiB/s")

    def test_a_process_that_has_come_since(self, desk: Model) -> None:
        desk.machine.starts(Program("blender", 1.0, pid=77, started=START + desk.machine.now))
        assert slow_request(desk).endswith("blender has come to GPU 0")

    def test_a_process_that_was_there_all_along_is_no_reason(self, desk: Model) -> None:
        desk.machine.starts(Program("Xorg", 1.0, pid=77, started=START - 5000))
        assert slow_request(desk).endswith("for no visible reason")

    def test_a_link_below_its_best(self, desk: Model) -> None:
        desk.machine.retouch = lambda reading: replace(
            reading,
            facts=GpuFacts(pcie_width_max=16, pcie_generation_max=4),
            slow=GpuSlow(pcie_width=4, pcie_generation=4),
        )
        assert slow_request(desk).endswith("GPU 0 PCIe link is below its maximum: width 4 of 16")

    def test_a_lowered_power_limit(self, desk: Model) -> None:
        desk.machine.retouch = lambda reading: replace(
            reading, power_limit_watts=200.0, facts=GpuFacts(power_limit_default_watts=350.0)
        )
        assert slow_request(desk).endswith("GPU 0 is limited to 200 W of 350 W")

    def test_another_gpu(self, desk: Model) -> None:
        desk.machine.retouch = lambda reading: replace(reading, uuid="GPU-1", index=1)
        assert "another GPU" in slow_request(desk)

    def test_a_longer_context(self, desk: Model) -> None:
        desk.request(10.0, 16, prompt=60_000)
        alert = desk.machine.raised("slower")
        assert alert.message.endswith("a context of 59k tokens, usually 741")
        assert alert.severity == "watch"

    def test_more_requests_at_once(self, desk: Model) -> None:
        desk.request(10.0, 16, parallel=4)
        assert desk.machine.raised("slower").message.endswith("4 requests at once, usually 1")

    @pytest.mark.parametrize(("prompt", "parallel"), [(60_000, 1), (500, 2)])
    def test_harder_work_is_slower_by_nature(self, desk: Model, prompt: int, parallel: int) -> None:
        desk.request(24.0, 20, prompt=prompt, parallel=parallel)
        assert desk.machine.alert("slower") is None

    def test_a_rate_below_that_of_harder_work_is_slow(self) -> None:
        desk = loaded()
        desk.usual(40.0, prompt=3000)
        assert slow_request(desk).endswith("8.0 tok/s instead of 40 tok/s (-80%), for no visible reason")

    def test_names_are_harmless(self, desk: Model) -> None:
        desk.machine.starts(Program("a\x1b[31mb", 1.0, pid=77, started=START + desk.machine.now))
        assert "\x1b" not in slow_request(desk)


def test_the_replay_learns_and_finds_the_same(desk: Model) -> None:
    desk.ram_gib = 7.5
    slow_request(desk)
    replayed = Monitor(Limits())
    for sample in desk.machine.sent:
        replayed.feed(sample)
    assert replayed.state.learned == desk.monitor.state.learned
    assert replayed.alerts.active == desk.monitor.alerts.active
