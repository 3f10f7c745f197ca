from __future__ import annotations

import pytest
from tests.fakes.samples import START, gpu, nvml, ollama
from tests.scene import after

from gpumon.collectors.nvml.device import throttle_words
from gpumon.collectors.samples import GpuFacts, GpuSlow

HOT_CARD = GpuFacts(slowdown_celsius=90)
FULL_LINK = GpuFacts(pcie_width_max=16, pcie_generation_max=4)
NARROW = GpuSlow(pcie_width=4, pcie_generation=4)
WIDE = GpuSlow(pcie_width=16, pcie_generation=4)


def test_full_vram_is_raised_after_five_seconds() -> None:
    full = gpu(used_gib=23, reserved_gib=0.5)
    assert after(*(nvml(at, full) for at in range(5))).alert("vram_full") is None
    alert = after(*(nvml(at, full) for at in range(6))).raised("vram_full")
    assert alert.message == "GPU 0 memory is nearly full: 23.5 of 24.0 GiB (98%)"
    assert (alert.severity, alert.since) == ("watch", START)


def test_vram_without_a_known_reserve_counts_what_is_used() -> None:
    full = gpu(used_gib=23.9, reserved_gib=None)
    assert after(*(nvml(at, full) for at in range(6))).raised("vram_full").peak == pytest.approx(
        99.6, abs=0.1
    )


def test_full_vram_ends_only_below_the_lower_limit() -> None:
    full, between, well = gpu(used_gib=23.5), gpu(used_gib=22.6), gpu(used_gib=20)
    start = [nvml(at, full) for at in range(6)]
    assert after(*start, *(nvml(at, between) for at in range(6, 60))).alert("vram_full") is not None
    assert after(*start, *(nvml(at, well) for at in range(6, 17))).alert("vram_full") is None


def test_memory_between_the_limits_does_not_raise() -> None:
    assert after(*(nvml(at, gpu(used_gib=22.6)) for at in range(60))).alert("vram_full") is None


def test_unified_memory_is_never_full_vram() -> None:
    full = gpu(used_gib=23.9, unified=True)
    assert after(*(nvml(at, full) for at in range(60))).alert("vram_full") is None


def test_heat_slows_the_clocks_badly_after_three_seconds() -> None:
    slow = gpu(throttle=("thermal slowdown (software)",))
    assert after(*(nvml(at, slow) for at in range(3))).alert("throttling") is None
    alert = after(*(nvml(at, slow) for at in range(4))).raised("throttling")
    assert alert.severity == "bad"
    assert alert.message == "GPU 0 is slowed down: thermal slowdown (software)"


def test_the_power_cap_alone_is_worth_watching_after_ten_seconds() -> None:
    capped = gpu(throttle=("power cap",))
    assert after(*(nvml(at, capped) for at in range(10))).alert("throttling") is None
    assert after(*(nvml(at, capped) for at in range(11))).raised("throttling").severity == "watch"


def test_heat_must_last_by_itself_before_a_power_cap_becomes_bad() -> None:
    both = gpu(throttle=("power cap", "thermal slowdown (hardware)"))
    capped = [nvml(at, gpu(throttle=("power cap",))) for at in range(20)]
    assert after(*capped, *(nvml(at, both) for at in range(20, 23))).raised("throttling").severity == "watch"
    assert after(*capped, *(nvml(at, both) for at in range(20, 24))).raised("throttling").severity == "bad"


@pytest.mark.parametrize("bit", [0x1, 0x2, 0x10, 0x100, 0x400])
def test_idle_chosen_clocks_and_full_boost_are_no_trouble(bit: int) -> None:
    harmless = gpu(throttle=throttle_words(bit))
    assert after(*(nvml(at, harmless) for at in range(60))).alert("throttling") is None


@pytest.mark.parametrize("bit", [0x8, 0x20, 0x40, 0x80])
def test_every_way_in_which_the_board_protects_itself_is_bad(bit: int) -> None:
    severe = gpu(throttle=throttle_words(bit))
    assert after(*(nvml(at, severe) for at in range(4))).raised("throttling").severity == "bad"


def test_a_reason_that_no_header_names_is_worth_watching() -> None:
    strange = gpu(throttle=throttle_words(0x8000))
    assert after(*(nvml(at, strange) for at in range(11))).raised("throttling").severity == "watch"


@pytest.mark.parametrize(("temperature", "severity"), [(86, None), (87, "watch"), (89, "watch"), (90, "bad")])
def test_heat_is_read_against_the_cards_own_limit(temperature: int, severity: str | None) -> None:
    hot = gpu(temperature=temperature, facts=HOT_CARD)
    alert = after(*(nvml(at, hot) for at in range(4))).alert("too_hot")
    assert (alert.severity if alert else None) == severity


def test_a_card_that_does_not_state_its_limit_is_never_too_hot() -> None:
    assert after(*(nvml(at, gpu(temperature=105)) for at in range(60))).alert("too_hot") is None


def test_a_lost_gpu_is_raised_at_once() -> None:
    alert = after(nvml(0, gpu()), nvml(1, gpu(state="lost", detail="fell off the bus"))).raised("gpu_lost")
    assert (alert.severity, alert.since) == ("bad", START + 1)
    assert alert.message == "GPU 0 is lost: fell off the bus"


def test_a_gpu_that_comes_back_ends_its_alert() -> None:
    samples = [nvml(0, gpu(state="lost")), nvml(5, gpu()), nvml(8, gpu())]
    assert [alert.ended for alert in after(*samples).monitor.alerts.recent] == ["recovered"]


