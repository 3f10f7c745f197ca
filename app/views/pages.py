"""The labelled figures on a GPU's and a model's page, each with its origin."""

from __future__ import annotations

from dataclasses import dataclass

from gpumon.app.alerts.book import AlertBook
from gpumon.app.insight.wording import gpu_label, model_id, source_label
from gpumon.app.state.records import GpuRecord, ModelRecord
from gpumon.app.state.state import State
from gpumon.app.views.alerts import clock_words
from gpumon.app.views.charts import gpu_charts, model_charts
from gpumon.app.views.models import expiry_words, seconds_left, state_words
from gpumon.text import units
from gpumon.text.safe import visible
from gpumon.widgets.views import ChartView, Fact, VerdictView

NVML = "NVML"
PS = "/api/ps"
SHOW = "/api/show"
GPUMON = "gpumon"


def gpu_facts(record: GpuRecord) -> tuple[Fact, ...]:
    """Return the figures of a GPU's page."""
    return (*_gpu_memory(record), *_gpu_load(record), *_gpu_link(record), *_gpu_processes(record))


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
        Fact("SM clock", _of(reading.sm_clock_mhz, facts.max_sm_clock_mhz, "MHz"), NVML),
        Fact("memory clock", _of(reading.memory_clock_mhz, facts.max_memory_clock_mhz, "MHz"), NVML),
        Fact("performance state", _prefixed("P", reading.performance_state), NVML),
        Fact("clocks held down by", held, NVML, "watch" if throttle else None),
    ]


def _gpu_link(record: GpuRecord) -> list[Fact]:
    reading, slow, facts = record.reading, record.slow, record.facts
    ecc = f"{_text(slow.ecc_corrected)} corrected, {_text(slow.ecc_uncorrected)} uncorrected"
    return [
        Fact("PCIe generation", _of(slow.pcie_generation, facts.pcie_generation_max), NVML),
        Fact("PCIe lanes", _of(slow.pcie_width, facts.pcie_width_max), NVML),
        Fact("PCIe in", units.byte_rate(reading.pcie_receive_bytes_per_second), NVML),
        Fact("PCIe out", units.byte_rate(reading.pcie_transmit_bytes_per_second), NVML),
        Fact("memory bus", _of(facts.memory_bus_width_bits, None, "bit"), NVML),
        Fact("encoder", units.percent(slow.encoder_percent), NVML),
        Fact("decoder", units.percent(slow.decoder_percent), NVML),
        Fact("ECC errors", ecc if slow.ecc_enabled else "ECC off or not there", NVML),
        Fact("MIG", {None: "not there", True: "on", False: "off"}[slow.mig_mode], NVML),
    ]


def _gpu_processes(record: GpuRecord) -> list[Fact]:
    processes = record.reading.processes
    if processes is None:
        return [Fact("processes", "the driver does not say", NVML)]
    return [
        Fact(
            f"pid {process.pid}",
            f"{units.size(process.vram_bytes)}  {visible(process.name or 'in another namespace')}",
            NVML,
        )
        for process in sorted(processes, key=lambda process: -(process.vram_bytes or 0))
    ]


def model_facts(record: ModelRecord, state: State) -> tuple[Fact, ...]:
    """Return the figures of a model's page."""
    return (*_model_claim(record), *_model_times(record, state), *_model_geometry(record))


def _model_claim(record: ModelRecord) -> list[Fact]:
    claim, split = record.claim, record.split
    spilled = None if split.spill_fraction is None else split.spill_fraction * 100
    return [
        Fact("server", source_label(record.key.source), GPUMON),
        Fact("digest", visible(claim.digest or units.UNKNOWN), PS),
        Fact("size claimed", units.size(claim.size_bytes), PS),
        Fact("on GPU", units.size(split.gpu_bytes), PS),
        Fact("in RAM", units.size(split.ram_bytes), PS, "bad" if split.ram_bytes else None),
        Fact("spilled", units.percent(spilled), PS, "bad" if spilled else None),
        Fact("processor", record.processor, PS),
        Fact("context", f"{_text(claim.context_length)} tokens per slot", PS),
        Fact("quantisation", visible(claim.quantization or units.UNKNOWN), PS),
        Fact("parameters", visible(claim.parameter_size or units.UNKNOWN), PS),
        Fact("family", visible(claim.family or units.UNKNOWN), PS),
    ]


