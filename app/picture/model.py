"""The picture of a loaded model: what row, page, snapshot and ``gpumon why`` say of it, made in one place.

A new figure is added here and where it is shown.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct

from gpumon.app.alerts.alert import Alert
from gpumon.app.insight.activity import FOREVER_SECONDS, Activity, seconds_left, state_words, until_words
from gpumon.app.insight.agreement import (
    Agreement,
    LeftOut,
    Loaded,
    beyond_choice,
    logged_in_ram,
    placement_of,
)
from gpumon.app.insight.by_card import CardShare, expected_by_card
from gpumon.app.insight.health import RANKS, Level
from gpumon.app.insight.learning.baselines import usual_rate
from gpumon.app.insight.wording import (
    kind_label,
    model_id,
    processor_words,
    shares,
    source_label,
    spill_percent,
)
from gpumon.app.picture.load import LoadPicture, load_picture
from gpumon.app.state.rates.disk import Moved
from gpumon.app.state.rates.figures import FinishedRequest, RunnerRates
from gpumon.app.state.records import (
    FinishedLoad,
    JoinedBy,
    ModelKey,
    ModelRecord,
    Placement,
    Prediction,
)
from gpumon.app.state.records.model import UNKNOWN_SPLIT, Split
from gpumon.app.state.series import Series
from gpumon.app.state.state import State
from gpumon.app.state.work import answer_of, metered_of, rates_of, requests_of, server_facts
from gpumon.collectors.samples import (
    LoadFacts,
    MeteredModel,
    ModelClaim,
    ModelFacts,
    RateBaseline,
    RunnerProcess,
)
from gpumon.text import units
from gpumon.text.safe import visible

if TYPE_CHECKING:
    from gpumon.app.diagnosis.diagnosis import Diagnosis, VerdictKind
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
        "unknown",
    }
)
"""Verdicts that other words of a row amount to."""


class ModelSeries(NamedTuple):
    """How the figures of a model went; series grow while they are looked at."""

    claimed_vram: Series
    claimed_ram: Series
    measured_vram: Series
    spill: Series
    """Part in RAM, 0 to 1."""
    decode: Series
    prefill: Series


class ModelMemory(Struct, frozen=True, kw_only=True, gc=False):
    """Where a model's memory is: by the claim, by the driver, and what the two amount to.

    ``None`` is unknown.
    """

    claims_memory: bool
    """Whether the server says where the model's memory is; else only the driver does."""
    gpu_bytes: int | None
    """On GPUs: by the claim or, where nothing is claimed, by the driver."""
    ram_bytes: int | None
    """In RAM: by the claim, else what its process holds without a GPU, else what its user keeps there."""
    ram_is_estimate: bool
    """Whether ``ram_bytes`` are reckoned, of what the user keeps there."""
    measured_vram_bytes: int | None
    """What the driver measures for its process over all GPUs."""
    measured_vram_by_gpu: dict[str, int] | None
    """The same by GPU UUID; ``None`` where the process is not known or nothing can be measured."""
    measurable: bool
    """Whether the driver can measure processes at all: not where MIG is on."""
    placement: Split
    """GPU and RAM part: claimed, or estimated of a server that claims nothing."""
    left_out: LeftOut | None
    """Weights that are on no GPU, of a server that claims nothing: an estimate."""
    agreement: Agreement
    """How claim and measurement compare."""
    spill_fraction: float | None
    """RAM part of the claim, 0 to 1."""
    spill_percent: str
    """How much of it is spilled, as every surface writes it: ``13%``, ``<1%``, ``~57%`` where estimated.

    Empty where nothing is, where the user chose the CPU, and where there is no GPU.
    """
    can_spill: bool
    """Whether a part in RAM is a spill: there is a GPU, and the user has not asked for the CPU."""
    has_no_gpu: bool
    """Whether it is on this machine, and that has none."""
    processor: str
    """As ``ollama ps`` prints it, but for traces: ``38%/62% CPU/GPU``, ``<1%/>99% CPU/GPU``."""
    by_choice: bool
    """Whether the user has asked for the CPU."""


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
    spilled_since: float | None
    age_seconds: float | None
    """Age of the server's word, where it is no longer current."""
    memory: ModelMemory

    level: Level
    """The worst of its verdict and its alerts; ``unknown`` where it is well but its placement is not told."""
    sentence: str
    """That verdict, or the message of that alert."""
    diagnosis: Diagnosis

    activity: Activity | None
    doing: str
    """What it does, in a word or two; what is claimed alone says ``loaded``."""
    until: str | None
    """When it is unloaded if unused, as ``ollama ps`` writes it."""
    time_left: str
    """The same in short; empty where there is no such time, or it has passed."""

    rates: RunnerRates
    process: RunnerProcess | None
    """The process that holds it, where it can be told."""
    joined_by: JoinedBy | None
    load: LoadPicture | None
    """How its load goes, where it is not over."""
    notes: tuple[str, ...]
    """What is to be said besides, the most important first."""
    series: ModelSeries

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


