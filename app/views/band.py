"""The first lines of the dashboard: what is wrong, what it costs, what to type; silent sources."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from msgspec.structs import replace

from gpumon.app.insight.health import Health, has_trouble, is_optional, is_unasked_for, source_fault
from gpumon.app.insight.wording import kind_label, short_source_words, source_label
from gpumon.app.monitor import Monitor
from gpumon.app.picture.gpu import GpuPicture
from gpumon.app.picture.load import LoadPicture
from gpumon.app.picture.model import ModelPicture
from gpumon.app.picture.pictures import Pictures
from gpumon.app.state.rates.picture import WORTH_TELLING, Drawing
from gpumon.app.state.records import SourceRecord, is_server
from gpumon.app.state.state import State
from gpumon.app.views.actions import command_to_copy
from gpumon.collectors.samples import SourceState
from gpumon.collectors.servers.registry import PLUG_IN_PREFIX
from gpumon.text import units
from gpumon.text.safe import visible
from gpumon.widgets.kit.lines import Level
from gpumon.widgets.views import SourceRow, VerdictView

if TYPE_CHECKING:
    from gpumon.app.diagnosis.diagnosis import Diagnosis, Remedy
    from gpumon.app.diagnosis.forecast import Forecast


SPILLED, IN_PART = "SPILLED", "IN PART"
HEADS = {
    "will_spill": "LOADING",
    "spill": SPILLED,
    "spilled": SPILLED,
    "hidden_spill": SPILLED,
    "likely_spill": SPILLED,
    "silent_fallback": "NOT ON GPU",
    "no_gpu_found": "NOT ON GPU",
    "lost_gpu": "LOST GPU",
    "crowded": "CROWDED",
    "read_from_disk": "FROM DISK",
    "stuck": "STUCK",
    "ended": "ENDED",
    "process_ended": "ENDED",
    "unlisted": "UNLISTED",
    "restarted": "RESTARTED",
    "vram_full": "FULL",
    "throttling": "THROTTLED",
    "throttled": "THROTTLED",
    "too_hot": "HOT",
    "gpu_lost": "LOST",
    "pcie_link": "SLOW LINK",
    "link_degraded": "SLOW LINK",
    "xid": "GPU ERROR",
    "ecc": "ECC ERRORS",
    "ram_low": "RAM LOW",
    "swapping": "SWAPPING",
    "source": "SILENT",
    "load_failed": "LOAD FAILED",
    "slower": "SLOWER",
    "below_baseline": "SLOWER",
    "cache_full": "CACHE FULL",
    "thrash": "THRASHING",
    "thrashing": "THRASHING",
    "evicted": "EVICTED",
    "long_context": "LONG CONTEXT",
    "parallel_requests": "SHARED",
    "loaded_in_part": IN_PART,
    "streams_weights": IN_PART,
    "prompt_reread": "READS AGAIN",
    "waiting": "WAITING",
    "context_full": "CONTEXT FULL",
}
"""The head word of each kind of alert and verdict."""
OTHER_HEADS = {"bad": "BAD", "watch": "WATCH"}
"""Of kinds that come with later versions of either."""

IN_RAM_HEADS = frozenset({SPILLED, "NOT ON GPU"})
"""What amounts to a share in RAM."""

SLOWED_DOWN = "is slowed down: "
"""What the head word THROTTLED says already."""


def band_view(pictures: Pictures) -> VerdictView:
    """Return the verdict that every surface gives, taken apart, with the time at its right."""
    found = pictures.health(explained=True)
    clock = (units.clock(pictures.now),) if pictures.now else ()
    plain = VerdictView(found.level, found.sentence, right=clock)
    if found.level not in OTHER_HEADS:
        return VerdictView(found.level, found.sentence, facts=tuple(_totals(pictures)), right=clock)
    if not found.kind:
        return plain
    return _of_trouble(found, plain, pictures)


def _of_trouble(found: Health, plain: VerdictView, pictures: Pictures) -> VerdictView:
    """Take the verdict apart by what it is about: a model, a load, a source, or a GPU or the machine."""
    head = HEADS.get(found.kind, OTHER_HEADS[found.level])
    model = next((one for one in pictures.models() if one.id == found.subject_id), None)
    if model is not None:
        return _of_model(model, found.sentence, head, plain)
    load = next((one for one in pictures.loads() if one.id == found.subject_id), None)
    if load is not None and load.forecast is not None:
        return _of_load(load, load.forecast, head, plain)
    source = pictures.state.sources.get(found.subject_id)
    if source is not None and found.kind == "source":
        return _of_source(source_row(source, pictures.now), head, plain)
    return _of_others(found, head, plain, pictures.gpu(found.subject_id), pictures)


def model_band(model: ModelPicture) -> VerdictView:
    """Return what is wrong with one model for its page, which says itself why and what helps."""
    plain = VerdictView(model.level, model.sentence)
    head = HEADS.get(model.trouble, OTHER_HEADS.get(model.level, ""))
    if model.level not in OTHER_HEADS:
        return plain
    whole = _of_model(model, model.sentence, head, plain)
    return replace(whole, cause="", remedy="", where="", keys=())


def _of_model(model: ModelPicture, sentence: str, head: str, plain: VerdictView) -> VerdictView:
    cure = command_to_copy(model.diagnosis.remedies)
    head = IN_PART if model.kind.makes_pictures and head == SPILLED else head
    return replace(
        plain,
        head=head,
        subject=model.label,
        facts=tuple(_facts(model, sentence, head)),
        cause=_cause(model.diagnosis, has_command=cure is not None),
        keys=(("y", "copy"), ("Enter", "why")) if cure else (("Enter", "why"),),
        **_to_type(cure),
    )


def _to_type(cure: Remedy | None) -> dict[str, str]:
    """Return the line of a cure, and where it is typed."""
    return {"remedy": visible(cure.command or "", 1000), "where": cure.where or ""} if cure else {}


def _of_source(row: SourceRow, head: str, plain: VerdictView) -> VerdictView:
    return replace(
        plain,
        head=head,
        subject=row.name,
        facts=(row.words,),
        cause=row.hint,
    )


def _of_load(load: LoadPicture, found: Forecast, head: str, plain: VerdictView) -> VerdictView:
    """Say from the first second of a load what will not fit, and what it will cost."""
    name, command = visible(load.name), found.command
    first, *costs = found.words.partition("; ")[0].removeprefix(f"{name} ").split(", ")
    return replace(
        plain,
        head=head,
        subject=name,
        facts=(first, *costs),
        cause=found.cure,
        remedy=command.line or "",
        where=command.where or "",
        keys=(("u", "unload"), ("Enter", "how far it is")),
    )


def _facts(model: ModelPicture, sentence: str, head: str) -> Iterator[str]:
    """Yield what is wrong, what it costs, and since when."""
    in_ram = head in IN_RAM_HEADS and model.memory.spill_percent
    words = _without_name(sentence.partition("; ")[0], model.label)
    if head == IN_PART:
        words = (words.partition("is loaded in part: ")[2] or words).partition(" since ")[0]
    yield f"{in_ram} in RAM" if in_ram else words.removeprefix(SLOWED_DOWN)
    if cost := cost_words(model):
        yield cost
    if model.spilled_since is not None and model.memory.spill_percent and (in_ram or head == IN_PART):
        yield f"for {units.duration(model.at - model.spilled_since)}"


def _without_name(sentence: str, name: str) -> str:
    return sentence.removeprefix(f"{name} ").removeprefix(f"{name}: ")


def cost_words(model: ModelPicture) -> str:
    """Say how fast a model is and, where it is known, could be: ``7.0 tok/s, 47 if it fitted``."""
    found = model.diagnosis
    now, expected = found.decode_tokens_per_second_now, found.expected_now
    rate = now if now is not None else expected.expected if expected else None
    if rate is None or found.seconds_per_step is not None:
        return _step_words(found, model.drawing)
    words = units.rate(rate) if now is not None else f"~{units.rate(rate)}"
    before = found.decode_tokens_per_second_before if found.cause and found.cause.takers else None
    if now is not None and before is not None and before > now:
        return f"{words}, {units.rate(before).split()[0]} before"
    full = model.full.tokens_per_second if model.full else None
    if full is None or full <= rate or not model.memory.spill_percent:
        return _held_back(model) or words
    return f"{words}, {full:.0f} if it fitted"


def _step_words(found: Diagnosis, drawing: Drawing | None) -> str:
    """Say how slow an image generator has become: ``50 s/it, 1.0 before``; else how fast it is."""
    if found.seconds_per_step is not None:
        before, now = map(units.step_rate, found.seconds_per_step)
        return f"{now}, {before} before"
    if drawing is None or drawing.seconds_per_step is None:
        return ""
    taken, best = drawing.seconds_per_step, drawing.best_seconds_per_step
    was = f", {units.step_rate(best)} before" if best and taken > best * WORTH_TELLING else ""
    return f"{units.step_rate(taken)}{was}"


def _held_back(model: ModelPicture) -> str:
    """Say what a GPU that is slowed down costs a model, where it does: ``28 tok/s instead of 39 tok/s``."""
    verdict = next((one for one in model.diagnosis.verdicts if one.kind == "throttled"), None)
    rates = {one.name: one.value for one in verdict.evidence} if verdict else {}
    now, usual = rates.get("decode rate"), rates.get("usual rate")
    return f"{now} instead of {usual}" if now and usual else ""


def held_back_notes(band: VerdictView) -> frozenset[str]:
    """Return the notes of a model of which the band of its GPU says all: what holds it back, at what cost."""
    said = f"{SLOWED_DOWN}{band.subject} is held back by "
    return frozenset(said + "; ".join(band.facts[:count]) for count in (1, 2))


def _cause(found: Diagnosis, *, has_command: bool) -> str:
    """Say why, and what helps where no line can be typed."""
    known = found.cause if found.cause and found.cause.kind != "unknown" else None
    cause = (known.brief or known.sentence) if known else ""
    if has_command or not found.remedies:
        return cause
    return "; ".join(filter(None, (cause, found.remedies[0].sentence)))


def _of_others(
    found: Health, head: str, plain: VerdictView, gpu: GpuPicture | None, pictures: Pictures
) -> VerdictView:
    """Take apart what is no model's trouble: its first clause, then the rest."""
    first, _, rest = found.sentence.partition("; ")
    subject = gpu.label if gpu is not None and first.startswith(gpu.label) else ""
    words = first.removeprefix(subject).lstrip(" :").removeprefix(SLOWED_DOWN)
    if words.casefold() == f"is {head.casefold()}":
        words = ""
    slowed = [one for one in pictures.models() if gpu is not None and gpu.uuid in _held(one)]
    costs = [cost for one in slowed[:1] if (cost := cost_words(one))]
    cure = next((cure for one in slowed if (cure := _cure_of_heat(one)) is not None), None)
    return replace(
        plain,
        head=head,
        subject=subject,
        facts=tuple(filter(None, (words, *costs, *_since(found, pictures)))),
        cause=rest or (cure.sentence if cure else ""),
        keys=(("Enter", "why"),) if gpu else (),
        **_to_type(cure),
    )


