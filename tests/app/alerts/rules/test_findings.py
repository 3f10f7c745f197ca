"""What each rule finds, field by field, and from where on: just below, at, and just above its limit."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec.structs import asdict
from tests.fakes.process_samples import holding
from tests.fakes.samples import START, claim, gpu, nvml, ollama, ollama_down, system
from tests.scene import Gpu, Machine, Model, after, loaded

from gpumon.app.alerts.alert import CLEAR, UNKNOWN, Finding, above, below
from gpumon.app.alerts.limits import Limits
from gpumon.app.alerts.rules import machine as gpu_rules
from gpumon.app.alerts.rules.machine import ram_low, source, swapping
from gpumon.app.alerts.rules.model import hidden_spill, silent_fallback, slower, spill, stuck
from gpumon.app.insight.falls import paced_of
from gpumon.app.insight.loaded import Loaded
from gpumon.app.insight.loaded import loaded as seen_together
from gpumon.app.state.records import GpuRecord, SystemRecord
from gpumon.collectors.samples import AnySample, GpuFacts, GpuReading, GpuSlow

LIMITS = Limits()
MIB = 1024**2


def record(reading: GpuReading, *before: AnySample) -> GpuRecord:
    return after(*before, nvml(0, reading)).state.gpus["GPU-0"]


def host(**figures: float) -> SystemRecord:
    found = after(system(0, **figures)).state.system
    assert found is not None
    return found


def model_of(model: Model, seconds: float = 3.0) -> Loaded:
    model.machine.run(seconds)
    return seen_together(model.record, model.machine.state)


def test_the_limits_are_those_that_the_guide_tells() -> None:
    assert asdict(LIMITS) == {
        "spill_bad_percent": 5.0,
        "spill_further_percent": 5.0,
        "vram_nearly_full_percent": 97.0,
        "vram_nearly_full_clear_percent": 95.0,
        "ram_low_percent": 8.0,
        "ram_low_clear_percent": 10.0,
        "swap_bytes_per_second": 4.0 * MIB,
        "swap_clear_bytes_per_second": 1.0 * MIB,
        "temperature_margin_celsius": 3.0,
        "temperature_clear_margin_celsius": 6.0,
        "temperature_seconds": 3.0,
        "throttling_seconds": 3.0,
        "power_cap_seconds": 10.0,
        "pcie_busy_percent": 50.0,
        "pcie_link_seconds": 10.0,
        "unsure_load_seconds": 60.0,
        "not_returned_seconds": 60.0,
        "slower_percent": 20.0,
        "slower_seconds": 5.0,
        "source_seconds": 3.0,
        "hold_seconds": 5.0,
        "clear_seconds": 10.0,
        "settled_seconds": 3.0,
    }


@pytest.mark.parametrize(("value", "raised", "kept"), [(4, False, False), (5, False, True), (7, True, True)])
def test_an_active_alert_is_kept_down_to_its_lower_limit(value: float, raised: bool, kept: bool) -> None:
    assert (above(value, 7, 5, active=False), above(value, 7, 5, active=True)) == (raised, kept)
    assert not above(6.9, 7, 5, active=False)
    assert above(7, 7, 9, active=True), "a lower limit above the other counts for nothing"


@pytest.mark.parametrize(("value", "raised", "kept"), [(4, True, True), (5, False, True), (7, False, False)])
def test_an_active_alert_is_kept_up_to_its_higher_limit(value: float, raised: bool, kept: bool) -> None:
    assert (below(value, 5, 7, active=False), below(value, 5, 7, active=True)) == (raised, kept)
    assert below(4, 5, 3, active=True), "a higher limit below the other counts for nothing"


class TestGpu:
    @pytest.mark.parametrize(
        ("used_gib", "active", "is_full"),
        [(92.9, False, False), (93.0, False, True), (91.0, True, True), (90.9, True, False)],
    )
    def test_memory_is_full_from_97_percent_and_until_95(
        self, used_gib: float, active: bool, is_full: bool
    ) -> None:
        found = gpu_rules.vram_full(
            record(gpu(used_gib=used_gib, reserved_gib=4.0, total_gib=100.0)), LIMITS, active
        )
        assert (found.level == "watch") is is_full
        assert is_full or found == CLEAR

    def test_full_memory(self) -> None:
        found = gpu_rules.vram_full(record(gpu(used_gib=23.0, reserved_gib=0.5)), LIMITS, False)
        assert found == Finding(
            level="watch",
            subject="GPU 0",
            message="GPU 0 memory is nearly full: 23.5 of 24.0 GiB (98%)",
            hold_seconds=5.0,
            measure=23.5 / 24 * 100,
        )

    def test_memory_of_which_the_used_part_is_unknown(self) -> None:
        assert gpu_rules.vram_full(record(gpu(used_gib=None)), LIMITS, False) == UNKNOWN
        assert gpu_rules.vram_full(record(gpu(state="asleep")), LIMITS, False) == CLEAR

    @pytest.mark.parametrize(
        ("reason", "level", "seconds"), [("thermal slowdown", "bad", 3.0), ("power cap", "watch", 10.0)]
    )
    def test_clocks_held_down(self, reason: str, level: str, seconds: float) -> None:
        found = gpu_rules.throttling(record(gpu(throttle=(reason, "idle"))), LIMITS, False)
        assert found == Finding(
            level=level,  # type: ignore[arg-type]
            subject="GPU 0",
            message=f"GPU 0 is slowed down: {reason}",
            hold_seconds=seconds,
        )

    def test_clocks_that_nothing_holds_down(self) -> None:
        assert gpu_rules.throttling(record(gpu(throttle=("idle",))), LIMITS, False) == CLEAR
        assert gpu_rules.throttling(record(gpu(throttle=None)), LIMITS, False) == UNKNOWN

    @pytest.mark.parametrize(
        ("celsius", "active", "level"),
        [
            (86, False, "clear"),
            (87, False, "watch"),
            (89, False, "watch"),
            (90, False, "bad"),
            (84, True, "watch"),
            (83, True, "clear"),
        ],
    )
    def test_heat_counts_from_three_degrees_below_the_slowdown_and_until_six(
        self, celsius: int, active: bool, level: str
    ) -> None:
        card = record(gpu(temperature=celsius, facts=GpuFacts(slowdown_celsius=90)))
        found = gpu_rules.too_hot(card, LIMITS, active)
        assert found.level == level
        if level != "clear":
            assert found.message == f"GPU 0 is hot: {celsius}°C, it slows down at 90°C"
            assert (found.subject, found.hold_seconds, found.measure) == ("GPU 0", 3.0, celsius)

    @pytest.mark.parametrize(
        "card",
        [gpu(temperature=95), gpu(temperature=None, facts=GpuFacts(slowdown_celsius=90))],
        ids=["no limit", "no temperature"],
    )
    def test_heat_of_which_one_figure_is_missing(self, card: GpuReading) -> None:
        assert gpu_rules.too_hot(record(card), LIMITS, False) == UNKNOWN

    def test_a_lost_gpu(self) -> None:
        lost = gpu(state="lost", detail="fell off the bus")
        card = after(nvml(0, gpu()), nvml(7, lost)).state.gpus["GPU-0"]
        assert gpu_rules.gpu_lost(card, LIMITS, False) == Finding(
            level="bad",
            subject="GPU 0",
            message="GPU 0 is lost: fell off the bus",
            hold_seconds=0.0,
            since=START + 7,
        )

    def test_a_failing_gpu(self) -> None:
        found = gpu_rules.gpu_lost(record(gpu(state="failing")), LIMITS, False)
        assert (found.level, found.hold_seconds) == ("watch", 3.0)
        assert gpu_rules.gpu_lost(record(gpu()), LIMITS, False) == CLEAR

    @pytest.mark.parametrize(
        ("busy", "width", "generation", "active", "level"),
        [
            (49, 4, 4, False, "clear"),
            (50, 4, 4, False, "watch"),
            (49, 4, 4, True, "unknown"),
            (None, 4, 4, False, "unknown"),
            (None, 4, 4, True, "unknown"),
            (50, None, 3, False, "watch"),
            (50, 4, None, False, "watch"),
            (50, None, None, False, "unknown"),
            (50, 16, 4, False, "clear"),
            (50, 16, 4, True, "clear"),
        ],
    )
    def test_a_link_counts_under_load(
        self, busy: int | None, width: int | None, generation: int | None, active: bool, level: str
    ) -> None:
        best = GpuFacts(pcie_width_max=16, pcie_generation_max=4)
        card = gpu(utilization=busy, facts=best, slow=GpuSlow(pcie_width=width, pcie_generation=generation))
        found = gpu_rules.pcie_link(record(card), LIMITS, active)
        assert found.level == level
        if level == "watch":
            assert (found.subject, found.hold_seconds) == ("GPU 0", 10.0)
            assert found.message.startswith("GPU 0 PCIe link is below its maximum under load: ")

    @pytest.mark.parametrize(("count", "words"), [(1, "error"), (2, "errors")])
    def test_memory_errors(self, count: int, words: str) -> None:
        found = gpu_rules.ecc(record(gpu(slow=GpuSlow(ecc_uncorrected=count))), LIMITS, False)
        assert found == Finding(
            level="bad",
            subject="GPU 0",
            message=f"GPU 0 has had {count} uncorrectable memory {words} since the driver was loaded",
            measure=count,
            step=1.0,
        )

    def test_no_memory_errors(self) -> None:
        assert gpu_rules.ecc(record(gpu(slow=GpuSlow(ecc_uncorrected=0))), LIMITS, False) == CLEAR
        assert gpu_rules.ecc(record(gpu()), LIMITS, False) == UNKNOWN

    def test_memory_that_did_not_come_back(self) -> None:
        held = nvml(0, holding(gpu(used_gib=9.0), {7: 5.0, 8: 3.0}))
        card = after(held, nvml(1, holding(gpu(used_gib=9.0), {}))).state.gpus["GPU-0"]
        found = gpu_rules.not_returned(card, LIMITS, False)
        assert (found.level, found.subject, found.hold_seconds) == ("watch", "GPU 0", 60.0)
        assert found.message == "GPU 0: 5.0 GiB of p7, which has ended, did not come back"
        assert found.since == START + 1
        assert gpu_rules.not_returned(record(holding(gpu(), {})), LIMITS, False) == CLEAR
        assert gpu_rules.not_returned(record(gpu()), LIMITS, False) == UNKNOWN


class TestHost:
    @pytest.mark.parametrize(
        ("available", "active", "is_low"),
        [(8.0, False, False), (7.9, False, True), (9.9, True, True), (10.0, True, False)],
    )
    def test_ram_is_low_below_eight_percent_and_until_ten(
        self, available: float, active: bool, is_low: bool
    ) -> None:
        found = ram_low(host(available_gib=available, total_gib=100.0), LIMITS, active)
        assert (found.level == "bad") is is_low

    def test_low_ram(self) -> None:
        assert ram_low(host(available_gib=2.0, total_gib=64.0), LIMITS, False) == Finding(
            level="bad",
            subject="system",
            message="RAM is running out: 2.0 GiB (3%) available",
            hold_seconds=5.0,
        )
        assert ram_low(host(total_gib=0.0), LIMITS, False) == UNKNOWN

    @pytest.mark.parametrize(
        ("mib", "active", "swaps"),
        [(3.9, False, False), (4.0, False, True), (1.0, True, True), (0.9, True, False)],
    )
    def test_it_swaps_from_four_mib_a_second_and_until_one(
        self, mib: float, active: bool, swaps: bool
    ) -> None:
        found = swapping(host(swap_in=mib * MIB, swap_out=0.0), LIMITS, active)
        assert (found.level == "watch") is swaps

    def test_swapping(self) -> None:
        assert swapping(host(swap_in=8.0 * MIB, swap_out=3.0 * MIB), LIMITS, False) == Finding(
            level="watch",
            subject="system",
            message="swapping: 8 MiB/s in, 3 MiB/s out",
            hold_seconds=5.0,
            measure=11.0 * MIB,
        )


class TestModel:
    @pytest.mark.parametrize(("ram_gib", "level"), [(0.0, "clear"), (0.49, "watch"), (0.5, "bad")])
    def test_a_spill_is_bad_from_five_percent(self, ram_gib: float, level: str) -> None:
        assert (
            spill(model_of(loaded(Model(gpu_gib=10 - ram_gib, ram_gib=ram_gib))), LIMITS, False).level
            == level
        )

    def test_a_spill(self) -> None:
        found = spill(model_of(loaded(Model("a:8b", gpu_gib=6.0, ram_gib=2.0))), LIMITS, False)
        words = "2.0 GiB (25%) in RAM, 6.0 GiB (75%) on GPU"
        assert found == Finding(
            level="bad",
            subject="a:8b",
            message=f"a:8b spill: {words}",
            further=f"a:8b spilled further: {words}",
            measure=25.0,
            step=5.0,
        )

    def test_a_fallback(self) -> None:
        found = silent_fallback(model_of(loaded(Model("a:8b", gpu_gib=6.0, measured_gib=0.5))), LIMITS, False)
        assert found == Finding(
            level="bad",
            subject="a:8b",
            message="a:8b silent fallback: Ollama claims 6.0 GiB on GPU, the driver sees 0.5 GiB",
            measure=found.measure,
        )
        assert hidden_spill(model_of(loaded(Model(measured_gib=0.5))), LIMITS, False).level != "bad"

    @pytest.mark.parametrize(("cpu", "is_told"), [(None, False), (99.9, False), (100.0, True)])
    def test_a_core_at_work_all_the_time_is_told(self, cpu: float | None, is_told: bool) -> None:
        model = loaded(Model(measured_gib=0.0, cpu_percent=cpu))
        found = silent_fallback(model_of(model), LIMITS, False)
        assert "the driver sees nothing" in found.message
        assert found.message.endswith(", and it is busy on the CPU") is is_told

    def test_a_hidden_spill(self) -> None:
        found = hidden_spill(model_of(loaded(Model("a:8b", gpu_gib=6.0, measured_gib=3.0))), LIMITS, False)
        assert (found.level, found.subject) == ("bad", "a:8b")
        assert "6.0 GiB" in found.message
        assert "3.0 GiB" in found.message

    @pytest.mark.parametrize(("seconds", "level"), [(-60.0, "clear"), (-61.0, "watch")])
    def test_a_model_is_stuck_a_minute_after_its_time(self, seconds: float, level: str) -> None:
        model = loaded(Model("a:8b", cpu_percent=0.0, expires_seconds=seconds), Machine(Gpu(utilization=0)))
        model.machine.look()
        found = stuck(seen_together(model.record, model.machine.state), LIMITS, False)
        assert found.level == level
        if level == "watch":
            why = "it should have been unloaded and does nothing; process 100 holds 10.0 GiB of VRAM"
            assert (found.subject, found.message) == ("a:8b", f"a:8b is stuck: {why}")

    @pytest.mark.parametrize(
        ("rate", "level"), [(32.0, "clear"), (31.9, "watch"), (20.1, "watch"), (20.0, "bad")]
    )
    def test_half_the_usual_rate_is_bad(self, rate: float, level: str) -> None:
        model = loaded(Model("a:8b"))
        model.usual(40.0)
        paced = paced_of(model.record, model.machine.state)
        assert paced is not None
        found = slower(paced._replace(pace=paced.pace._replace(tokens_per_second=rate)), LIMITS, False)
        assert found.level == level
        if level == "bad":
            rates = "20 tok/s instead of 40 tok/s (-50%)"
            assert found == Finding(
                level="bad",
                subject="a:8b",
                message=f"a:8b is slower than usual: {rates}, for no visible reason",
                hold_seconds=5.0,
                measure=50.0,
            )


class TestSource:
    def test_a_server_that_fails(self) -> None:
        state = after(ollama(0, [claim()]), ollama_down(4, "failing", "HTTP 500")).state
        [record] = state.sources.values()
        found = source(record, LIMITS, False)
        assert (found.level, found.hold_seconds) == ("bad", 3.0)
        assert found.subject == "Ollama at 127.0.0.1:11434"
        assert found.message == "Ollama at 127.0.0.1:11434 is failing: HTTP 500"

    def test_a_server_that_answers(self) -> None:
        [record] = after(ollama(0, [claim()])).state.sources.values()
        assert source(record, LIMITS, False).level == "clear"


@pytest.mark.parametrize("rule", [silent_fallback, hidden_spill])
def test_a_shortfall_that_is_none_clears_and_one_that_cannot_be_told_does_nothing(
    rule: Callable[[Loaded, Limits, bool], Finding],
) -> None:
    well, unsettled = loaded(Model()), loaded(Model(measured_gib=3.0, port="loading"))
    assert rule(model_of(well), LIMITS, False) == CLEAR
    assert rule(model_of(unsettled), LIMITS, False) == UNKNOWN


@pytest.mark.parametrize("rule", [silent_fallback, hidden_spill])
@pytest.mark.parametrize(("seconds", "told"), [(59.0, False), (60.0, True)])
def test_an_older_runner_is_given_a_minute_to_load(
    rule: Callable[[Loaded, Limits, bool], Finding], seconds: float, told: bool
) -> None:
    held = 0.2 if rule is silent_fallback else 6.0
    kind = "mlx_runner"
    model = loaded(Model(measured_gib=held, kind=kind, cpu_percent=0.0))
    found = rule(model_of(model, seconds), LIMITS, False)
    assert (found.level == "bad") is told
