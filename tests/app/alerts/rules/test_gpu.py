from __future__ import annotations

import pytest
from msgspec.structs import replace
from tests.fakes.samples import GIB, START
from tests.scene import Gpu, Machine

from gpumon.collectors.nvml.device import throttle_words
from gpumon.collectors.samples import GpuFacts, GpuMemory, GpuReading, GpuSlow

HOT_CARD = GpuFacts(slowdown_celsius=90)
FULL_LINK = GpuFacts(pcie_width_max=16, pcie_generation_max=4)
NARROW = GpuSlow(pcie_width=4, pcie_generation=4)
WIDE = GpuSlow(pcie_width=16, pcie_generation=4)
IDLE_LINK = GpuSlow(pcie_width=16, pcie_generation=1)


def seen(card: Gpu, looks: int) -> Machine:
    """Return a machine whose card was so for so many looks, a second apart."""
    return Machine(card).run(looks - 1)


def fails(machine: Machine, seconds: int) -> Machine:
    """Have the driver fail, and name no card."""
    machine.gpus, machine.driver = [], "failing"
    return machine.goes_on(seconds)


def linked(utilization: int, slow: GpuSlow | None) -> Gpu:
    return Gpu(utilization=utilization, facts=FULL_LINK, more={"slow": slow})


def test_full_vram_is_raised_after_five_seconds() -> None:
    full = Gpu(unowned_gib=23, reserved_gib=0.5)
    assert seen(full, 5).alert("vram_full") is None
    alert = seen(full, 6).raised("vram_full")
    assert alert.message == "GPU 0 memory is nearly full: 23.5 of 24.0 GiB (98%)"
    assert (alert.severity, alert.since) == ("watch", START)


def test_vram_without_a_known_reserve_counts_what_is_used() -> None:
    full = Gpu(unowned_gib=23.9, reserved_gib=None)
    assert seen(full, 6).raised("vram_full").peak == pytest.approx(99.6, abs=0.1)


def test_full_vram_ends_only_below_the_lower_limit() -> None:
    full = Gpu(unowned_gib=23.5)
    assert seen(full, 6).goes_on(54, Gpu(unowned_gib=22.6)).alert("vram_full") is not None
    assert seen(full, 6).goes_on(11, Gpu(unowned_gib=20)).alert("vram_full") is None


def test_memory_between_the_limits_does_not_raise() -> None:
    assert seen(Gpu(unowned_gib=22.6), 60).alert("vram_full") is None


def test_unified_memory_is_never_full_vram() -> None:
    def unified(reading: GpuReading) -> GpuReading:
        assert reading.memory
        return replace(reading, memory=replace(reading.memory, unified=True))

    machine = Machine(Gpu(unowned_gib=23.9))
    machine.retouch = unified
    assert machine.run(59).alert("vram_full") is None


def test_heat_slows_the_clocks_badly_after_three_seconds() -> None:
    slow = Gpu(throttle=("thermal slowdown (software)",))
    assert seen(slow, 3).alert("throttling") is None
    alert = seen(slow, 4).raised("throttling")
    assert alert.severity == "bad"
    assert alert.message == "GPU 0 is slowed down: thermal slowdown (software)"


def test_the_power_cap_alone_is_worth_watching_after_ten_seconds() -> None:
    capped = Gpu(throttle=("power cap",))
    assert seen(capped, 10).alert("throttling") is None
    assert seen(capped, 11).raised("throttling").severity == "watch"


def test_heat_must_last_by_itself_before_a_power_cap_becomes_bad() -> None:
    capped, both = Gpu(throttle=("power cap",)), Gpu(throttle=("power cap", "thermal slowdown (hardware)"))
    assert seen(capped, 20).goes_on(3, both).raised("throttling").severity == "watch"
    assert seen(capped, 20).goes_on(4, both).raised("throttling").severity == "bad"


@pytest.mark.parametrize("bit", [0x1, 0x2, 0x10, 0x100, 0x400])
def test_idle_chosen_clocks_and_full_boost_are_no_trouble(bit: int) -> None:
    assert seen(Gpu(throttle=throttle_words(bit)), 60).alert("throttling") is None


@pytest.mark.parametrize("bit", [0x8, 0x20, 0x40, 0x80])
def test_every_way_in_which_the_board_protects_itself_is_bad(bit: int) -> None:
    assert seen(Gpu(throttle=throttle_words(bit)), 4).raised("throttling").severity == "bad"


def test_a_reason_that_no_header_names_is_worth_watching() -> None:
    assert seen(Gpu(throttle=throttle_words(0x8000)), 11).raised("throttling").severity == "watch"


@pytest.mark.parametrize(("temperature", "severity"), [(86, None), (87, "watch"), (89, "watch"), (90, "bad")])
def test_heat_is_read_against_the_cards_own_limit(temperature: int, severity: str | None) -> None:
    alert = seen(Gpu(temperature=temperature, facts=HOT_CARD), 4).alert("too_hot")
    assert (alert.severity if alert else None) == severity


def test_a_card_that_does_not_state_its_limit_is_never_too_hot() -> None:
    assert seen(Gpu(temperature=105), 60).alert("too_hot") is None