def _model_times(record: ModelRecord, state: State) -> list[Fact]:
    remaining = seconds_left(record, state)
    since = clock_words(record.spilled_since) if record.spilled_since else "-"
    return [
        Fact("seen since", clock_words(record.first_seen), GPUMON),
        Fact("spilled since", since, GPUMON),
        Fact("state", state_words(remaining) or units.UNKNOWN, PS),
        Fact("unloads in", expiry_words(remaining), PS),
    ]


def _model_geometry(record: ModelRecord) -> list[Fact]:
    facts = record.facts
    if facts is None:
        return [Fact("geometry", "not known yet", SHOW)]
    return [
        Fact("architecture", visible(facts.architecture or units.UNKNOWN), SHOW),
        Fact("layers", _text(facts.layer_count), SHOW),
        Fact("trained context", f"{_text(facts.trained_context_length)} tokens", SHOW),
        Fact("embedding length", _text(facts.embedding_length), SHOW),
        Fact("capabilities", visible(", ".join(facts.capabilities) or units.UNKNOWN), SHOW),
    ]


def _temperature(record: GpuRecord) -> str:
    reading, facts = record.reading, record.facts
    now = units.celsius(reading.temperature_celsius)
    if facts.slowdown_celsius is None:
        return now
    limits = f"slows down at {units.celsius(facts.slowdown_celsius)}"
    return f"{now}, {limits}, shuts down at {units.celsius(facts.shutdown_celsius)}"


def _of(value: int | None, maximum: int | None, unit: str = "") -> str:
    words = _text(value) if maximum is None else f"{_text(value)} of {maximum}"
    return f"{words} {unit}".strip()


def _prefixed(prefix: str, value: int | None) -> str:
    return units.UNKNOWN if value is None else f"{prefix}{value}"


def _text(value: int | None) -> str:
    return units.UNKNOWN if value is None else str(value)


@dataclass(frozen=True, slots=True)
class PageView:
    """One instant of a page."""

    verdict: VerdictView
    facts: tuple[Fact, ...] = ()
    charts: tuple[ChartView, ...] = ()


def gpu_page(uuid: str, state: State, alerts: AlertBook, seconds: float) -> PageView:
    """Build the page of the GPU ``uuid`` with ``seconds`` of history."""
    record = state.gpus.get(uuid)
    if record is None:
        return PageView(VerdictView("unknown", "this GPU is no longer listed"))
    title = f"{gpu_label(record)} {visible(record.reading.name or '')}"
    verdict = _page_verdict(title, uuid, alerts, record.reading.state == "ok")
    return PageView(verdict, gpu_facts(record), gpu_charts(record, state.now, seconds))


def model_page(subject_id: str, state: State, alerts: AlertBook, seconds: float) -> PageView:
    """Build the page of the model whose alerts have ``subject_id``."""
    key = next((key for key in state.models if model_id(key) == subject_id), None)
    if key is None:
        return PageView(VerdictView("unknown", "this model is no longer loaded"))
    record = state.models[key]
    title = visible(record.claim.name)
    verdict = _page_verdict(title, subject_id, alerts, record.split.spill_fraction is not None)
    return PageView(verdict, model_facts(record, state), model_charts(record, state.now, seconds))


def _page_verdict(title: str, subject_id: str, alerts: AlertBook, known: bool) -> VerdictView:
    """Return the worst alert on the subject, or its title with a healthy mark."""
    worst = next((alert for alert in alerts.active if alert.subject_id == subject_id), None)
    if worst is None:
        return VerdictView("ok" if known else "unknown", title)
    return VerdictView(
        worst.severity, f"{title}: {worst.message}" if title not in worst.message else worst.message
    )
