"""What the page of a model says at once: why, what cures it, where its memory is, what it does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from msgspec.structs import replace

from gpumon.app.diagnosis.diagnosis import CauseKind, Diagnosis, Evidence, Remedy
from gpumon.app.diagnosis.words import ARITHMETIC, ESTIMATE, band_words
from gpumon.app.insight.agreement import Agreement
from gpumon.app.insight.pool import Pool
from gpumon.app.physics.memory import MemoryNeed
from gpumon.app.picture.details import ModelDetails
from gpumon.app.picture.gpu import GpuPicture
from gpumon.app.picture.memory import ModelMemory
from gpumon.app.picture.model import ModelPicture
from gpumon.app.picture.rates import LastPicture
from gpumon.app.state.rates.figures import FinishedRequest, RunnerRates
from gpumon.app.state.records import Placement
from gpumon.app.views.model_cache import pool_parts
from gpumon.app.views.model_process import COMPONENT_WORDS, LOG
from gpumon.collectors.samples import MeteredModel, MeteredRequest
from gpumon.text import units
from gpumon.text.safe import visible
from gpumon.widgets.kit.lines import Level, Role
from gpumon.widgets.views import BarPart, BarRow, CureRow, Fact, RequestRow, Section

REQUESTS_SHOWN = 5
PICTURE_SAYS = frozenset({"steps", "a step takes"})
"""What the section of a picture under way says."""
OF_PROMPTS: frozenset[CauseKind] = frozenset(
    {"shared_slot", "prompt_changes", "window_too_short", "slots_held"}
)
"""Causes of something else than a spill."""


def why(model: ModelPicture) -> Section:
    """Return the cause and what it rests on, what else is wrong, and what the spill costs."""
    facts = _why(model.diagnosis, model.sentence)
    return Section("WHY", facts=tuple(fact for fact in facts if fact.label not in PICTURE_SAYS))


def _why(found: Diagnosis, headline: str) -> Iterator[Fact]:
    said = [headline]
    if found.verdict.sentence != headline:
        yield Fact("", found.verdict.sentence)
        said.append(found.verdict.sentence)
    cause = found.cause
    if cause is not None:
        yield Fact("", cause.sentence, cause.evidence[0].source if cause.evidence else "")
        said.append(cause.sentence)
    yield from _evidence((cause or found.verdict).evidence, said)
    for verdict in found.verdicts[1:]:
        yield Fact("", f"also: {verdict.sentence}", verdict.evidence[0].source if verdict.evidence else "")
    if cause is not None and cause.kind not in OF_PROMPTS and found.expected_fitting is not None:
        yield Fact("if it fitted", band_words(found.expected_fitting), ESTIMATE)


def _evidence(evidence: Iterable[Evidence], said: Sequence[str]) -> Iterator[Fact]:
    """Yield the figures that no sentence has said yet."""
    for one in evidence:
        if not any(one.value in sentence for sentence in said):
            yield Fact(visible(one.name), visible(one.value), one.source)


def cures(remedies: Sequence[Remedy]) -> Section:
    """Return what would help, in order of gain: the line to type, and what comes of it."""
    return Section("CURES", cures=tuple(map(_cure, remedies)))


def _cure(remedy: Remedy) -> CureRow:
    rate, context = remedy.expected_tokens_per_second, remedy.context_tokens
    arithmetic = remedy.arithmetic if remedy.need_bytes is None else ""
    words = remedy.sentence if remedy.command else ""
    where = remedy.where if remedy.command else ""
    return CureRow(
        line=remedy.command or remedy.sentence,
        words=visible(": ".join(filter(None, (where, words, arithmetic))), 1000),
        context="" if context is None else str(context),
        rate="" if rate is None else f"~{units.rate(rate.expected).removesuffix(' tok/s')}",
        vram="" if remedy.need_bytes is None else units.gib(remedy.need_bytes),
        has_command=remedy.command is not None,
    )


def memory(details: ModelDetails, need: MemoryNeed | None, gpus: Sequence[GpuPicture]) -> Section:
    """Return where each part of a model is, all bars on one scale: that of its GPUs, or of the model."""
    known = details.picture.memory
    capacity = capacity_bytes(gpus)
    parts, source = _parts(details.log, need, len(known.measured_vram_by_gpu or {}))
    scale = max([capacity or 0, _whole_bytes(known), *(size for _, size in parts)])
    pool, is_reckoned = details.picture.pool, source != LOG
    bars = (_bar(name, size, scale, "model", is_estimate=is_reckoned) for name, size in parts)
    rows = [
        *(_part(pool, bar) for bar in bars),
        *_places(known, scale),
        *_measured(known),
    ]
    note = f"GiB of {units.gib(capacity)} on {on_words(gpus)}" if capacity else "GiB"
    return Section("MEMORY", note, bars=tuple(rows))


def _whole_bytes(known: ModelMemory) -> int:
    outside = known.left_out.bytes + known.left_out.chosen_bytes if known.left_out else 0
    return (known.gpu_bytes or 0) + (known.ram_bytes or outside)


def capacity_bytes(gpus: Sequence[GpuPicture]) -> int | None:
    """Return what the GPUs hold together; ``None`` where one of them does not say."""
    totals = [gpu.memory.total_bytes for gpu in gpus if gpu.memory]
    return sum(totals) if totals and len(totals) == len(gpus) else None


def on_words(gpus: Sequence[GpuPicture]) -> str:
    """Name the GPUs: ``GPU 0``, ``2 GPUs``."""
    return gpus[0].label if len(gpus) == 1 else f"{len(gpus)} GPUs"


def _part(pool: Pool | None, bar: BarRow) -> BarRow:
    """Return the bar of a part; of a cache that is set aside what is in use is told from the rest."""
    if pool is None or bar.label != COMPONENT_WORDS["kv_cache"] or not bar.parts:
        return bar
    return replace(bar, parts=pool_parts(pool, bar.parts[0].size))


def _parts(
    log: Placement | None, need: MemoryNeed | None, gpu_count: int
) -> tuple[list[tuple[str, int]], str]:
    """Return the parts of a model by size: as the log has them, else as reckoned.

    Where the log tells of some of its GPUs only, the others are taken to hold as much.
    """
    if log is not None and log.rank_count:
        times = max(1, gpu_count // log.rank_count)
        parts, source = _parts_logged(log), LOG if times == 1 else ARITHMETIC
        return [(word, size * times) for word, size in parts], source
    if log is not None and log.buffers:
        return _parts_logged(log), LOG
    return ([], "") if need is None else (_reckoned(need), ARITHMETIC)


def _parts_logged(log: Placement) -> list[tuple[str, int]]:
    sums = dict.fromkeys(COMPONENT_WORDS.values(), 0)
    for key, size in log.buffers.items():
        sums[COMPONENT_WORDS[key.component]] += size
    return [(word, size) for word, size in sums.items() if size]


def _reckoned(need: MemoryNeed) -> list[tuple[str, int]]:
    parts = (
        ("weights", need.weights_bytes),
        ("KV cache", need.kv_cache_bytes),
        ("recurrent state", need.recurrent_state_bytes),
        ("projector", need.projector_bytes),
        ("compute", need.compute_bytes + need.overhead_bytes),
    )
    return [(word, size) for word, size in parts if size]


def _bar(name: str, size: int | None, scale: float, role: Role, *, is_estimate: bool = False) -> BarRow:
    figure = units.gib(size)
    parts = (BarPart(float(size), role),) if size else ()
    return BarRow(name, f"~{figure}" if is_estimate and size else figure, parts, scale)


def _places(known: ModelMemory, scale: float) -> Iterator[BarRow]:
    if known.claims_memory or not known.has_no_gpu:
        yield _bar("on GPU", known.gpu_bytes, scale, "model")
    left_out = known.left_out
    if known.ram_bytes is None and left_out is not None:
        if left_out.chosen_bytes:
            chosen = _bar("in RAM", left_out.chosen_bytes, scale, ram_role(known), is_estimate=True)
            yield replace(chosen, note="for a margin" if left_out.margin else "by choice")
        if left_out.bytes:
            name = "spilled" if left_out.chosen_bytes else "in RAM"
            yield _bar(name, left_out.bytes, scale, "ram", is_estimate=True)
    elif known.ram_bytes or not known.gpu_bytes:
        held = _bar("in RAM", known.ram_bytes, scale, ram_role(known), is_estimate=known.ram_is_estimate)
        yield replace(held, note="by choice" if known.ram_is_estimate else "")


def ram_role(known: ModelMemory) -> Role:
    """Return what memory in RAM is drawn as: where there is no GPU, it is where it belongs."""
    return "model" if known.has_no_gpu else "ram"


def _measured(known: ModelMemory) -> Iterator[BarRow]:
    """Say what the driver measures, and whether the server's word agrees with it."""
    if not known.claims_memory or known.has_no_gpu or known.counts_weights_alone:
        return
    if not known.measurable:
        yield BarRow("driver measures", "-", note="not known (MIG)")
        return
    measured, compared = units.gib(known.measured_vram_bytes), known.agreement
    differs = compared.difference_bytes is not None and compared.kind != "agrees"
    words = _agreement_words(compared)
    yield BarRow("driver measures", measured, note=words, level=WATCH if differs else None)


