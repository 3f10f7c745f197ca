"""One line for a status bar: what is wrong, how fast it goes, how full the GPUs are.

Names in it are harmless to every bar and prompt that shows it: see ``harmless``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from msgspec import Struct

from gpumon.app.insight.health import Health, Level, of_a_look
from gpumon.app.insight.wording import source_label
from gpumon.app.picture.gpu import GpuPicture
from gpumon.app.picture.heads import HEADS, IN_PART, IN_RAM_HEADS, OTHER_HEADS, SPILLED
from gpumon.app.picture.load import LoadPicture
from gpumon.app.picture.model import ModelPicture
from gpumon.app.picture.pictures import Pictures
from gpumon.text import units
from gpumon.text.cells import cut, width
from gpumon.text.safe import short_gpu_name

LONGEST_NAME = 40
SHORT_NAME = 16
SEPARATOR = ", "
MOST_LINES = 24
"""Of what a bar shows of it when the pointer rests there."""

_OF_NAMES = frozenset(" ._:/@+=,()~-…")
_OF_WORDS = _OF_NAMES | frozenset("%<>;°'→")
"""What our own sentences hold besides; a brace, with which ``%`` would mean something, is in neither."""


class Part(NamedTuple):
    """A part of the line."""

    ways: tuple[str, ...]
    """The same ever more briefly; not empty."""
    level: Level = "ok"


class Status(Struct, frozen=True, kw_only=True):
    """What a status bar is told."""

    level: Level
    sentence: str
    """The verdict, as every surface gives it."""
    exit_code: int
    parts: tuple[Part, ...]
    """The most important first: what is wrong, rates, memory."""
    lines: tuple[str, ...] = ()
    """What else is to be said, where there is room for it."""
    is_complete: bool = True
    models: int = 0
    spill_percent: str | None = None
    """Of the model that spills most."""
    decode_tokens_per_second: float | None = None
    """Of all models together."""
    vram_used_bytes: int | None = None
    vram_total_bytes: int | None = None

    @property
    def vram_percent(self) -> int | None:
        """How full the GPUs are, all together."""
        used, total = self.vram_used_bytes, self.vram_total_bytes
        return round(100 * used / total) if used is not None and total else None


def harmless(text: str) -> str:
    """Return a sentence without what a bar or a prompt could obey, each such character as ``_``.

    Letters, digits and what names of models are made of stay. ``#`` would begin a command or a style of
    tmux, ``%{`` one of polybar, ``$`` and backquotes a command of a shell.
    """
    return _only(_OF_WORDS, text)


def harmless_name(name: str) -> str:
    """Return a name from outside in the same way; ``%`` goes, too, which prompts of shells obey."""
    return _only(_OF_NAMES, name)


def _only(allowed: frozenset[str], text: str) -> str:
    return "".join(one if one.isalnum() or one in allowed else "_" for one in text)


def status(pictures: Pictures, missing: Sequence[str] = ()) -> Status:
    """Return what a status bar is told now; ``missing`` could not be looked at in time."""
    plain, models = pictures.health(), pictures.models()
    whole = of_a_look(plain, missing)
    used, total = _vram(pictures.gpus())
    rates = [one.rates.decode_tokens_per_second for one in models]
    rate = sum(known) if (known := [rate for rate in rates if rate is not None]) else None
    spilled = _most_spilled(models)
    return Status(
        level=whole.level,
        sentence=harmless(whole.sentence),
        exit_code=whole.exit_code,
        parts=tuple(_parts(plain, pictures, rate, _vram_words(used, total), missing)),
        lines=tuple(map(harmless, _lines(whole, pictures)))[:MOST_LINES],
        is_complete=not missing,
        models=len(models),
        spill_percent=spilled.memory.spill_percent if spilled else None,
        decode_tokens_per_second=rate,
        vram_used_bytes=used,
        vram_total_bytes=total,
    )


LOOKING = Status(level="unknown", sentence="looking", exit_code=0, parts=(Part(("gpumon ...",)),))
"""Until all was looked at for the first time."""


def failed(message: str, exit_code: int) -> Status:
    """Return what a status bar is told where nothing could be looked at."""
    words = harmless(message)
    part = Part((f"gpumon: {words}", "gpumon: error"), "bad")
    return Status(level="bad", sentence=words, exit_code=exit_code, parts=(part,), is_complete=False)


def fitted(found: Status, cells: int | None) -> tuple[Part, ...]:
    """Return the parts in at most ``cells``, each in one way.

    The last one is told more briefly first, and then left out; the first one is cut where it must be.
    """
    parts = list(found.parts)
    while cells is not None and cells_of(parts) > cells:
        last = parts.pop()
        if len(last.ways) > 1:
            parts.append(last._replace(ways=last.ways[1:]))
        elif not parts:
            return (last._replace(ways=(cut(last.ways[0], cells),)),)
    return tuple(part._replace(ways=part.ways[:1]) for part in parts)


def cells_of(parts: Sequence[Part]) -> int:
    """Return the room that parts take on one line."""
    return sum(width(part.ways[0]) for part in parts) + len(SEPARATOR) * (len(parts) - 1)


def _parts(
    whole: Health, pictures: Pictures, rate: float | None, vram: str, missing: Sequence[str]
) -> Iterator[Part]:
    if whole.level in OTHER_HEADS:
        yield (trouble := _trouble(whole, pictures))
        if rate is not None and units.rate(rate) not in trouble.ways[0]:
            yield Part(
                (units.rate(rate) if "tok/s" not in trouble.ways[0] else f"{units.rate(rate)} in all",)
            )
    else:
        yield from _well(whole, pictures, rate)
    if missing:
        names = ", ".join(map(source_label, missing))
        yield Part((harmless(f"not answering: {names}"), "not all seen"), "unknown")
    if vram:
        yield Part((vram,))


def _well(whole: Health, pictures: Pictures, rate: float | None) -> Iterator[Part]:
    """Yield what there is, where nothing is wrong."""
    models, loads = pictures.models(), pictures.loads()
    for load in loads[:1]:
        yield _loading(load)
    rates = (units.rate(rate),) if rate is not None else ()
    if len(models) == 1 and (speed := speed_words(models[0])):
        rates = (speed,)
    if models:
        names = _names(models[0].label) if len(models) == 1 else (f"{len(models)} models",)
        yield Part((*(" ".join((name, *rates)) for name in names), *rates))
    elif not loads:
        words = "no model" if whole.exit_code == 0 else harmless(whole.sentence)
        yield Part((words, "no model" if whole.exit_code == 0 else "nothing seen"), whole.level)


def _loading(load: LoadPicture) -> Part:
    how_far = f" {load.fraction:.0%}" if load.fraction is not None else ""
    return Part((*(f"loading {name}{how_far}" for name in _names(load.name)), f"loading{how_far}"))


def _trouble(whole: Health, pictures: Pictures) -> Part:
    """Return what is wrong: its head word, what it is about, how much and how fast."""
    head = head_word(whole, pictures)
    model, more = _subject(whole, head, pictures)
    if model is not None:
        return Part(tuple(dict.fromkeys(_model_ways(head, model, more))), whole.level)
    load = next((one for one in pictures.loads() if one.id == whole.subject_id), None)
    if load is not None:
        ways = (f"{head} {name} will spill" for name in _names(load.name))
        return Part((*ways, f"{head} will spill", "will spill"), whole.level)
    gpu, source = pictures.gpu(whole.subject_id), pictures.state.sources.get(whole.subject_id)
    about = gpu.label if gpu else source_label(source.name, source.runtime) if source else ""
    about = about or whole.sentence.partition("; ")[0]
    return Part((f"{head} {cut(harmless_name(about), LONGEST_NAME)}", head), whole.level)


def head_word(whole: Health, pictures: Pictures) -> str:
    """Return the head word of what is wrong; empty where nothing is."""
    head = HEADS.get(whole.kind, OTHER_HEADS.get(whole.level, ""))
    model = next((one for one in pictures.models() if one.id == whole.subject_id), None)
    return IN_PART if model is not None and model.kind.makes_pictures and head == SPILLED else head


def _subject(whole: Health, head: str, pictures: Pictures) -> tuple[ModelPicture | None, int]:
    """Return the model that it is about, and how many more there are: of several that spill, the worst."""
    models = pictures.models()
    found = next((one for one in models if one.id == whole.subject_id), None)
    if found is not None or head not in IN_RAM_HEADS or whole.subject_id:
        return found, 0
    return _most_spilled(models), sum(bool(one.memory.spill_percent) for one in models) - 1


def _model_ways(head: str, model: ModelPicture, more: int) -> Iterator[str]:
    share = model.memory.spill_percent if head in IN_RAM_HEADS else ""
    rate, others = _rate_words(model), f"+{more} more" if more > 0 else ""
    for name in _names(model.label):
        yield " ".join(filter(None, (head, name, share, rate, others)))
    yield " ".join(filter(None, (head, share, rate, others)))
    yield " ".join(filter(None, (head, share, rate)))
    yield " ".join(filter(None, (head, share)))
    yield head


def speed_words(model: ModelPicture) -> str:
    """Write how fast a model is now, in tokens or in steps of a picture; nothing while it rests."""
    rate, drawing = model.rates.decode_tokens_per_second, model.drawing
    if rate is not None:
        return units.rate(rate)
    steps = drawing.seconds_per_step if drawing else None
    return units.step_rate(steps) if steps else ""


def _rate_words(model: ModelPicture) -> str:
    """Write how fast a model is; where no request tells, what the hardware gives, marked as an estimate."""
    expected = model.diagnosis.expected_now
    estimate = f"~{units.rate(expected.expected)}" if expected is not None else ""
    return speed_words(model) or estimate


def _names(name: str) -> tuple[str, ...]:
    """Return a name ever more briefly: without the folders before it, without its tag, cut."""
    whole = harmless_name(name)
    last = whole.rsplit("/", 1)[-1] or whole
    bare = last.split(":", 1)[0] or last
    return tuple(
        dict.fromkeys(
            (
                cut(whole, LONGEST_NAME),
                cut(last, LONGEST_NAME),
                cut(bare, LONGEST_NAME),
                cut(bare, SHORT_NAME),
            )
        )
    )


def _most_spilled(models: Sequence[ModelPicture]) -> ModelPicture | None:
    spilled = [one for one in models if one.memory.spill_percent]
    return max(spilled, key=lambda one: one.memory.placement.spill_fraction or 0.0, default=None)


def _vram(gpus: Sequence[GpuPicture]) -> tuple[int | None, int | None]:
    """Return what is used and what there is on all GPUs together; ``None`` where one does not tell."""
    memories = [gpu.memory for gpu in gpus if gpu.reading.state != "lost"]
    used = [one.used_bytes for one in memories if one is not None and one.used_bytes is not None]
    if not memories or len(used) < len(memories):
        return None, None
    return sum(used), sum(one.total_bytes for one in memories if one is not None)


def _vram_words(used: int | None, total: int | None) -> str:
    return "" if used is None else f"{units.gib(used)}/{units.gib(total)} GiB"


def _lines(whole: Health, pictures: Pictures) -> Iterator[str]:
    """Yield the verdict, then a line for each model and each GPU."""
    yield whole.sentence
    for model in pictures.models():
        words = (model.label, model.memory.processor, speed_words(model) or model.doing)
        yield "  ".join(filter(None, words))
    for gpu in pictures.gpus():
        yield "  ".join(_gpu_words(gpu))


def _gpu_words(gpu: GpuPicture) -> Iterator[str]:
    yield f"{gpu.label} {short_gpu_name(gpu.reading.name or '')}".rstrip()
    if gpu.reading.state != "ok":
        yield gpu.reading.state
        return
    used, total = _vram((gpu,))
    yield _vram_words(used, total) or "memory unknown"
    for value, write in (
        (gpu.reading.utilization_percent, units.percent),
        (gpu.reading.temperature_celsius, units.celsius),
        (gpu.reading.power_watts, units.watts),
    ):
        if value is not None:
            yield write(value)