def _cure_of_heat(model: ModelPicture) -> Remedy | None:
    """Return what helps a model of which the GPU is slowed down."""
    return next((one for one in model.diagnosis.remedies if one.action == "cool_or_power"), None)


def _since(found: Health, pictures: Pictures) -> Iterator[str]:
    """Say for how long it has been so, where an alert knows."""
    alerts = (one for one in pictures.active if one.kind == found.kind and one.subject_id == found.subject_id)
    if (alert := next(alerts, None)) is not None:
        yield f"for {units.duration(pictures.now - alert.since)}"


def _held(model: ModelPicture) -> dict[str, int]:
    return model.memory.measured_vram_by_gpu or {}


def _totals(pictures: Pictures) -> Iterator[str]:
    """Yield what all models do together and what is free, where all is well."""
    rates = [one.rates.decode_tokens_per_second for one in pictures.models()]
    known = [rate for rate in rates if rate is not None]
    if known:
        yield units.rate(sum(known))
    free = [gpu.memory.free_bytes for gpu in pictures.gpus() if gpu.memory is not None]
    known_free = [size for size in free if size is not None]
    if known_free and len(known_free) == len(free):
        yield f"{units.size(sum(known_free))} free"


MILD_STATES: frozenset[SourceState] = frozenset({"absent", "not_running", "asleep"})
"""Not there is a fact; not answering is a fault."""