def _agreement_words(compared: Agreement) -> str:
    if compared.difference_bytes is None:
        return "cannot be compared"
    because = f": {compared.cause}" if compared.cause else ""
    kind = compared.kind.replace("driver_", "").replace("_", " ")
    return f"{kind} ({units.gib(abs(compared.difference_bytes))} apart){because}"


WATCH: Level = "watch"


def requests(details: ModelDetails) -> Section:
    """Return the requests that run, then those that ended last, the newest first."""
    ended = (
        map(_ended, details.requests) if details.requests else _metered(details.metered, details.picture.at)
    )
    rows = [*_running(details.picture.rates), *islice(ended, REQUESTS_SHOWN)]
    return Section("LAST REQUESTS", requests=tuple(rows))


def last_request(last: LastPicture) -> Section:
    """Return what its server says of the latest request, where none was seen to end."""
    facts = tuple(Fact("", words, last.origin or "") for words in last.parts)
    return Section("LAST REQUEST", last.ago, facts=facts)


def _running(rates: RunnerRates) -> Iterator[RequestRow]:
    for slot in rates.slots:
        decoded, held = slot.decoded_tokens, slot.context_tokens
        prompt = None if held is None else max(0, held - (decoded or 0))
        rate = slot.decode_tokens_per_second or slot.prefill_tokens_per_second
        words = "reads" if slot.phase == "prefill" else ""
        yield RequestRow("now", units.tokens(prompt), _count(decoded), rate_figure(rate), words, runs=True)