def test_a_lost_gpu_is_raised_at_once() -> None:
    alert = seen(Gpu(), 1).goes_on(1, Gpu(state="lost", detail="fell off the bus")).raised("gpu_lost")
    assert (alert.severity, alert.since) == ("bad", START + 1)
    assert alert.message == "GPU 0 is lost: fell off the bus"


def test_a_gpu_that_comes_back_ends_its_alert() -> None:
    machine = seen(Gpu(state="lost"), 1)
    machine.gpus = [Gpu()]
    recent = machine.look(at=5).look(at=8).monitor.alerts.recent
    assert [alert.ended for alert in recent] == ["recovered"]


def test_a_gpu_that_answers_with_errors_for_a_while_is_worth_watching() -> None:
    assert seen(Gpu(state="failing", detail="Unknown Error"), 4).raised("gpu_lost").severity == "watch"


def test_a_gpu_that_is_no_longer_listed_ends_its_alerts() -> None:
    machine = Machine(Gpu(), Gpu(state="lost")).look()
    recent = machine.goes_on(1, Gpu()).monitor.alerts.recent
    assert [alert.ended for alert in recent] == ["gone"]


def test_a_driver_that_fails_does_not_end_the_alerts_of_its_gpus() -> None:
    assert fails(seen(Gpu(state="lost"), 1), 59).raised("gpu_lost").since == START


def test_old_readings_do_not_count_as_lasting_trouble() -> None:
    assert fails(seen(Gpu(unowned_gib=23.9), 1), 59).alert("vram_full") is None


def test_samples_of_other_sources_do_not_count_as_lasting_trouble() -> None:
    machine = Machine(Gpu(unowned_gib=23.9))
    machine.ollama()
    machine.look()
    for at in range(1, 60):
        machine.look("servers", "system", at=at)
    assert machine.alert("vram_full") is None


def test_a_narrow_link_under_load_is_raised_after_ten_seconds() -> None:
    narrow = linked(95, NARROW)
    assert seen(narrow, 10).alert("pcie_link") is None
    alert = seen(narrow, 11).raised("pcie_link")
    assert alert.message == "GPU 0 PCIe link is below its maximum under load: width 4 of 16"


def test_an_idle_link_may_be_slow() -> None:
    assert seen(linked(0, IDLE_LINK), 60).alert("pcie_link") is None


def test_a_link_read_while_idle_says_nothing_about_the_load_that_follows() -> None:
    assert seen(linked(0, IDLE_LINK), 1).goes_on(59, linked(99, None)).alert("pcie_link") is None


def test_a_link_that_is_read_seldom_is_raised_too() -> None:
    machine = seen(linked(99, NARROW), 1).goes_on(9, linked(99, None)).goes_on(1, linked(99, NARROW))
    assert machine.raised("pcie_link").since == START


def test_a_link_alert_outlasts_idle_times_and_ends_with_a_good_link_under_load() -> None:
    machine = seen(linked(95, NARROW), 11).goes_on(49, linked(0, WIDE))
    assert machine.alert("pcie_link") is not None
    assert machine.goes_on(11, linked(95, WIDE)).alert("pcie_link") is None


def test_uncorrectable_memory_errors_are_bad_at_once() -> None:
    alert = seen(Gpu(more={"slow": GpuSlow(ecc_uncorrected=1)}), 1).raised("ecc")
    assert alert.message == "GPU 0 has had 1 uncorrectable memory error since the driver was loaded"
    assert alert.severity == "bad"


def test_corrected_memory_errors_raise_nothing() -> None:
    slow = GpuSlow(ecc_corrected=9, ecc_uncorrected=0)
    assert seen(Gpu(more={"slow": slow}), 1).alert("ecc") is None


def test_unknown_figures_neither_raise_nor_end() -> None:
    machine = seen(Gpu(unowned_gib=23.9, temperature=95, throttle=("thermal",), facts=HOT_CARD), 10)
    kinds = {alert.kind for alert in machine.alerts()}
    assert kinds == {"vram_full", "too_hot", "throttling"}
    blind = Gpu(
        utilization=None, temperature=None, throttle=None, more={"memory": GpuMemory(total_bytes=24 * GIB)}
    )
    assert {alert.kind for alert in machine.goes_on(90, blind).alerts()} == kinds


def test_a_gpu_that_falls_asleep_is_no_longer_hot_or_full() -> None:
    hot = Gpu(unowned_gib=23.9, temperature=95, facts=HOT_CARD)
    assert seen(hot, 10).goes_on(11, Gpu(state="asleep")).alerts() == []


def test_alerts_of_two_gpus_do_not_mix() -> None:
    machine = Machine(Gpu(state="lost"), Gpu(state="lost")).look()
    assert {alert.subject for alert in machine.alerts()} == {"GPU 0", "GPU 1"}


def test_a_gpu_that_falls_asleep_has_not_mended_its_link() -> None:
    machine = seen(linked(95, NARROW), 11).goes_on(10, Gpu(state="asleep"))
    assert [alert.kind for alert in machine.alerts()] == ["pcie_link"]
