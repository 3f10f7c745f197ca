"""Rows and pages of models and of loads, from their pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

from gpumon.app.insight.health import Level
from gpumon.app.picture.left import LeftPicture
from gpumon.app.picture.load import PHASE_WORDS, LoadPicture
from gpumon.app.picture.model import ModelPicture
from gpumon.app.picture.pictures import Pictures
from gpumon.app.state.records import PHASES, FinishedLoad, LoadPhase
from gpumon.app.state.series import Series
from gpumon.app.views.page import GPUMON, NVML, PROC, PageView
from gpumon.text import units
from gpumon.text.safe import visible
from gpumon.widgets.views import Fact, JobView, ModelRow, Trend, VerdictView

TREND_SECONDS = 120.0
TREND_CELLS = 24


def trend(series: Series, now: float, seconds: float = TREND_SECONDS, cells: int = TREND_CELLS) -> Trend:
    """Return the means of the last ``seconds`` as one value per cell."""
    return tuple([bucket.mean if bucket else None for bucket in series.window(now, seconds, cells)])


SortKey = Literal["trouble", "spill", "name", "vram", "loaded"]
SORT_KEYS: tuple[SortKey, ...] = ("trouble", "spill", "name", "vram", "loaded")

SETTLED_SECONDS = 3.0
"""A model that has left keeps its place so long: one that is loaded again at once does not move twice."""


def all_rows(
    pictures: Pictures, sort: SortKey = "trouble", descending: bool = False, filter_text: str = ""
) -> tuple[ModelRow, ...]:
    """Return the rows of what loads, is loaded and has left, whose names contain ``filter_text``.

    By ``trouble`` a row moves only when its level changes, or it has left: what is new is put below.
    """
    if sort != "trouble":
        loads = load_rows(pictures, filter_text)
        return (*loads, *model_rows(pictures, sort, descending, filter_text))
    wanted = filter_text.casefold()
    placed = [(_trouble(one), model_row(one)) for one in _named(pictures, wanted)]
    begun = _loads(pictures, wanted)
    placed += [((TROUBLE.get(one.level, LEAST), one.sighted, one.name), load_row(one)) for one in begun]
    left = _left(pictures, wanted)
    leaving = [one for one in left if one.seconds < SETTLED_SECONDS]
    placed += [((LEAST, one.sighted, one.label), left_row(one)) for one in leaving]
    placed.sort(key=lambda one: one[0], reverse=descending)
    return (*(row for _, row in placed), *(left_row(one) for one in left if one not in leaving))


def model_rows(
    pictures: Pictures, sort: SortKey = "name", descending: bool = False, filter_text: str = ""
) -> tuple[ModelRow, ...]:
    """Return a row for each loaded model whose name contains ``filter_text``, in the asked order.

    Those that have left come last, in the order in which they did.
    """
    wanted = filter_text.casefold()
    models = _named(pictures, wanted)
    models.sort(key=_SORTS[sort], reverse=descending)
    return (*map(model_row, models), *map(left_row, _left(pictures, wanted)))


def _named(pictures: Pictures, wanted: str) -> list[ModelPicture]:
    return [model for model in pictures.models() if wanted in model.claim.name.casefold()]


def _loads(pictures: Pictures, wanted: str) -> list[LoadPicture]:
    return [load for load in pictures.loads() if wanted in load.name.casefold()]


def _left(pictures: Pictures, wanted: str) -> list[LeftPicture]:
    return [left for left in pictures.left() if wanted in left.claim.name.casefold()]


TROUBLE: dict[Level, int] = {"bad": 0, "watch": 1}
LEAST = 2
"""Below what is in trouble nothing moves, for a placement that becomes known or a load that is over."""


def _trouble(model: ModelPicture) -> tuple[int, float, str]:
    return TROUBLE.get(model.level, LEAST), model.sighted, model.label


_SORTS: dict[SortKey, Callable[[ModelPicture], Any]] = {
    "trouble": _trouble,
    "name": lambda model: model.claim.name.casefold(),
    "vram": lambda model: -(model.memory.gpu_bytes or 0),
    "spill": lambda model: -(model.memory.placement.spill_fraction or 0.0),
    "loaded": lambda model: -model.first_seen,
}


def left_row(left: LeftPicture) -> ModelRow:
    """Return the row of a model that has left."""
    return ModelRow(
        key=left.id,
        name=left.label,
        level="unknown",
        runtime=left.runtime_label,
        quantization=left.claim.quantization,
        parameter_size=left.claim.parameter_size,
        context_length=left.claim.context_length,
        state="left",
        age_seconds=left.age_seconds,
        left_seconds=left.seconds,
        left_reason=left.reason,
    )


def model_row(model: ModelPicture) -> ModelRow:
    """Return the row of one model."""
    claim, rates, full = model.claim, model.rates, model.full
    return ModelRow(
        key=model.id,
        name=model.label,
        level=model.level,
        runtime=model.runtime_label,
        quantization=claim.quantization,
        parameter_size=claim.parameter_size,
        gpu_bytes=model.memory.gpu_bytes,
        ram_bytes=model.memory.ram_bytes,
        ram_is_estimate=model.memory.ram_is_estimate,
        spill_percent=model.memory.spill_percent,
        context_length=claim.context_length,
        context_used_tokens=rates.context_tokens,
        decode_tokens_per_second=rates.decode_tokens_per_second,
        rate_is_estimate=rates.is_estimate,
        full_tokens_per_second=full.tokens_per_second if full else None,
        peak_tokens_per_second=model.peak_tokens_per_second,
        rate_trend=trend(model.series.decode, model.at) if _has_generated(model) else (),
        has_no_gpu=model.memory.has_no_gpu,
        state=model.doing,
        until=_until(model),
        time_left=model.time_left,
        notes=model.notes,
        age_seconds=model.age_seconds,
        makes_pictures=model.kind.makes_pictures,
        job=_job(model),
    )


def _job(model: ModelPicture) -> JobView | None:
    """Return the picture that a generator works on."""
    drawing = model.drawing
    if drawing is None:
        return None
    job = drawing.job
    elapsed = None if job.started is None else max(0.0, model.at - job.started)
    return JobView(job.step, job.step_count, drawing.seconds_per_step, elapsed)


def _has_generated(model: ModelPicture) -> bool:
    """Return whether it has within the time that the trend shows: most models are idle most of the time."""
    last = model.series.decode.last_time
    return last is not None and model.at - last <= TREND_SECONDS


def _until(model: ModelPicture) -> str:
    """Write when it is unloaded, or loaded if it is not yet; nothing where that repeats what it does."""
    if model.activity == "loading":
        return model.load.time_left if model.load else ""
    words = model.until or units.UNKNOWN
    return "" if words.rstrip(".").casefold() == model.doing else words


def load_rows(pictures: Pictures, filter_text: str = "") -> tuple[ModelRow, ...]:
    """Return a row for each load that no server claims yet and whose name contains ``filter_text``."""
    wanted = filter_text.casefold()
    return tuple(map(load_row, _loads(pictures, wanted)))


def load_row(load: LoadPicture) -> ModelRow:
    """Return the row of one load."""
    return ModelRow(
        key=load.id,
        name=load.name,
        level=load.level,
        runtime=load.runtime_label,
        gpu_bytes=load.gpu_bytes,
        is_loading=True,
        planned_gpu_bytes=load.forecast.gpu_bytes if load.forecast else load.target_bytes,
        planned_ram_bytes=load.forecast.ram_bytes if load.forecast else None,
        context_length=load.context_length,
        state=load.phase_words,
        until=load.time_left,
        notes=tuple(_notes(load)),
    )


def _notes(load: LoadPicture) -> Iterator[str]:
    """Say how long it has been loading, how fast, of how much, and who had to go."""
    lasted = load.phase_seconds
    over = [f"{PHASE_WORDS[phase]} {units.duration(lasted[phase])}" for phase in PHASES if phase in lasted]
    now = f"{PHASE_WORDS[load.phase]} for {units.duration(load.seconds - sum(lasted.values()))}"
    yield ", ".join([*over, now])
    if load.bytes_per_second:
        yield units.byte_rate(load.bytes_per_second)
    if load.loaded_bytes is not None and load.target_bytes is not None:
        yield f"{units.gib(load.loaded_bytes)} of {units.gib(load.target_bytes)} GiB"
    if load.evicted:
        yield f"{', '.join(load.evicted)} made room"


def load_page(row_key: str, pictures: Pictures) -> PageView:
    """Build the page of a load from the key of its row."""
    load = pictures.load(row_key)
    if load is None:
        return PageView(VerdictView("unknown", "this load is over"))
    from gpumon.app.views.load_sections import load as load_sections  # noqa: PLC0415 - a page alone needs it

    words = [f"loading {visible(load.name)}: {load.phase_words}", load.time_left]
    indices = {gpu.uuid: gpu.index for gpu in pictures.gpus()}
    verdict = VerdictView(load.level, ", ".join(filter(None, words)))
    facts = tuple(_load_facts(load, indices))
    return PageView(verdict, facts, sections=load_sections(load), said=LOAD_SAID)


LOAD_SAID = (
    *("loading for", "time left", "weights", "rate", "RAM resident", "made room for it"),
    *(f"  {words}" for words in PHASE_WORDS.values()),
)
"""Labels of facts that the sections of the page of a load say."""


def finished_load_facts(load: FinishedLoad | None) -> list[Fact]:
    """Return how the load of a model went, where it was seen."""
    if load is None:
        return []
    return [
        Fact("load took", units.duration(load.total_seconds), GPUMON),
        *_phases(load.phase_seconds),
        Fact("VRAM at its peak", units.size(load.peak_vram_bytes), NVML),
        *_room_made(load.evicted),
    ]


def _load_facts(load: LoadPicture, gpu_indices: Mapping[str, int]) -> Iterator[Fact]:
    yield Fact("process", str(load.pid), PROC)
    yield Fact("loading for", units.duration(load.seconds), GPUMON)
    yield Fact("time left", load.time_left or units.UNKNOWN, "estimate" if load.is_estimate else GPUMON)
    yield Fact("weights", f"{units.size(load.loaded_bytes)} of {units.size(load.target_bytes)}", PROC)
    yield Fact("rate", units.byte_rate(load.bytes_per_second), PROC)
    for uuid, size_bytes in load.vram_by_gpu.items():
        if uuid in gpu_indices:
            yield Fact(f"VRAM on GPU {gpu_indices[uuid]}", units.size(size_bytes), NVML)
    yield Fact("RAM resident", units.size(load.ram_bytes), PROC)
    yield from _phases(load.phase_seconds)
    yield from _room_made(load.evicted)


def _phases(phase_seconds: Mapping[LoadPhase, float]) -> list[Fact]:
    return [
        Fact(f"  {PHASE_WORDS[phase]}", units.duration(phase_seconds[phase]), GPUMON)
        for phase in PHASES
        if phase in phase_seconds
    ]


def _room_made(evicted: Sequence[str]) -> list[Fact]:
    return [Fact("made room for it", visible(", ".join(evicted)), GPUMON)] if evicted else []
