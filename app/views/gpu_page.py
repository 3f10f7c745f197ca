"""The page of a GPU: who holds its memory, what holds it back, what that costs, and how it went."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from msgspec.structs import replace

from gpumon.app.diagnosis.words import ESTIMATE, band_words, clock_words
from gpumon.app.insight.falls import costly_reasons
from gpumon.app.insight.wording import amount
from gpumon.app.insight.xids import xid_line
from gpumon.app.picture.gpu import GpuPicture, ModelHolding
from gpumon.app.picture.pictures import Pictures
from gpumon.app.state.holders.others import WORTH_TELLING_BYTES
from gpumon.app.state.series import Series
from gpumon.app.views.gpus import GROUP_WORDS, gpu_facts, holder_facts
from gpumon.app.views.page import (
    GPUMON,
    NVML,
    PageView,
    Window,
    area,
    happened_at,
    marks_in,
    of_maximum,
    text_of,
    window_of,
)
from gpumon.collectors.samples import GpuMemory
from gpumon.text import units
from gpumon.text.safe import visible
from gpumon.text.units import GIB
from gpumon.widgets.kit.lines import Level, Role
from gpumon.widgets.views import BarPart, BarRow, ChartView, Fact, Section, VerdictView

if TYPE_CHECKING:
    from gpumon.app.history.trends import Trends

MOST_OF_IT = 0.95
"""A part of what is held from which it is all but a trace."""


def gpu_page(
    uuid: str,
    pictures: Pictures,
    seconds: float,
    at: float | None = None,
    trends: Trends | None = None,
) -> PageView:
    """Build the page of the GPU ``uuid`` with at most ``seconds`` of history; ``at`` is a time to mark.

    ``trends`` know what was before this run.
    """
    gpu = pictures.gpu(uuid)
    if gpu is None:
        return PageView(VerdictView("unknown", "this GPU is no longer listed"))
    series = trends.of_gpu(gpu, seconds) if trends else gpu.series
    window = window_of(series, gpu.at, seconds, at)
    sections = (
        _lost(gpu),
        _errors(gpu),
        _holders(gpu) if gpu.memory or gpu.lost_since is None else Section(""),
        _limits(gpu),
        Section("COSTS", facts=tuple(_costs(gpu, pictures)) if _is_held_back(gpu) else ()),
    )
    return PageView(
        _verdict(gpu),
        gpu_facts(gpu),
        gpu_charts(replace(gpu, series=series), window, happened_at(at)),
        tuple(one for one in sections if one.bars or one.facts),
        said=SAID,
    )


def _verdict(gpu: GpuPicture) -> VerdictView:
    """Return the worst alert on a GPU, or its name with a healthy mark.

    Messages begin with its label: the longer title takes its place.
    """
    title, alert = f"{gpu.label} {visible(gpu.reading.name or '')}", gpu.alert
    if alert is None:
        return VerdictView("ok" if gpu.is_known else "unknown", title)
    if title in alert.message:
        return VerdictView(alert.severity, alert.message)
    if alert.message.startswith(f"{gpu.label} "):
        return VerdictView(alert.severity, f"{title}{alert.message.removeprefix(gpu.label)}")
    return VerdictView(alert.severity, f"{title}: {alert.message}")


SAID = (
    "VRAM in use",
    "VRAM free",
    "VRAM reserved",
    "memory (unified) in use",
    "memory (unified) free",
    "memory (unified) reserved",
    "held by a model",
    *GROUP_WORDS.values(),
    "utilisation",
    "power",
    "SM clock",
    "clocks held down by",
    "PCIe generation",
    "PCIe lanes",
)
"""Labels of facts that the sections of the page say."""


XIDS_SHOWN = 5


def _lost(gpu: GpuPicture) -> Section:
    """Say since when the driver has lost a GPU, what it says of it, and what brings it back."""
    if gpu.lost_since is None:
        return Section("")
    facts = [
        Fact("since", units.clock(gpu.lost_since), GPUMON),
        Fact("to bring it back", f"sudo nvidia-smi -i {gpu.index} --gpu-reset, or a reboot"),
    ]
    if not gpu.xids:
        facts.append(Fact("what has happened", "sudo dmesg | grep -i xid"))
    return Section("LOST", facts=tuple(facts))


def _errors(gpu: GpuPicture) -> Section:
    """Return what errors the driver has reported in this run, the newest first."""
    return Section("XID ERRORS", facts=tuple(Fact("", xid_line(one), NVML) for one in gpu.xids[:XIDS_SHOWN]))


def _holders(gpu: GpuPicture) -> Section:
    """Return who holds its memory, each with a bar on the scale of the card."""
    memory = gpu.memory
    if memory is None:
        return Section("HELD BY", facts=tuple(holder_facts(gpu)))
    label = "unified memory" if memory.unified else "VRAM"
    note = f"{units.gib(memory.used_bytes)} of {units.gib(memory.total_bytes)} GiB {label}"
    facts = () if gpu.groups is not None else tuple(holder_facts(gpu)[:1])
    return Section("HELD BY", note, facts, bars=tuple(_holder_bars(gpu, memory)))


def _holder_bars(gpu: GpuPicture, memory: GpuMemory) -> Iterator[BarRow]:
    row = partial(_holder_bar, memory)
    for number, held in enumerate(gpu.models):
        role: Role = "model2" if number % 2 else "model"
        bar = row(visible(held.name), held.vram_bytes, role, _since(gpu, held.pid, held.vram_bytes))
        yield _with_reserve(bar, held)
    for process in (one for group in gpu.groups or () for one in group.processes):
        name = visible(process.name or "in another namespace")
        yield row(name, process.vram_bytes, "process", _since(gpu, process.pid, process.vram_bytes))
    yield from _other_bars(gpu, memory)


def _with_reserve(bar: BarRow, held: ModelHolding) -> BarRow:
    """Draw what a model's server has set aside and does not use as that, behind what it uses."""
    if not held.reserve_bytes or not bar.parts:
        return bar
    unused, used = held.reserve_bytes / GIB, ((held.vram_bytes or 0) - held.reserve_bytes) / GIB
    parts = (BarPart(used, bar.parts[0].role), BarPart(unused, "reserved"))
    return replace(bar, parts=parts, note=f"{bar.note}; {units.gib(held.reserve_bytes)} GiB of it set aside")