def test_a_gpu_that_answers_with_errors_for_a_while_is_worth_watching() -> None:
    failing = [nvml(at, gpu(state="failing", detail="Unknown Error")) for at in range(4)]
    assert after(*failing).raised("gpu_lost").severity == "watch"


def test_a_gpu_that_is_no_longer_listed_ends_its_alerts() -> None:
    monitor = after(nvml(0, gpu(0, state="lost"), gpu(1)), nvml(1, gpu(1))).monitor
    assert [alert.ended for alert in monitor.alerts.recent] == ["gone"]


def test_a_driver_that_fails_does_not_end_the_alerts_of_its_gpus() -> None:
    samples = [nvml(0, gpu(state="lost")), *(nvml(at, state="failing") for at in range(1, 60))]
    assert after(*samples).raised("gpu_lost").since == START


def test_old_readings_do_not_count_as_lasting_trouble() -> None:
    samples = [nvml(0, gpu(used_gib=23.9)), *(nvml(at, state="failing") for at in range(1, 60))]
    assert after(*samples).alert("vram_full") is None


def test_samples_of_other_sources_do_not_count_as_lasting_trouble() -> None:
    others = [ollama(at) for at in range(1, 60)]
    assert after(nvml(0, gpu(used_gib=23.9)), *others).alert("vram_full") is None


def test_a_narrow_link_under_load_is_raised_after_ten_seconds() -> None:
    narrow = gpu(utilization=95, facts=FULL_LINK, slow=NARROW)
    assert after(*(nvml(at, narrow) for at in range(10))).alert("pcie_link") is None
    alert = after(*(nvml(at, narrow) for at in range(11))).raised("pcie_link")
    assert alert.message == "GPU 0 PCIe link is below its maximum under load: width 4 of 16"


def test_an_idle_link_may_be_slow() -> None:
    idle = gpu(utilization=0, facts=FULL_LINK, slow=GpuSlow(pcie_width=16, pcie_generation=1))
    assert after(*(nvml(at, idle) for at in range(60))).alert("pcie_link") is None


def test_a_link_read_while_idle_says_nothing_about_the_load_that_follows() -> None:
    idle = gpu(utilization=0, facts=FULL_LINK, slow=GpuSlow(pcie_width=16, pcie_generation=1))
    busy = [nvml(at, gpu(utilization=99, facts=FULL_LINK)) for at in range(1, 60)]
    assert after(nvml(0, idle), *busy).alert("pcie_link") is None


def test_a_link_that_is_read_seldom_is_raised_too() -> None:
    busy = [
        nvml(at, gpu(utilization=99, facts=FULL_LINK, slow=None if at % 10 else NARROW)) for at in range(11)
    ]
    assert after(*busy).raised("pcie_link").since == START


def test_a_link_alert_outlasts_idle_times_and_ends_with_a_good_link_under_load() -> None:
    narrow = [nvml(at, gpu(utilization=95, facts=FULL_LINK, slow=NARROW)) for at in range(11)]
    idle = [nvml(at, gpu(utilization=0, facts=FULL_LINK, slow=WIDE)) for at in range(11, 60)]
    wide = [nvml(at, gpu(utilization=95, facts=FULL_LINK, slow=WIDE)) for at in range(60, 71)]
    assert after(*narrow, *idle).alert("pcie_link") is not None
    assert after(*narrow, *idle, *wide).alert("pcie_link") is None


def test_uncorrectable_memory_errors_are_bad_at_once() -> None:
    alert = after(nvml(0, gpu(slow=GpuSlow(ecc_uncorrected=1)))).raised("ecc")
    assert alert.message == "GPU 0 has had 1 uncorrectable memory error since the driver was loaded"
    assert alert.severity == "bad"


def test_corrected_memory_errors_raise_nothing() -> None:
    slow = GpuSlow(ecc_corrected=9, ecc_uncorrected=0)
    assert after(nvml(0, gpu(slow=slow))).alert("ecc") is None


def test_unknown_figures_neither_raise_nor_end() -> None:
    blind = gpu(used_gib=None, reserved_gib=None, utilization=None, temperature=None, throttle=None)
    hot = gpu(used_gib=23.9, temperature=95, throttle=("thermal",), facts=HOT_CARD)
    monitor = after(*(nvml(at, hot) for at in range(10))).monitor
    kinds = {alert.kind for alert in monitor.alerts.active}
    assert kinds == {"vram_full", "too_hot", "throttling"}
    for at in range(10, 100):
        monitor.feed(nvml(at, blind))
    assert {alert.kind for alert in monitor.alerts.active} == kinds


def test_a_gpu_that_falls_asleep_is_no_longer_hot_or_full() -> None:
    hot = [nvml(at, gpu(used_gib=23.9, temperature=95, facts=HOT_CARD)) for at in range(10)]
    asleep = [nvml(at, gpu(state="asleep")) for at in range(10, 21)]
    assert after(*hot, *asleep).monitor.alerts.active == ()


def test_alerts_of_two_gpus_do_not_mix() -> None:
    monitor = after(nvml(0, gpu(0, state="lost"), gpu(1, state="lost"))).monitor
    assert {alert.subject for alert in monitor.alerts.active} == {"GPU 0", "GPU 1"}


def test_a_gpu_that_falls_asleep_has_not_mended_its_link() -> None:
    narrow = [nvml(at, gpu(utilization=95, facts=FULL_LINK, slow=NARROW)) for at in range(11)]
    asleep = [nvml(at, gpu(state="asleep")) for at in range(11, 21)]
    assert [alert.kind for alert in after(*narrow, *asleep).monitor.alerts.active] == ["pcie_link"]