class ModelDetails(Struct, frozen=True, kw_only=True, gc=False):
    """What only a page and the snapshot say of a model."""

    picture: ModelPicture
    facts: ModelFacts | None
    """What its file holds, by the server."""
    server_facts: LoadFacts | None
    """What a llama-server says of file and slots."""
    statistics_detail: str | None
    """Why its statistics are not told."""
    log: Placement | None
    """What the server's log says of its load."""
    requests: tuple[FinishedRequest, ...]
    """Those that were seen to end, the newest first."""
    metered: MeteredModel | None
    usual: RateBaseline | None
    prediction: Prediction | None
    disk: Moved | None
    expected_by_card: tuple[CardShare, ...]
    finished_load: FinishedLoad | None


def model_picture(
    known: Loaded,
    state: State,
    diagnosis: Diagnosis,
    alerts: Sequence[Alert] = (),
    measurable: bool = True,
) -> ModelPicture:
    """Put together what is said of one model; the active ``alerts`` on it come the worst first."""
    record, runner = known.model, known.runner
    seen_by = record.key.source if record.process is None else PROCESSES_SOURCE
    source, memory = state.sources.get(seen_by), model_memory(known, state, measurable)
    level, sentence = _worst(diagnosis, alerts, known.label, memory.placement)
    return ModelPicture(
        at=state.now,
        key=record.key,
        label=known.label,
        kind=record.kind,
        claim=record.claim,
        first_seen=record.first_seen,
        spilled_since=record.spilled_since,
        age_seconds=source.age(state.now) if source else None,
        memory=memory,
        level=level,
        sentence=sentence,
        diagnosis=diagnosis,
        activity=known.activity,
        doing=state_words(record, state, known.activity),
        until=until_words(record, state, known.activity),
        time_left=_time_left(record, state),
        rates=rates_of(record, state),
        process=runner.process if runner else None,
        joined_by=record.joined_by,
        load=_load(record, state),
        notes=tuple(_notes(known, state, diagnosis, memory)),
        series=_series(record),
    )


def model_memory(known: Loaded, state: State, measurable: bool) -> ModelMemory:
    """Put together where the memory of one model is."""
    record, runner, claims = known.model, known.runner, known.model.claims_memory
    split = UNKNOWN_SPLIT if known.activity == "gone" else record.split
    in_ram = not claims and state.holds_all_in_ram(record.key.source)
    is_told = in_ram or (known.by_choice and not claims)
    measured, placement = known.measured_bytes, placement_of(record, state)
    can_spill = known.gpu_known and not known.by_choice
    spilled = beyond_choice(placement, known.left_out) if can_spill else UNKNOWN_SPLIT
    return ModelMemory(
        claims_memory=claims,
        gpu_bytes=split.gpu_bytes if claims else placement.gpu_bytes if is_told else measured,
        ram_bytes=placement.ram_bytes if is_told else split.ram_bytes,
        ram_is_estimate=is_told and not in_ram,
        measured_vram_bytes=measured,
        measured_vram_by_gpu=dict(runner.vram_by_gpu) if runner and measurable else None,
        measurable=measurable,
        placement=placement,
        left_out=known.left_out,
        agreement=known.agreement,
        spill_fraction=split.spill_fraction,
        spill_percent=spill_percent(spilled, estimated=not claims),
        processor="Unknown" if placement.spill_fraction is None and claims else processor_words(record),
        can_spill=can_spill,
        has_no_gpu=state.lacks_gpu_at(record.key.source),
        by_choice=known.by_choice,
    )


