"""Every figure of a GPU's row and page."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from tests.fakes.process_samples import processes
from tests.fakes.recordings import scenario_samples
from tests.fakes.samples import GIB, gpu, nvml
from tests.scene import Gpu, Machine, Program, after

from gpumon.app.demo.story import PRELUDE_SECONDS
from gpumon.app.picture.gpu import GpuPicture
from gpumon.app.picture.pictures import Pictures
from gpumon.app.state.records import Returned
from gpumon.app.views.gpu_page import gpu_page
from gpumon.app.views.gpus import GROUP_WORDS, RETURNED_SHOWN, gpu_facts, gpu_row, holder_facts
from gpumon.collectors.samples import (
    GpuFacts,
    GpuMemory,
    GpuProcess,
    GpuReading,
    GpuSlow,
    HolderGroup,
    HolderProcess,
)
from gpumon.text import units
from gpumon.widgets.views import ChartView, Fact, Section

FACTS = GpuFacts(
    memory_bus_width_bits=384,
    max_sm_clock_mhz=2520,
    max_memory_clock_mhz=10501,
    slowdown_celsius=90,
    shutdown_celsius=95,
    pcie_generation_max=4,
    pcie_width_max=16,
)
SLOW = GpuSlow(
    pcie_generation=3,
    pcie_width=8,
    encoder_percent=11,
    decoder_percent=12,
    ecc_enabled=True,
    ecc_corrected=2,
    ecc_uncorrected=1,
    mig_mode=False,
)
READING = replace(
    gpu(facts=FACTS, slow=SLOW),
    name="RTX 4090",
    pci_bus_id="0000:01:00.0",
    memory=GpuMemory(
        total_bytes=24 * GIB, used_bytes=4 * GIB, free_bytes=19 * GIB, reserved_bytes=GIB, unified=False
    ),
    utilization_percent=41,
    memory_utilization_percent=42,
    temperature_celsius=60,
    fan_percent=43,
    power_watts=300.0,
    power_limit_watts=450.0,
    sm_clock_mhz=2000,
    memory_clock_mhz=9000,
    performance_state=2,
    pcie_receive_bytes_per_second=1.0 * GIB,
    pcie_transmit_bytes_per_second=2.0 * GIB,
)


def picture(reading: GpuReading = READING) -> GpuPicture:
    [found] = Pictures(after(nvml(0, reading)).state).gpus()
    return found


def page(reading: GpuReading = READING) -> dict[str, Fact]:
    return {fact.label: fact for fact in gpu_facts(picture(reading))}


def value(label: str, **fields: object) -> str:
    return page(replace(READING, **fields))[label].value


def told_slowly(label: str, **fields: object) -> str:
    return value(label, slow=replace(SLOW, **fields))


def test_the_row_has_the_figures_of_the_driver() -> None:
    row = gpu_row(picture())
    assert (row.key, row.index, row.name, row.level) == ("GPU-0", 0, "RTX 4090", "ok")
    assert (row.total_bytes, row.used_bytes, row.free_bytes) == (24 * GIB, 4 * GIB, 19 * GIB)
    assert row.utilization_percent == 41
    assert (row.power_watts, row.power_limit_watts) == (300.0, 450.0)
    assert (row.temperature_celsius, row.slowdown_celsius) == (60, 90)
    assert (row.unified, row.age_seconds) == (False, None)
    assert row.utilization_trend[-1] == 41


def test_the_row_of_one_without_memory_knows_no_bytes() -> None:
    row = gpu_row(picture(replace(READING, memory=None)))
    assert (row.total_bytes, row.used_bytes, row.free_bytes, row.unified) == (None, None, None, False)


def test_the_row_of_one_without_a_name_says_so() -> None:
    assert gpu_row(picture(replace(READING, name=None))).name == "unnamed GPU"


def test_the_row_says_how_old_its_figures_are() -> None:
    [found] = Pictures(after(nvml(0, READING)).is_silent("nvml", 30, at=30).state).gpus()
    assert gpu_row(found).age_seconds == 30.0


def test_unified_memory_is_called_so() -> None:
    shared = replace(READING, memory=GpuMemory(total_bytes=8 * GIB, used_bytes=GIB, unified=True))
    assert gpu_row(picture(shared)).unified
    assert page(shared)["memory (unified) in use"].value == "1.0 GiB of 8.0 GiB"


def test_the_page_has_every_figure_with_its_origin() -> None:
    found = page()
    assert {label: fact.value for label, fact in found.items() if label != "processes"} == {
        "UUID": "GPU-0",
        "PCI bus": "0000:01:00.0",
        "VRAM in use": "4.0 GiB of 24.0 GiB",
        "VRAM free": "19.0 GiB",
        "VRAM reserved": "1.0 GiB",
        "utilisation": "41%",
        "memory controller": "42%",
        "power": "300 W of 450 W",
        "temperature": "60°C, slows down at 90°C, shuts down at 95°C",
        "fan": "43%",
        "SM clock": "2000 of 2520 MHz",
        "memory clock": "9000 of 10501 MHz",
        "performance state": "P2",
        "clocks held down by": "nothing",
        "PCIe generation": "3 of 4",
        "PCIe lanes": "8 of 16",
        "PCIe in": "1.0 GiB/s",
        "PCIe out": "2.0 GiB/s",
        "memory bus": "384 bit",
        "encoder": "11%",
        "decoder": "12%",
        "ECC errors": "2 corrected, 1 uncorrected",
        "MIG": "off",
    }
    assert {fact.origin for fact in found.values()} == {"NVML"}


def test_of_one_that_tells_nothing_only_what_it_is_is_said() -> None:
    found = page(GpuReading(uuid="GPU-0", index=0))
    assert (found["UUID"].value, found["PCI bus"].value) == ("GPU-0", "-")
    assert "VRAM in use" not in found
    assert (found["performance state"].value, found["fan"].value) == ("-", "-")
    assert (found["clocks held down by"].value, found["clocks held down by"].level) == ("-", None)


def test_what_holds_the_clocks_down_is_named_and_marked() -> None:
    held = page(replace(READING, throttle_reasons=("power cap", "heat")))["clocks held down by"]
    assert (held.value, held.level) == ("power cap, heat", "watch")
    assert page()["clocks held down by"].level is None


def test_a_temperature_without_limits_stands_alone() -> None:
    assert value("temperature", facts=GpuFacts()) == "60°C"


@pytest.mark.parametrize("enabled", [False, None])
def test_errors_are_not_counted_where_ecc_is_off(enabled: bool | None) -> None:
    assert told_slowly("ECC errors", ecc_enabled=enabled) == "ECC off or not there"


@pytest.mark.parametrize(("mode", "words"), [(None, "not there"), (True, "on"), (False, "off")])
def test_mig_is_on_off_or_not_there(mode: bool | None, words: str) -> None:
    assert told_slowly("MIG", mig_mode=mode) == words


def test_the_page_of_one_that_is_well_is_headed_by_its_name() -> None:
    found = gpu_page("GPU-0", Pictures(after(nvml(0, READING)).state), 300.0)
    assert (found.verdict.level, found.verdict.sentence) == ("ok", "GPU 0 RTX 4090")


def test_one_that_tells_nothing_is_not_said_to_be_well() -> None:
    found = gpu_page("GPU-0", Pictures(after(nvml(0, GpuReading(uuid="GPU-0", index=0))).state), 300.0)
    assert found.verdict.level == "unknown"


def test_one_that_has_gone_says_so() -> None:
    found = gpu_page("GPU-7", Pictures(after(nvml(0, READING)).state), 300.0)
    assert (found.verdict.level, found.verdict.sentence) == ("unknown", "this GPU is no longer listed")
    assert (found.facts, found.charts) == ((), ())


def charts_of(reading: GpuReading, seconds: int = 1) -> tuple[ChartView, ...]:
    samples = [nvml(float(at), reading) for at in range(seconds)]
    return gpu_page("GPU-0", Pictures(after(*samples).state), 300.0).charts


def newest(chart: ChartView) -> float | None:
    return next((value for value in reversed(chart.series[0].values) if value is not None), None)


def test_the_charts_have_the_limits_of_the_card_as_lines_and_the_newest_value_in_words() -> None:
    charts = charts_of(READING, 4)
    assert [(chart.title, chart.unit, chart.limit, chart.value, newest(chart)) for chart in charts] == [
        ("VRAM in use", "GiB", 24.0, "4.0", 4.0),
        ("utilisation", "%", None, "41", 41),
        ("power", "W", 450.0, "300", 300.0),
        ("temperature", "°C", 90, "60", 60),
    ]
    assert charts[1].ceiling == 100.0


def test_without_limits_charts_have_no_lines() -> None:
    bare = replace(READING, memory=None, power_limit_watts=None, facts=GpuFacts())
    assert [(chart.limit, chart.limit_words) for chart in charts_of(bare)] == 4 * [(None, "")]


@pytest.mark.parametrize(("seconds", "shown"), [(4, 60.0), (44, 60.0), (80, 120.0), (290, 300.0)])
def test_the_charts_grow_with_what_is_known(seconds: int, shown: float) -> None:
    assert [chart.seconds for chart in charts_of(READING, seconds)] == 4 * [shown]


def test_what_holds_the_card_back_is_charted_first() -> None:
    hot = replace(READING, throttle_reasons=("thermal slowdown (software)",))
    assert charts_of(hot)[0].title == "temperature"


def section(title: str, reading: GpuReading = READING) -> Section:
    found = gpu_page("GPU-0", Pictures(after(nvml(0, reading)).state), 300.0)
    return next(one for one in found.sections if one.title == title)


def test_the_page_begins_with_who_holds_its_memory_on_the_scale_of_the_card() -> None:
    held = replace(READING, processes=(GpuProcess(pid=7, vram_bytes=3 * GIB),))
    rows = section("HELD BY", held).bars
    assert [(row.label, row.figure, row.note) for row in rows] == [
        ("in another namespace", "3.0", "pid 7"),
        ("of no known process", "1.0", ""),
        ("reserved by the driver", "1.0", ""),
        ("free", "19.0", ""),
    ]
    assert {row.scale for row in rows} == {24.0}
    assert sum(part.size for row in rows for part in row.parts) == 24.0


def test_what_limits_it_stands_beside_the_most_that_it_can_be() -> None:
    found = section("LIMITS")
    assert [(row.label, row.figure or row.note) for row in found.bars] == [
        ("busy", "41%"),
        ("clock", "2000 of 2520 MHz"),
        ("power", "300 of 450 W"),
        ("temperature", "60 of 90 °C"),
        ("PCIe", "generation 3 of 4, 8 of 16 lanes"),
    ]
    assert [(fact.label, fact.value) for fact in found.facts] == [("held back by", "nothing")]


def test_the_figure_that_is_wrong_is_marked_and_no_other() -> None:
    capped = section("LIMITS", replace(READING, throttle_reasons=("power cap",)))
    assert [row.label for row in capped.bars if row.level == "bad"] == ["clock", "power"]
    assert (capped.facts[0].value, capped.facts[0].level) == ("power cap", "bad")


def test_what_is_harmless_holds_nothing_back() -> None:
    idle = section("LIMITS", replace(READING, throttle_reasons=("idle",)))
    assert idle.facts[0].value == "nothing"


def test_a_lost_card_says_since_when_and_what_brings_it_back() -> None:
    lost = after(nvml(0, READING), nvml(1, replace(READING, state="lost", memory=None)))
    found = gpu_page("GPU-0", Pictures(lost.state), 300.0)
    first = found.sections[0]
    assert first.title == "LOST"
    assert {fact.label: fact.value for fact in first.facts}["to bring it back"] == (
        "sudo nvidia-smi -i 0 --gpu-reset, or a reboot"
    )
    assert "HELD BY" not in [one.title for one in found.sections]


def test_what_it_costs_is_told_of_each_model_on_it_while_it_is_held_back() -> None:
    hot = after(*scenario_samples("throttle", PRELUDE_SECONDS + 70))
    [card] = hot.monitor.pictures.gpus()
    [cost] = gpu_page(card.uuid, hot.monitor.pictures, 300.0).sections[-1].facts
    assert cost.label == "qwen3:32b"
    assert cost.value.endswith("at full clocks")
    assert " tok/s now, about " in cost.value
    cool = after(*scenario_samples("throttle", PRELUDE_SECONDS + 10))
    titles = [one.title for one in gpu_page(card.uuid, cool.monitor.pictures, 300.0).sections]
    assert titles == ["HELD BY", "LIMITS"]


def test_what_the_sections_say_is_not_among_the_rest() -> None:
    found = gpu_page("GPU-0", Pictures(after(nvml(0, READING)).state), 300.0)
    rest = [fact.label for fact in found.rest]
    assert {"UUID", "PCI bus", "fan", "ECC errors"} <= set(rest)
    assert not {"VRAM in use", "power", "SM clock", "PCIe lanes"} & set(rest)


def test_the_event_from_which_it_was_opened_is_marked() -> None:
    machine = after(*(nvml(float(at), READING) for at in range(30)))
    charts = gpu_page("GPU-0", Pictures(machine.state), 300.0, machine.state.now - 10).charts
    assert [word for chart in charts for _, word in chart.marks] == 4 * ["event"]


@pytest.mark.parametrize("group", GROUP_WORDS)
def test_each_group_of_holders_has_its_words(group: HolderGroup) -> None:
    held = replace(READING, processes=(GpuProcess(pid=7, vram_bytes=GIB),))
    holder = HolderProcess(pid=7, name="prog", group=group)
    [found] = Pictures(after(processes(0, holders=[holder]), nvml(1, held)).state).gpus()
    assert holder_facts(found) == [Fact(GROUP_WORDS[group], "1.0 GiB  prog 1.0 GiB (pid 7)", "NVML")]


def test_a_process_of_which_nothing_is_known_is_in_another_namespace() -> None:
    held = replace(READING, processes=(GpuProcess(pid=7, vram_bytes=GIB),))
    [fact] = holder_facts(picture(held))
    assert fact.value == "1.0 GiB  in another namespace 1.0 GiB (pid 7)"


def test_of_what_came_back_the_newest_few_are_told() -> None:
    many = tuple(Returned("GPU-0", f"p{at}", GIB, 100.0 - at) for at in range(RETURNED_SHOWN + 2))
    found = [fact.value for fact in holder_facts(replace(picture(), groups=(), returned=many))]
    assert [words.split(": ")[1] for words in found] == [f"p{at} ended" for at in range(RETURNED_SHOWN)]


def notes(machine: Machine) -> list[str]:
    """Return what stands behind the bars of who holds the memory."""
    [gpu] = machine.pictures.gpus()
    [holders] = [
        one for one in gpu_page(gpu.uuid, machine.pictures, 300.0).sections if one.title == "HELD BY"
    ]
    return [bar.note for bar in holders.bars if bar.note]


def test_it_is_said_since_when_each_has_its_memory_where_that_was_seen() -> None:
    machine = Machine(Gpu(gib=24))
    program = machine.starts(Program("blender", 1.0, 300))
    machine.goes_on(3)
    assert notes(machine) == ["pid 300"]
    came = machine.starts(Program("game", 3.0, 301))
    machine.goes_on(1)
    when = units.clock(machine.state.now, units.TO_THE_MINUTE)
    assert notes(machine) == [f"pid {came.pid}, since {when}", "pid 300"]
    program.gib = 9.0
    machine.goes_on(1)
    assert notes(machine)[0] == f"pid {program.pid}, 8.0 GiB since {when}"
