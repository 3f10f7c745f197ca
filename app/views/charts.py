"""The live charts of the dashboard: memory stacked by model, tokens a second, and what else can be chosen."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import Literal, NamedTuple

from msgspec.structs import replace

from gpumon.app.picture.gpu import GpuPicture
from gpumon.app.picture.memory import ModelSeries
from gpumon.app.picture.model import ModelPicture
from gpumon.app.picture.pictures import Pictures
from gpumon.app.state.records import Mark
from gpumon.app.state.series import Series
from gpumon.text import units
from gpumon.text.safe import visible
from gpumon.text.units import GIB
from gpumon.widgets.kit.areas import AreaView, Layer, Window, window_at
from gpumon.widgets.kit.gauges import Trend
from gpumon.widgets.kit.lines import Role

Quantity = Literal["tokens", "memory", "utilization", "power", "temperature", "context"]
QUANTITIES: tuple[Quantity, ...] = ("tokens", "memory", "utilization", "power", "temperature", "context")
"""What can be charted, in the order of the key that chooses."""

LENGTHS_SECONDS: tuple[tuple[float, ...], ...] = ((60.0, 120.0, 300.0), (3600.0,), (86400.0,))
"""Windows by choice: the first grows with what there is to show. Pages have longer ones; here these are the
last."""

STACKED_MODELS = 6
"""More are one area: thin stripes tell nothing."""
NICE = (1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)
"""Upper edges of charts, times a power of ten."""
HEADROOM = 1.05
STALE_SECONDS = 15.0
"""A chart of which one sample covers more than that is drawn anew so often nevertheless."""
LEAST_RATE = 4.0
"""Tokens a second that a chart shows at least, so that one without any has a scale."""
TIMES = 3


class Span(NamedTuple):
    """The window of a chart and into how many samples it is divided."""

    window: Window
    samples: int

    def of(self, series: Series, scale: float = 1.0) -> Trend:
        """Return the means of a series; what is still to come is a gap. For no samples nothing is asked."""
        if not self.samples:
            return ()
        width = self.window.seconds / self.samples
        buckets = series.window(self.window.end - width / 2, self.window.seconds, self.samples)
        return tuple([None if bucket is None else bucket.mean / scale for bucket in buckets])


def span_of(pictures: Pictures, choice: int, samples: int) -> Span:
    """Return the window for a choice of length."""
    lengths = LENGTHS_SECONDS[min(choice, len(LENGTHS_SECONDS) - 1)]
    return Span(window_at(pictures.now, pictures.state.began, lengths), samples)


def shown_quantities(chosen: Quantity, count: int) -> tuple[Quantity, ...]:
    """Return what is charted where there is room for ``count`` charts: the rate is always one of two."""
    if count < 2:
        return (chosen,)
    return ("memory" if chosen == "tokens" else chosen, "tokens")


class Charts:
    """The charts that are shown, drawn anew only when a sample more belongs into them.

    What stands in their titles is of now.
    """

    def __init__(self) -> None:
        self._kept: dict[Quantity, tuple[Hashable, AreaView]] = {}

    def views(
        self, quantities: Sequence[Quantity], pictures: Pictures, choice: int, samples: int
    ) -> tuple[AreaView, ...]:
        """Return the charts of ``quantities`` over the window of a choice, in so many samples."""
        span = span_of(pictures, choice, samples)
        step = min(span.window.seconds / samples, STALE_SECONDS)
        shown = (span, int(pictures.now // step), len(pictures.models()), len(pictures.loads()))
        return tuple(self._view(one, pictures, span, shown) for one in quantities)

    def _view(self, quantity: Quantity, pictures: Pictures, span: Span, shown: Hashable) -> AreaView:
        kept = self._kept.get(quantity)
        if kept is None or kept[0] != shown:
            kept = self._kept[quantity] = (shown, chart(quantity, pictures, span))
            return kept[1]
        now = _CHARTS[quantity](pictures, span._replace(samples=0))
        return replace(kept[1], title=now.title, value=now.value)


def chart(quantity: Quantity, pictures: Pictures, span: Span) -> AreaView:
    """Return one chart."""
    view = _CHARTS[quantity](pictures, span)
    return replace(view, times=_clock_times(span.window))


def _clock_times(window: Window) -> tuple[str, ...]:
    form = units.TO_THE_SECOND if window.seconds < 3600 else units.TO_THE_MINUTE
    step = window.seconds / (TIMES - 1)
    return tuple(units.clock(window.start + step * at, form) for at in range(TIMES))


def nice_top(value: float) -> float:
    """Return a round number at or above ``value``."""
    if value <= 0:
        return 1.0
    power = 1.0
    while value > power * NICE[-1]:
        power *= 10
    while value <= power / 10 * NICE[-1]:
        power /= 10
    return next(step * power for step in NICE if step * power >= value)


def _tokens(pictures: Pictures, span: Span) -> AreaView:
    """Chart tokens a second: of the model in trouble, else of the only one, else of all together."""
    models = [model for model in pictures.models() if not model.kind.makes_pictures]
    if pictures.models() and not models:
        return _CHARTS["utilization"](pictures, span)  # image generators have no tokens
    one = _in_trouble(models) or (models[0] if len(models) == 1 else None)
    chosen = models if one is None else (one,)
    series = [model.series for model in chosen] if one else [shown.series for shown in _all_series(pictures)]
    total = _summed([Layer(span.of(each.decode), "rate") for each in series], span.samples)
    known = [rate for model in chosen if (rate := model.rates.decode_tokens_per_second) is not None]
    limit = _full(one) if one is not None else None
    top = nice_top(max([*(v for v in total if v is not None), limit or 0.0, LEAST_RATE]) * HEADROOM)
    title = "tok/s, all models" if one is None else f"tok/s of {visible(one.label)}"
    value = units.rate(sum(known)).removesuffix(" tok/s") if known else ""
    marks = () if one is None else _marks(one.marks, span.window)
    return AreaView(title, value, (Layer(total, "rate"),), top, limit, marks)


class _Shown(NamedTuple):
    """A model of which the chart shows something: loaded, loading, or gone within the window."""

    series: ModelSeries
    claims_memory: bool
    can_spill: bool
    marks: tuple[Mark, ...]


def _all_series(pictures: Pictures) -> Iterator[_Shown]:
    """Yield what is loaded, what loads, and what has left a short while ago."""
    for model in pictures.models():
        claims = not model.memory.gpu_is_measured
        yield _Shown(model.series, claims, model.memory.can_spill, model.marks)
    for load in pictures.loads():
        if load.series is not None:
            yield _Shown(load.series, False, True, load.marks)
    for left in pictures.left():
        yield _Shown(left.series, True, True, left.marks)


def _marks(marks: Iterable[Mark], window: Window) -> tuple[tuple[float, str], ...]:
    """Return what happened within the window as shares of it; the last of those at one instant."""
    return tuple(
        ((mark.time - window.start) / window.seconds, mark.words)
        for mark in marks
        if mark.kind != "ready" and window.start <= mark.time < window.end
    )


def _in_trouble(models: Sequence[ModelPicture]) -> ModelPicture | None:
    """Return the only model that spills."""
    spilled = [one for one in models if one.memory.spill_percent]
    return spilled[0] if len(spilled) == 1 else None


def _full(model: ModelPicture) -> float | None:
    """Return the rate that a model would have wholly on the GPU; an estimate."""
    return model.full.tokens_per_second if model.full else None


def _memory(pictures: Pictures, span: Span) -> AreaView:
    """Chart what is used of the GPUs, by model, and upon it what models have in RAM."""
    gpus, models = pictures.gpus(), pictures.models()
    if not gpus:
        return _ram(pictures, span)
    every = list(_all_series(pictures))
    layers = _memory_layers(every, gpus, span)
    capacity = sum(gpu.memory.total_bytes or 0 for gpu in gpus if gpu.memory) / GIB
    most = max([v for v in _summed(layers) if v is not None], default=0.0)
    now = sum(gpu.memory.used_bytes or 0 for gpu in gpus if gpu.memory)
    spilled = sum(one.memory.ram_bytes or 0 for one in models if one.memory.can_spill)
    value = units.size(now) + (f" + {units.gib(spilled)} in RAM" if spilled else "")
    title = f"VRAM of GPU {gpus[0].index}" if len(gpus) == 1 else f"VRAM of {len(gpus)} GPUs"
    top = capacity if most <= capacity else nice_top(most)
    marks = _marks((mark for one in every for mark in one.marks), span.window)
    return AreaView(title, value, layers, top or 1.0, capacity or None, marks)


def _memory_layers(every: Sequence[_Shown], gpus: Sequence[GpuPicture], span: Span) -> tuple[Layer, ...]:
    """Return what others hold of the GPUs, what each model does, and what models have in RAM."""
    parts = [_on_gpu(one, span) for one in every]
    if len(parts) > STACKED_MODELS:
        parts = [_summed([Layer(part, "model") for part in parts])]
    roles: tuple[Role, Role] = ("model", "model2")
    on_gpu = [Layer(part, roles[at % 2]) for at, part in enumerate(parts)]
    used = _summed([Layer(span.of(gpu.series.vram, GIB), "reserved") for gpu in gpus])
    others = tuple(_rest(whole, part) for whole, part in zip(used, _summed(on_gpu, len(used)), strict=True))
    spilled = [Layer(span.of(one.series.claimed_ram, GIB), "ram") for one in every if one.can_spill]
    return (Layer(others, "reserved"), *on_gpu, Layer(_summed(spilled, len(used)), "ram"))


def _on_gpu(one: _Shown, span: Span) -> Trend:
    """Return the claim where there is one, and what the driver measures where there is none."""
    measured = span.of(one.series.measured_vram, GIB)
    if not one.claims_memory:
        return measured
    claimed = span.of(one.series.claimed_vram, GIB)
    return tuple(m if c is None else c for c, m in zip(claimed, measured, strict=True))


def _rest(whole: float | None, part: float | None) -> float | None:
    return None if whole is None else max(0.0, whole - (part or 0.0))


def _ram(pictures: Pictures, span: Span) -> AreaView:
    system = pictures.state.system
    if system is None:
        return AreaView("RAM")
    total, used = system.sample.ram_total_bytes, system.sample.ram_used_bytes
    capacity = total / GIB if total else None
    layers = (Layer(span.of(system.ram_used, GIB), "reserved"),)
    return AreaView("RAM in use", units.size(used), layers, capacity or 1.0, capacity)


def _of_gpus(
    title: str,
    series_of: Callable[[GpuPicture], Series],
    now_of: Callable[[GpuPicture], float | None],
    top_of: Callable[[GpuPicture], float | None],
    write: Callable[[float], str],
) -> Callable[[Pictures, Span], AreaView]:
    """Return what charts a figure of the busiest GPU; beside others it is named."""

    def draw(pictures: Pictures, span: Span) -> AreaView:
        gpus = pictures.gpus()
        if not gpus:
            return AreaView(title)
        gpu = max(gpus, key=lambda one: now_of(one) or 0.0)
        trend, now = span.of(series_of(gpu)), now_of(gpu)
        limit = top_of(gpu)
        top = nice_top(max([*(v for v in trend if v is not None), limit or 0.0, 1.0]))
        value = "" if now is None else write(now)
        return AreaView(f"{title} of GPU {gpu.index}", value, (Layer(trend, "model"),), top, limit)

    return draw


def _context(pictures: Pictures, span: Span) -> AreaView:
    """Chart how full the fullest context is; its length is the line."""
    known = [one for one in pictures.models() if one.rates.context_tokens is not None]
    if not known:
        return AreaView("context", top=1024.0)
    model = max(known, key=lambda one: one.rates.context_tokens or 0)
    used, length = model.rates.context_tokens, model.claim.context_length
    value = f"{units.tokens(used)} of {units.tokens(length)}" if length else units.tokens(used)
    trend = span.of(model.series.context, 1024.0)
    limit = length / 1024 if length else None
    top = nice_top(max([*(v for v in trend if v is not None), limit or 1.0]))
    return AreaView(f"context of {visible(model.label)}, k", value, (Layer(trend, "rate"),), top, limit)


def _summed(layers: Iterable[Layer], length: int = 0) -> Trend:
    """Add trends up; a gap where all have one."""
    columns = zip(*(layer.values for layer in layers), strict=True)
    sums = [_sum(column) for column in columns]
    return tuple(sums) if sums else (None,) * length


def _sum(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


_CHARTS: dict[Quantity, Callable[[Pictures, Span], AreaView]] = {
    "tokens": _tokens,
    "memory": _memory,
    "utilization": _of_gpus(
        "utilisation",
        lambda gpu: gpu.series.utilization,
        lambda gpu: gpu.reading.utilization_percent,
        lambda _gpu: 100.0,
        units.percent,
    ),
    "power": _of_gpus(
        "power",
        lambda gpu: gpu.series.power,
        lambda gpu: gpu.reading.power_watts,
        lambda gpu: gpu.reading.power_limit_watts,
        lambda watts: f"{watts:.0f} W",
    ),
    "temperature": _of_gpus(
        "temperature",
        lambda gpu: gpu.series.temperature,
        lambda gpu: gpu.reading.temperature_celsius,
        lambda gpu: gpu.facts.slowdown_celsius,
        units.celsius,
    ),
    "context": _context,
}