def _since(gpu: GpuPicture, pid: int, vram_bytes: int | None) -> str:
    """Say whose memory it is and since when: ``pid 700, since 14:18``, ``pid 700, 8.7 GiB since 14:18``."""
    taken = gpu.taken.get(pid)
    if taken is None or taken.vram_bytes < WORTH_TELLING_BYTES:
        return f"pid {pid}"
    is_all = taken.vram_bytes >= MOST_OF_IT * (vram_bytes or 0)
    part = "" if is_all else f"{amount(taken.vram_bytes)} "
    return f"pid {pid}, {part}since {clock_words(taken.since, gpu.at)}"


def _holder_bar(
    memory: GpuMemory, label: str, size: int | None, role: Role, note: str = "", *, tracked: bool = False
) -> BarRow:
    parts = (BarPart(size / GIB, role),) if size else ()
    return BarRow(label, units.gib(size), parts, memory.total_bytes / GIB, note, tracked)


def _other_bars(gpu: GpuPicture, memory: GpuMemory) -> Iterator[BarRow]:
    """Yield what nobody is known to hold, what the driver keeps for itself, and what is free."""
    row, known = partial(_holder_bar, memory), {held.name for held in gpu.models}
    for segment in gpu.segments:
        if segment.label in {"other", "in use"} and segment.label not in known:
            yield row("of no known process", segment.size_bytes, "process")
    if memory.reserved_bytes:
        yield row("reserved by the driver", memory.reserved_bytes, "reserved")
    if memory.free_bytes is not None:
        yield row("free", memory.free_bytes, "track")


def _limits(gpu: GpuPicture) -> Section:
    """Return what holds it back: each figure beside the most that it can be."""
    reading, costly = gpu.reading, costly_reasons(gpu.reading)
    if not gpu.is_known:
        return Section("LIMITS")
    is_hot = any("thermal" in reason for reason in costly or ())
    is_capped = any("power" in reason for reason in costly or ())
    limit = gpu.facts.slowdown_celsius
    rows = [
        _limit("busy", reading.utilization_percent, 100, "%"),
        _limit("clock", reading.sm_clock_mhz, gpu.facts.max_sm_clock_mhz, "MHz", wrong=bool(costly)),
        _limit("power", reading.power_watts, reading.power_limit_watts, "W", wrong=is_capped),
        _limit("temperature", reading.temperature_celsius, limit, "°C", wrong=is_hot),
        *_link(gpu),
    ]
    bars = tuple(row for row in rows if row is not None)
    return Section("LIMITS", facts=tuple(_held_back_by(gpu, costly)), bars=bars)