def _ended(request: FinishedRequest) -> RequestRow:
    reply = _count(request.decoded_tokens, at_least=request.decoded_is_lower_bound)
    took = units.duration(request.ended - request.started)
    rate = rate_figure(request.decode_tokens_per_second)
    first = request.first_token_seconds
    return RequestRow(
        units.clock(request.started),
        units.tokens(request.prompt_tokens),
        reply,
        rate,
        took,
        kept=_count(request.cached_tokens),
        first="" if first is None else units.duration(first),
    )


def _metered(metered: MeteredModel | None, at: float) -> Iterator[RequestRow]:
    for request in reversed(metered.requests if metered else ()):
        yield _metered_row(request, at)


def _metered_row(request: MeteredRequest, at: float) -> RequestRow:
    started = units.clock(at - request.ended_seconds_ago - request.seconds)
    reply = _count(request.decoded_tokens, is_estimate=request.decoded_is_estimate)
    rate = rate_figure(request.decode_tokens_per_second, is_estimate=request.decode_rate_is_estimate)
    took = units.duration(request.seconds)
    if request.outcome != "finished":
        took = f"{request.outcome}, {took}"
    return RequestRow(started, units.tokens(request.prompt_tokens), reply, rate, took)


def _count(tokens: int | None, *, at_least: bool = False, is_estimate: bool = False) -> str:
    if tokens is None:
        return ""
    return f"{'>=' if at_least else '~' if is_estimate else ''}{units.tokens(tokens)}"


def rate_figure(rate: float | None, *, is_estimate: bool = False) -> str:
    """Write a rate without its unit; nothing for ``None``."""
    if rate is None:
        return ""
    return f"{'~' if is_estimate else ''}{units.rate(rate).removesuffix(' tok/s')}"