QUIET_STATES: frozenset[SourceState] = MILD_STATES | {"forbidden", "unreachable"}
NEEDED_SOURCES = frozenset({"nvml", "system"})
"""With the servers, what the main job rests on; others may be missing without a word."""


def source_rows(state: State) -> tuple[SourceRow, ...]:
    """Return a row for each source that is silent, unhealthy or asleep, the faults first."""
    rows = [source_row(source, state.now) for source in state.sources.values() if _is_news(source)]
    return tuple(sorted(rows, key=lambda row: (row.level != "bad", row.name)))


def _is_news(source: SourceRecord) -> bool:
    """Return whether to speak of a source: of those that only add detail, their faults alone."""
    if source.is_pointless:
        return False
    if source.healthy and source.health.state != "asleep":
        return has_trouble(source)
    needed = source.name in NEEDED_SOURCES or is_server(source.name) or source.name.startswith(PLUG_IN_PREFIX)
    return needed or source.health.state not in QUIET_STATES


def source_row(source: SourceRecord, now: float) -> SourceRow:
    """Return what is wrong with a source, for how long, and what to do."""
    is_minor = is_optional(source) or is_unasked_for(source)
    level: Level = source_fault(source) or ("unknown" if is_minor else "watch")
    label = source_label(source.name, source.runtime)
    return SourceRow(level, label, _words(source, now), source.hint or "")


def _words(source: SourceRecord, now: float) -> str:
    """Say in words how a source is doing; a wait names its seconds."""
    waiting = waiting_seconds(source, now)
    if waiting is not None:
        return f"not answering for {units.duration(waiting)}"
    return short_source_words(source)


def waiting_seconds(source: SourceRecord, now: float) -> float | None:
    """Return for how long a source has not answered, if that is what is wrong with it."""
    if source.health.state == "hanging":
        return now - (source.since if source.answered is None else source.answered)
    return source.silent_seconds


def watched_words(monitor: Monitor, interval: float) -> tuple[str, ...]:
    """Return what is watched: the driver and the servers that have answered, by version, and how often."""
    state = monitor.state
    driver = [f"driver {visible(state.driver_version)}"] if state.driver_version else []
    return (*driver, *dict.fromkeys(_servers(state)), f"every {interval:g} s")


def _servers(state: State) -> Iterator[str]:
    """Name kind and version of each server that has said what it is; those that run the same once."""
    for source in state.sources.values():
        if is_server(source.name) and source.kind is not None:
            yield f"{kind_label(source.kind)} {visible(source.version or '')}".rstrip()