def _held_back_by(gpu: GpuPicture, costly: Sequence[str] | None) -> Iterator[Fact]:
    nothing = "nothing at this moment" if _is_held_back(gpu) else "nothing"
    if costly is not None:
        held = ", ".join(map(visible, costly)) or nothing
        yield Fact("held back by", held, NVML, "bad" if costly else None)


def _is_held_back(gpu: GpuPicture) -> bool:
    """Return whether anything that costs speed holds its clocks down, now or a moment ago."""
    alert = gpu.alert.kind if gpu.alert else None
    return bool(costly_reasons(gpu.reading)) or alert in {"throttling", "too_hot"}


def _limit(
    label: str, value: float | None, most: float | None, unit: str, *, wrong: bool = False
) -> BarRow | None:
    """Return a figure with its limit; ``None`` where it is not known."""
    if value is None:
        return None
    of = f" of {most:.0f}" if most and unit != "%" else ""
    parts = (BarPart(min(value, most or 0.0), "rate"),)
    level: Level | None = "bad" if wrong else None
    figure = f"{value:.0f}{of} {unit}".replace(" %", "%")
    return BarRow(label, figure, parts if most else (), most or 0.0, tracked=True, level=level)


def _link(gpu: GpuPicture) -> Iterator[BarRow]:
    """Say how wide and fast its link is, beside the best it can be."""
    slow, facts = gpu.slow, gpu.facts
    if slow.pcie_width is None and slow.pcie_generation is None:
        return
    lanes, generation = of_maximum(slow.pcie_width, facts.pcie_width_max), text_of(slow.pcie_generation)
    best = f" of {facts.pcie_generation_max}" if facts.pcie_generation_max else ""
    narrow = bool(slow.pcie_width and facts.pcie_width_max and slow.pcie_width < facts.pcie_width_max)
    words = f"generation {generation}{best}, {lanes} lanes"
    yield BarRow("PCIe", note=words, level="watch" if narrow else None)


def _costs(gpu: GpuPicture, pictures: Pictures) -> Iterator[Fact]:
    """Say of each model on a GPU that is held back how fast it is, and how fast it could be."""
    on_it = [one.key for one in pictures.models() if (one.memory.measured_vram_by_gpu or {}).get(gpu.uuid)]
    for model in filter(None, map(pictures.closely, on_it)):
        now, full = model.diagnosis.decode_tokens_per_second_now, model.diagnosis.expected_fitting
        if now is not None and full is not None:
            words = f"{units.rate(now)} now, {band_words(full)} at full clocks"
            yield Fact(visible(model.label), words, ESTIMATE, "watch" if now < full.low else None)


def gpu_charts(
    gpu: GpuPicture, window: Window, happened: Sequence[tuple[float, str]] = ()
) -> tuple[ChartView, ...]:
    """Return the charts of a GPU's page; what holds the card back comes first."""
    series, reading = gpu.series, gpu.reading
    total = gpu.memory.total_bytes / GIB if gpu.memory else None
    slowdown, cap = gpu.facts.slowdown_celsius, reading.power_limit_watts

    def chart(
        title: str, unit: str, values: Series, role: Role, now: float | None, digits: int = 0
    ) -> ChartView:
        scale = GIB if unit == "GiB" else 1.0
        newest = "" if now is None else f"{now:.{digits}f}"
        drawn = area(title, values, window, scale, role)
        marks = marks_in(window, happened)
        return ChartView(title, unit, window.seconds, (drawn,), value=newest, end=window.end, marks=marks)

    used = gpu.memory.used_bytes if gpu.memory else None
    vram = chart("VRAM in use", "GiB", series.vram, "model", used and used / GIB, 1)
    busy = chart("utilisation", "%", series.utilization, "rate", reading.utilization_percent)
    power = chart("power", "W", series.power, "rate", reading.power_watts)
    heat = chart("temperature", "°C", series.temperature, "rate", reading.temperature_celsius)
    charts = (
        replace(vram, limit=total, limit_words=f"of {total:.1f}" if total else ""),
        replace(busy, ceiling=100.0),
        replace(power, limit=cap, limit_words=f"cap {cap:.0f}" if cap else ""),
        replace(heat, limit=slowdown, limit_words=f"slows down at {slowdown}" if slowdown else ""),
    )
    return charts[::-1] if _is_held_back(gpu) else charts
