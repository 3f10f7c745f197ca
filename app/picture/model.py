"""The picture of a loaded model: what row, page, snapshot and ``gpumon why`` say of it, made in one place.

A new figure is added here and where it is shown.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from gpumon.app.alerts.alert import Alert
from gpumon.app.insight.activity import FOREVER_SECONDS, Activity, seconds_left, state_words, until_words
from gpumon.app.insight.agreement import logged_in_ram
from gpumon.app.insight.health import RANKS, Level
from gpumon.app.insight.loaded import Loaded
from gpumon.app.insight.pool import Pool, pool_notes, pool_of
from gpumon.app.insight.waiting import prompt_notes
from gpumon.app.insight.wording import kind_label, model_id, shares, source_label
from gpumon.app.picture.load import LoadPicture, load_picture
from gpumon.app.picture.memory import (
    ModelMemory,
    ModelSeries,
    agreement_notes,
    claim_notes,
    model_memory,
    series_of,
)
from gpumon.app.picture.rates import FullRate, LastPicture, full_of, last_note, last_picture
from gpumon.app.state.rates.figures import RunnerRates
from gpumon.app.state.rates.picture import Drawing
from gpumon.app.state.records import (
    JoinedBy,
    Mark,
    ModelKey,
    ModelRecord,
)
from gpumon.app.state.records.model import Split
from gpumon.app.state.state import State
from gpumon.app.state.work import rates_of
from gpumon.collectors.samples import (
    ModelClaim,
    RunnerProcess,
)
from gpumon.text import units
from gpumon.text.safe import visible

if TYPE_CHECKING:
    from gpumon.app.diagnosis.diagnosis import Diagnosis, VerdictKind
    from gpumon.app.physics.hardware import Band
    from gpumon.collectors.servers.kind import ServerKind

PROCESSES_SOURCE = "processes"
"""The source that looks at processes: of a model that only its process tells of, it is the one that does."""
NO_GPU_NOTE = "in RAM, no GPU here"
SHORT_NOTE = "its requests are too short to be measured"
UNMEASURABLE_NOTE = "VRAM measured: not known (MIG)"

TOLD_OTHERWISE: frozenset[VerdictKind] = frozenset(
    {
        "spilled",
        "silent_fallback",
        "hidden_spill",
        "on_cpu_by_choice",
        "in_ram_by_choice",
        "loading",
        "healthy",
        "drawing",
        "unknown",
    }
)
"""Verdicts that other words of a row amount to."""


class ModelPicture(Struct, frozen=True, kw_only=True, gc=False):
    """All that is said of a loaded model at one instant; ``None`` is unknown."""

    at: float
    """The instant: the time of the newest sample."""
    key: ModelKey
    label: str
    """The name, harmless to draw; with the server where several have it."""
    kind: ServerKind
    """What serves it."""
    claim: ModelClaim
    """What the server says: name, digest, sizes, context, quantization."""
    first_seen: float
    sighted: float
    """When it was first seen in this run, in whatever load."""
    spilled_since: float | None
    age_seconds: float | None
    """Age of the server's word, where it is no longer current."""
    memory: ModelMemory
    pool: Pool | None
    """What its server has set aside for all contexts; ``None`` of one that sets nothing aside."""

    level: Level
    """The worst of its verdict and its alerts; ``unknown`` where it is well but its placement is not told."""
    sentence: str
    """That verdict, or the message of that alert."""
    trouble: str
    """The kind of that verdict or alert."""
    diagnosis: Diagnosis

    activity: Activity | None
    doing: str
    """What it does, in a word or two; what is claimed alone says ``loaded``."""
    until: str | None
    """When it is unloaded if unused, as ``ollama ps`` writes it."""
    time_left: str
    """The same in short; empty where there is no such time, or it has passed."""

    rates: RunnerRates
    full: FullRate | None
    """How fast it is where all of it is on GPUs, at least as fast as it is now."""
    last: LastPicture | None
    """What its server says of the latest request that has ended."""
    peak_tokens_per_second: float | None
    """The highest rate that it has held for some seconds in this run, all requests together."""
    process: RunnerProcess | None
    """The process that holds it, where it can be told."""
    joined_by: JoinedBy | None
    load: LoadPicture | None
    """How its load goes, where it is not over."""
    notes: tuple[str, ...]
    """What is to be said besides, the most important first."""
    series: ModelSeries
    marks: tuple[Mark, ...]
    """When it was loaded again, ready and unloaded, oldest first: what a chart of ``series`` points at."""

    @property
    def drawing(self) -> Drawing | None:
        """The picture that an image generator works on."""
        return self.rates.drawing

    @property
    def id(self) -> str:
        """``key`` as one string; alerts and rows bear it."""
        return model_id(self.key)

    @property
    def runtime(self) -> str:
        """Name of its ``kind``."""
        return self.kind.name

    @property
    def runtime_label(self) -> str:
        """What serves it: ``Ollama``."""
        return kind_label(self.kind)

    @property
    def server_label(self) -> str:
        """Its server: ``Ollama at 127.0.0.1:11434``."""
        return source_label(self.key.source, self.runtime)

    @property
    def ram_percent(self) -> str:
        """The share in RAM in the words of ``spill_percent``, spilled or not."""
        return shares(self.memory.placement)[0]

    @property
    def rate_source(self) -> str | None:
        """Where its rates come from: ``/slots``, ``/metrics``, ``log``, ``meter``."""
        return ", ".join(self.rates.sources) or None


