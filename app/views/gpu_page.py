"""The page of a GPU: every figure with its origin, and its history."""

from __future__ import annotations

from gpumon.app.alerts.book import AlertBook
from gpumon.app.insight.wording import gpu_label
from gpumon.app.state.records import GpuRecord
from gpumon.app.state.state import State
from gpumon.app.views.charts import gpu_charts
from gpumon.app.views.facts.holders import holder_facts
from gpumon.app.views.gpus import age
from gpumon.app.views.page import NVML, PageView, of_maximum, page_verdict, prefixed, text_of
from gpumon.text import units
from gpumon.text.safe import visible
from gpumon.widgets.views import Fact, VerdictView


def gpu_page(uuid: str, state: State, alerts: AlertBook, seconds: float) -> PageView:
    """Build the page of the GPU ``uuid`` with ``seconds`` of history."""
    record = state.gpus.get(uuid)
    if record is None:
        return PageView(VerdictView("unknown", "this GPU is no longer listed"))
    title = f"{gpu_label(record)} {visible(record.reading.name or '')}"
    verdict = page_verdict(title, uuid, alerts, is_known(record, state), gpu_label(record))
    return PageView(verdict, gpu_facts(record, state), gpu_charts(record, state.now, seconds))


def is_known(record: GpuRecord, state: State) -> bool:
    """Tell whether the driver says, now, how the GPU is: one that answers nothing is not known to be well."""
    reading = record.reading
    says = (reading.memory, reading.utilization_percent, reading.temperature_celsius, reading.power_watts)
    return reading.state == "ok" and age(state) is None and any(value is not None for value in says)


def gpu_facts(record: GpuRecord, state: State) -> tuple[Fact, ...]:
    """Return the figures of a GPU's page."""
    return (*_gpu_memory(record), *holder_facts(record, state), *_gpu_load(record), *_gpu_link(record))


def _gpu_memory(record: GpuRecord) -> list[Fact]:
    reading, memory = record.reading, record.reading.memory
    facts = [
        Fact("UUID", visible(reading.uuid), NVML),
        Fact("PCI bus", visible(reading.pci_bus_id or units.UNKNOWN), NVML),
    ]
    if memory is None:
        return facts
    label = "memory (unified)" if memory.unified else "VRAM"
    used = f"{units.size(memory.used_bytes)} of {units.size(memory.total_bytes)}"
    return [
        *facts,
        Fact(f"{label} in use", used, NVML),
        Fact(f"{label} free", units.size(memory.free_bytes), NVML),
        Fact(f"{label} reserved", units.size(memory.reserved_bytes), NVML),
    ]


def _gpu_load(record: GpuRecord) -> list[Fact]:
    reading, facts = record.reading, record.facts
    throttle = reading.throttle_reasons
    held = units.UNKNOWN if throttle is None else ", ".join(throttle) or "nothing"
    return [
        Fact("utilisation", units.percent(reading.utilization_percent), NVML),
        Fact("memory controller", units.percent(reading.memory_utilization_percent), NVML),
        Fact(
            "power", f"{units.watts(reading.power_watts)} of {units.watts(reading.power_limit_watts)}", NVML
        ),
        Fact("temperature", _temperature(record), NVML),
        Fact("fan", units.percent(reading.fan_percent), NVML),
        Fact("SM clock", of_maximum(reading.sm_clock_mhz, facts.max_sm_clock_mhz, "MHz"), NVML),
        Fact("memory clock", of_maximum(reading.memory_clock_mhz, facts.max_memory_clock_mhz, "MHz"), NVML),
        Fact("performance state", prefixed("P", reading.performance_state), NVML),
        Fact("clocks held down by", held, NVML, "watch" if throttle else None),
    ]


def _gpu_link(record: GpuRecord) -> list[Fact]:
    reading, slow, facts = record.reading, record.slow, record.facts
    ecc = f"{text_of(slow.ecc_corrected)} corrected, {text_of(slow.ecc_uncorrected)} uncorrected"
    return [
        Fact("PCIe generation", of_maximum(slow.pcie_generation, facts.pcie_generation_max), NVML),
        Fact("PCIe lanes", of_maximum(slow.pcie_width, facts.pcie_width_max), NVML),
        Fact("PCIe in", units.byte_rate(reading.pcie_receive_bytes_per_second), NVML),
        Fact("PCIe out", units.byte_rate(reading.pcie_transmit_bytes_per_second), NVML),
        Fact("memory bus", of_maximum(facts.memory_bus_width_bits, None, "bit"), NVML),
        Fact("encoder", units.percent(slow.encoder_percent), NVML),
        Fact("decoder", units.percent(slow.decoder_percent), NVML),
        Fact("ECC errors", ecc if slow.ecc_enabled else "ECC off or not there", NVML),
        Fact("MIG", {None: "not there", True: "on", False: "off"}[slow.mig_mode], NVML),
    ]


def _temperature(record: GpuRecord) -> str:
    reading, facts = record.reading, record.facts
    now = units.celsius(reading.temperature_celsius)
    if facts.slowdown_celsius is None:
        return now
    limits = f"slows down at {units.celsius(facts.slowdown_celsius)}"
    return f"{now}, {limits}, shuts down at {units.celsius(facts.shutdown_celsius)}"
