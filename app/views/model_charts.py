"""The charts of a model's page: its rate, and its memory, each with what there could be."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

from msgspec.structs import replace

from gpumon.app.picture.details import ModelDetails
from gpumon.app.picture.gpu import GpuPicture
from gpumon.app.picture.model import ModelPicture
from gpumon.app.views.model_sections import capacity_bytes, on_words, ram_role, rate_figure
from gpumon.app.views.page import Window, area, marks_in
from gpumon.text import units
from gpumon.text.units import GIB
from gpumon.widgets.views import ChartView

WHOLE_FROM = 9.95
"""Tokens a second from which a line has no tenths, as rates in words: else it would move all the time."""


def charts(
    details: ModelDetails,
    gpus: Sequence[GpuPicture],
    window: Window,
    happened: Sequence[tuple[float, str]] = (),
) -> tuple[ChartView, ...]:
    """Return the charts of a model's page: its rate, and its memory, each with what there could be."""
    model = details.picture
    marks = marks_in(window, [*reloads(details), *happened])
    rate, held = _rate_chart(model, window, marks), _memory_chart(model, gpus, window, marks)
    return tuple(chart for chart in (rate, held) if chart is not None)


def reloads(details: ModelDetails) -> list[tuple[float, str]]:
    """Return when the model was loaded in place of itself, and when it left."""
    marks = [mark for mark in details.picture.marks if mark.kind != "ready"]
    following = [later.kind for later in marks[1:]]
    return [
        (mark.time, mark.words)
        for mark, next_kind in zip_longest(marks, following)
        if mark is not None and (mark.kind != "left" or next_kind != "reload")
    ]


Marks = tuple[tuple[float, str], ...]


def _rate_chart(model: ModelPicture, window: Window, marks: Marks) -> ChartView | None:
    if model.series.decode.last_time is None:
        return None
    drawn = area("tok/s", model.series.decode, window, role="rate")
    full, newest = model.diagnosis.expected_fitting, model.rates.decode_tokens_per_second
    return ChartView(
        "tok/s",
        "",
        window.seconds,
        (drawn,),
        value="idle" if newest is None else f"{'~' if model.rates.is_estimate else ''}{rate_figure(newest)}",
        limit=round(full.expected, 0 if full.expected >= WHOLE_FROM else 1) if full else None,
        limit_words=f"full ~{rate_figure(full.expected)}" if full else "",
        end=window.end,
        marks=marks,
    )


def _memory_chart(
    model: ModelPicture, gpus: Sequence[GpuPicture], window: Window, marks: Marks
) -> ChartView | None:
    """Stack what is in RAM upon what is on GPUs: a spill is what stands above the line of the card."""
    series, known, capacity = model.series, model.memory, capacity_bytes(gpus)
    on_gpu = series.measured_vram if known.gpu_is_measured else series.claimed_vram
    parts = []
    if on_gpu.last_time is not None and not known.has_no_gpu:
        drawn = area("on GPU", on_gpu, window, GIB)
        parts.append(replace(drawn, value=units.gib(known.gpu_bytes)))
    if series.claimed_ram.last_time is not None and (known.ram_bytes or known.has_no_gpu):
        drawn = area("in RAM", series.claimed_ram, window, GIB, ram_role(known))
        parts.append(replace(drawn, value=units.gib(known.ram_bytes)))
    if not parts:
        return None
    return ChartView(
        "memory",
        "GiB",
        window.seconds,
        tuple(parts),
        value=parts[0].value,
        limit=None if capacity is None else capacity / GIB,
        limit_words="" if capacity is None else f"{on_words(gpus)} {units.gib(capacity)}",
        stacked=True,
        end=window.end,
        marks=marks,
    )