def model_picture(
    known: Loaded,
    state: State,
    diagnosis: Diagnosis,
    alerts: Sequence[Alert] = (),
    measurable: bool = True,
    full: Band | None = None,
) -> ModelPicture:
    """Put together what is said of one model; of its active ``alerts`` the worst come first."""
    record, runner, memory = known.model, known.runner, model_memory(known, state, measurable)
    level, sentence, trouble = _worst(diagnosis, alerts, known.label, memory.placement)
    return ModelPicture(
        at=state.now,
        key=record.key,
        label=known.label,
        kind=record.kind,
        claim=record.claim,
        first_seen=record.first_seen,
        sighted=min(record.history.first_seen or record.first_seen, record.first_seen),
        spilled_since=record.spilled_since,
        age_seconds=_age_seconds(record, state),
        memory=memory,
        pool=(pool := pool_of(record, state)),
        level=level,
        sentence=sentence,
        trouble=trouble,
        diagnosis=diagnosis,
        activity=known.activity,
        doing=state_words(record, state, known.activity),
        until=until_words(record, state, known.activity),
        time_left=_time_left(record, state),
        rates=(rates := rates_of(record, state)),
        full=full_of(full, rates, record, memory),
        last=(last := last_picture(record, state)),
        peak_tokens_per_second=record.history.peak.tokens_per_second,
        process=runner.process if runner else None,
        joined_by=record.joined_by,
        load=_load(record, state),
        notes=(*_notes(known, state, diagnosis, memory, pool), *last_note(last, rates)),
        series=series_of(record.history),
        marks=tuple(record.history.marks),
    )


def _age_seconds(record: ModelRecord, state: State) -> float | None:
    """Return the age of what is known of a model, where it is no longer current."""
    seen_by = record.key.source if record.process is None else PROCESSES_SOURCE
    source = state.sources.get(seen_by)
    return (source.age(state.now) if source else None) or _lost_seconds(record, state)


def _lost_seconds(record: ModelRecord, state: State) -> float | None:
    """Return for how long all GPUs of a model have been lost, on which it can do nothing any more."""
    lost = [gpu.lost_since for uuid in record.gpus if (gpu := state.gpus.get(uuid)) is not None]
    known = [since for since in lost if since is not None]
    return state.now - max(known) if known and len(known) == len(lost) else None


def _load(record: ModelRecord, state: State) -> LoadPicture | None:
    """Return how the load of a model goes that its server lists already, as older ones do from the start."""
    load = state.loads.get(record.runner) if record.runner else None
    return load_picture(load, state) if load else None


def spill_notes(found: Diagnosis | None) -> tuple[str, ...]:
    """Say why a model spills and what would help most, each in a few words."""
    if found is None or found.cause is None or found.cause.kind == "unknown":
        return ()
    cures = found.remedies[:1]
    return (found.cause.sentence, *(_cure(one.sentence, one.command, one.where) for one in cures))


def _cure(sentence: str, command: str | None, where: str | None) -> str:
    if command is None:
        return sentence
    return f"try {command}{f' {where}' if where else ''}"


def _worst(found: Diagnosis, alerts: Sequence[Alert], label: str, placement: Split) -> tuple[Level, str, str]:
    """Return level, words and kind of the worse of diagnosis and alerts; of equals the diagnosis."""
    verdict = found.verdict
    if alerts and RANKS[alerts[0].severity] < RANKS[verdict.severity]:
        message = alerts[0].message
        words = message if label in message else f"{label}: {message}"
        return alerts[0].severity, words, alerts[0].kind
    is_told = verdict.severity != "ok" or placement.spill_fraction is not None or verdict.kind == "drawing"
    return verdict.severity if is_told else "unknown", verdict.sentence, verdict.kind


def _notes(
    known: Loaded, state: State, found: Diagnosis, memory: ModelMemory, pool: Pool | None
) -> Iterator[str]:
    record, estimate = known.model, known.left_out
    if memory.has_no_gpu and memory.placement.spill_fraction is not None:
        yield NO_GPU_NOTE
    yield from claim_notes(record.claim)
    yield from agreement_notes(known.agreement)
    if logged_in_ram(record, state):
        yield "all of it in RAM by the server's log"
    if estimate is not None and estimate.bytes:
        in_ram, whole = units.size(estimate.bytes), estimate.expected_bytes or estimate.weights_bytes
        part = f"about {in_ram} of its {units.size(whole)} in RAM"
        yield f"{estimate.words if estimate.chosen_bytes else part} (estimate)"
    if record.runner is not None and not memory.measurable:
        yield UNMEASURABLE_NOTE
    verdict = found.verdict
    if verdict.kind == "on_cpu_by_choice":
        yield f"on the CPU by choice ({visible(known.choice or '')})"
    elif verdict.kind not in TOLD_OTHERWISE:
        yield verdict.sentence.removeprefix(f"{visible(record.claim.name)} ")
    yield from spill_notes(found)
    yield from prompt_notes(rates_of(record, state), state.now)
    yield from pool_notes(pool)
    if rates_of(record, state).are_too_short:
        yield f"{SHORT_NOTE}{record.kind.short_requests_hint}"
    yield from _no_rate_note(known, state)


def _no_rate_note(known: Loaded, state: State) -> Iterator[str]:
    """Say why one is at work and has no rate, where only its process tells of it."""
    runner, record = known.runner, known.model
    is_at_work = runner is not None and runner.kind.by_itself and known.activity == "busy"
    if is_at_work and not rates_of(record, state).sources:
        yield f"no rate: {kind_label(record.kind)} does not tell it"


def _time_left(record: ModelRecord, state: State) -> str:
    remaining = seconds_left(record, state)
    return units.countdown(remaining) if remaining is not None and 0 <= remaining < FOREVER_SECONDS else ""