def _load(record: ModelRecord, state: State) -> LoadPicture | None:
    """Return how the load of a model goes that its server lists already, as older ones do from the start."""
    load = state.loads.get(record.runner) if record.runner else None
    return load_picture(load, state.now) if load else None


def _series(record: ModelRecord) -> ModelSeries:
    return ModelSeries(
        record.vram, record.ram, record.measured_vram, record.spill, record.decode, record.prefill
    )


def model_details(picture: ModelPicture, record: ModelRecord, state: State) -> ModelDetails:
    """Put together what a page says beside the picture."""
    runner, answer = state.runner_of(record), answer_of(record, state)
    loads = (load for load in reversed(state.finished_loads) if load.key == record.runner)
    return ModelDetails(
        picture=picture,
        facts=record.facts,
        server_facts=server_facts(record, state),
        statistics_detail=answer.detail if answer else None,
        log=runner.placement if runner else None,
        requests=tuple(reversed(requests_of(record, state))),
        metered=metered_of(record, state),
        usual=usual_rate(state, record),
        prediction=runner.prediction if runner else None,
        disk=runner.disk.latest if runner else None,
        expected_by_card=expected_by_card(record, state),
        finished_load=next(loads, None) if record.runner else None,
    )


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


def _worst(found: Diagnosis, alerts: Sequence[Alert], label: str, placement: Split) -> tuple[Level, str]:
    """Return the worse of diagnosis and alerts; of equals the diagnosis."""
    verdict = found.verdict
    if alerts and RANKS[alerts[0].severity] < RANKS[verdict.severity]:
        message = alerts[0].message
        return alerts[0].severity, message if label in message else f"{label}: {message}"
    is_told = verdict.severity != "ok" or placement.spill_fraction is not None
    return verdict.severity if is_told else "unknown", verdict.sentence


def _notes(known: Loaded, state: State, found: Diagnosis, memory: ModelMemory) -> Iterator[str]:
    record, estimate = known.model, known.left_out
    if memory.has_no_gpu and memory.placement.spill_fraction is not None:
        yield NO_GPU_NOTE
    yield from _claim_notes(record.claim)
    yield from _agreement_notes(known.agreement)
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
    if rates_of(record, state).are_too_short:
        yield f"{SHORT_NOTE}{record.kind.short_requests_hint}"


def _claim_notes(claim: ModelClaim) -> Iterator[str]:
    """Say so where a claim makes no sense: more on the GPU than there is of the model."""
    size, on_gpu = claim.size_bytes, claim.size_vram_bytes
    if size is not None and on_gpu is not None and on_gpu > size:
        yield f"claim not plausible: {units.size(on_gpu)} on GPU of {units.size(size)} in all"


def _agreement_notes(agreement: Agreement) -> Iterator[str]:
    """Say by how much the driver differs from the claim, and why where that is known."""
    if agreement.difference_bytes is None or agreement.kind in {"agrees", "unknown"}:
        return
    sees = "more" if agreement.kind == "driver_sees_more" else "less"
    because = f": {agreement.cause}" if agreement.cause else ""
    yield f"driver sees {units.size(abs(agreement.difference_bytes))} {sees} than claimed{because}"


def _time_left(record: ModelRecord, state: State) -> str:
    remaining = seconds_left(record, state)
    return units.countdown(remaining) if remaining is not None and 0 <= remaining < FOREVER_SECONDS else ""
