"""Builds the snapshot and the document of ``gpumon why`` from the pictures of models and GPUs."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from gpumon.app.alerts.alert import Alert
from gpumon.app.diagnosis.diagnosis import Cause, Diagnosis, Evidence, Remedy, Verdict
from gpumon.app.diagnosis.forecast import Forecast
from gpumon.app.fuses import Fuses
from gpumon.app.insight.health import of_a_look
from gpumon.app.physics.hardware import Band
from gpumon.app.picture.details import ModelDetails
from gpumon.app.picture.gpu import GpuPicture
from gpumon.app.picture.left import LeftPicture
from gpumon.app.picture.load import LoadPicture
from gpumon.app.picture.model import ModelPicture
from gpumon.app.picture.pictures import Pictures
from gpumon.app.snapshot.machine import gpu_entry, memory_entry, returned_entry, source_entry
from gpumon.app.snapshot.schema import (
    SCHEMA_VERSION,
    AlertEntry,
    BandEntry,
    CauseEntry,
    EventEntry,
    EvidenceEntry,
    ForecastEntry,
    GpuEntry,
    LeftEntry,
    LoadEntry,
    ModelEntry,
    PredictionEntry,
    RemedyEntry,
    RunnerEntry,
    Snapshot,
    TakerEntry,
    VerdictEntry,
)
from gpumon.app.snapshot.schema_work import LastRequestEntry
from gpumon.app.snapshot.work import last_request_entry, with_work
from gpumon.app.state.records import Placement, Prediction
from gpumon.collectors.samples import RunnerProcess


class DiagnosisEntry(msgspec.Struct, frozen=True, kw_only=True):
    """All that is said of a model; an item of what ``gpumon why --json`` prints, see docs/diagnosis.md."""

    name: str
    url: str
    level: str
    sentence: str
    spill_percent: str | None
    verdicts: tuple[VerdictEntry, ...]
    cause: CauseEntry | None
    remedies: tuple[RemedyEntry, ...]
    decode_tokens_per_second: float | None
    expected_tokens_per_second: BandEntry | None
    expected_fitting_tokens_per_second: BandEntry | None
    last_request: LastRequestEntry | None


class WhyDocument(msgspec.Struct, frozen=True, kw_only=True):
    """What ``gpumon why --json`` prints."""

    schema: int = SCHEMA_VERSION
    time: float
    level: str
    sentence: str
    complete: bool = True
    missing: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    """What else is wrong, and with no model."""
    models: tuple[DiagnosisEntry, ...]


def build_snapshot(
    pictures: Pictures, missing: Sequence[str] = (), events: Sequence[EventEntry] = ()
) -> Snapshot:
    """Return what is known now, and ``events``; ``missing`` could not be looked at in time.

    Old values of a silent source are kept: ``sources`` says how old. What fails here is left out.
    """
    pictures.refresh()
    state, whole = pictures.state, of_a_look(pictures.health(), missing)
    models = [entry for model in pictures.models() for entry in _model_entries(model, pictures)]
    return Snapshot(
        time=state.now,
        host=state.system.sample.host if state.system else None,
        level=whole.level,
        sentence=whole.sentence,
        complete=not missing,
        missing=tuple(missing),
        sources=tuple(
            source_entry(record, state.now)
            for name, record in sorted(state.sources.items())
            if not record.is_pointless
        ),
        gpus=tuple(entry for gpu in pictures.gpus() for entry in _gpu_entries(gpu, pictures.fuses)),
        memory=memory_entry(state.system),
        models=(*models, *map(loading_entry, pictures.loads())),
        alerts=tuple(map(_alert, pictures.active)),
        returned=tuple(map(returned_entry, state.returned)),
        left=tuple(map(_left, pictures.left())),
        events=tuple(events),
    )


def _gpu_entries(gpu: GpuPicture, fuses: Fuses) -> tuple[GpuEntry, ...]:
    with fuses.guard("snapshot of a GPU", gpu.uuid):
        return (gpu_entry(gpu),)
    return ()


def _model_entries(model: ModelPicture, pictures: Pictures) -> tuple[ModelEntry, ...]:
    with pictures.fuses.guard("snapshot of a model", model.key):
        details = pictures.details(model.key)
        return () if details is None else (model_entry(details),)
    return ()


def why_document(
    pictures: Pictures, models: Sequence[ModelPicture], missing: Sequence[str] = ()
) -> WhyDocument:
    """Return the document of ``gpumon why``: the verdict on the whole, and the diagnosis of each model."""
    whole = of_a_look(pictures.health(), missing)
    return WhyDocument(
        time=pictures.now,
        level=whole.level,
        sentence=whole.sentence,
        complete=not missing,
        missing=tuple(missing),
        also=pictures.besides(whole),
        models=tuple(map(diagnosis_entry, models)),
    )


def model_entry(details: ModelDetails) -> ModelEntry:
    """Return the entry of a loaded model: what is claimed, what is measured, how fast it runs, and why."""
    model, memory = details.picture, details.picture.memory
    entry = ModelEntry(
        name=model.claim.name,
        digest=model.claim.digest,
        runtime=model.runtime,
        url=model.key.source,
        level=model.level,
        sentence=model.sentence,
        load=_load(model.load) if model.load else None,
        claimed_size_bytes=model.claim.size_bytes,
        claimed_vram_bytes=model.claim.size_vram_bytes,
        spill_fraction=memory.spill_fraction,
        spill_percent=memory.spill_percent or None,
        processor=memory.processor,
        context_length=model.claim.context_length,
        expires_at=model.claim.expires_at,
        measured_vram_bytes=memory.measured_vram_bytes,
        measured_vram_by_gpu=memory.measured_vram_by_gpu,
        expected_vram_by_gpu={one.uuid: one.by_class for one in details.expected_by_card} or None,
        weights_in_ram_estimate_bytes=memory.left_out.bytes if memory.left_out else None,
        agreement=memory.agreement.kind,
        agreement_cause=memory.agreement.cause,
        activity=model.activity,
        runner=_runner(model.process, details) if model.process else None,
        verdict=verdict_entry(model.diagnosis.verdict),
        cause=_cause(model.diagnosis.cause),
        remedies=_remedies(model.diagnosis),
        expected_tokens_per_second=_band(model.diagnosis.expected_now),
        baseline_tokens_per_second=details.usual.decode_tokens_per_second if details.usual else None,
        baseline_request_count=details.usual.request_count if details.usual else None,
        prediction=_prediction(details.prediction) if details.prediction else None,
    )
    return with_work(entry, details)


def loading_entry(load: LoadPicture) -> ModelEntry:
    """Return the entry of a model that is loading and that no server lists yet."""
    evidence = EvidenceEntry(name="phase", value=load.phase_words, source="gpumon")
    return ModelEntry(
        name=load.name,
        level=load.level,
        sentence=load.sentence,
        load=_load(load),
        processor="Unknown",
        context_length=load.context_length,
        measured_vram_bytes=load.gpu_bytes,
        measured_vram_by_gpu=load.vram_by_gpu or None,
        activity="loading",
        verdict=VerdictEntry(
            kind="loading", severity=load.level, sentence=load.sentence, evidence=(evidence,)
        ),
    )


def _load(load: LoadPicture) -> LoadEntry:
    return LoadEntry(
        phase=load.phase,
        fraction=load.fraction,
        seconds=load.seconds,
        seconds_left=load.seconds_left,
        seconds_left_is_estimate=None if load.seconds_left is None else load.is_estimate,
        loaded_bytes=load.loaded_bytes,
        target_bytes=load.target_bytes,
        bytes_per_second=load.bytes_per_second,
        made_room=load.evicted,
        forecast=None if load.forecast is None else _forecast(load.forecast),
    )


def _forecast(found: Forecast) -> ForecastEntry:
    return ForecastEntry(
        need_vram_bytes=found.need_bytes,
        available_vram_bytes=found.room_bytes,
        gpu_bytes=found.gpu_bytes,
        ram_bytes=found.ram_bytes,
        will_spill=found.spills,
        decode_tokens_per_second=_band(found.decode),
        cure=found.cure or None,
        command=found.command.line,
    )


def diagnosis_entry(model: ModelPicture) -> DiagnosisEntry:
    """Return all that is said of one model, as ``gpumon why --json`` prints it."""
    found = model.diagnosis
    return DiagnosisEntry(
        name=model.claim.name,
        url=model.key.source,
        level=model.level,
        sentence=model.sentence,
        spill_percent=model.memory.spill_percent or None,
        verdicts=tuple(map(verdict_entry, found.verdicts)),
        cause=_cause(found.cause),
        remedies=_remedies(found),
        decode_tokens_per_second=found.decode_tokens_per_second_now,
        expected_tokens_per_second=_band(found.expected_now),
        expected_fitting_tokens_per_second=_band(found.expected_fitting),
        last_request=last_request_entry(model.last) if model.last else None,
    )


def verdict_entry(verdict: Verdict) -> VerdictEntry:
    """Return the entry of a verdict."""
    return VerdictEntry(
        kind=verdict.kind,
        severity=verdict.severity,
        sentence=verdict.sentence,
        evidence=tuple(map(_evidence, verdict.evidence)),
    )


def _cause(cause: Cause | None) -> CauseEntry | None:
    if cause is None:
        return None
    evidence = tuple(map(_evidence, cause.evidence))
    takers = tuple(TakerEntry(**one._asdict()) for one in cause.takers)
    return CauseEntry(kind=cause.kind, sentence=cause.sentence, evidence=evidence, takers=takers)


def _remedies(found: Diagnosis) -> tuple[RemedyEntry, ...]:
    """Return the entries of the remedies, in order of gain."""
    return tuple(map(_remedy, found.remedies))


def _band(band: Band | None) -> BandEntry | None:
    return None if band is None else BandEntry(low=band.low, expected=band.expected, high=band.high)


def _evidence(evidence: Evidence) -> EvidenceEntry:
    return EvidenceEntry(name=evidence.name, value=evidence.value, source=evidence.source)


def _remedy(remedy: Remedy) -> RemedyEntry:
    return RemedyEntry(
        action=remedy.action,
        sentence=remedy.sentence,
        command=remedy.command,
        where=remedy.where,
        arithmetic=remedy.arithmetic,
        frees_bytes=remedy.frees_bytes,
        missing_bytes=remedy.missing_bytes,
        expected_tokens_per_second=_band(remedy.expected_tokens_per_second),
    )


def _prediction(prediction: Prediction) -> PredictionEntry:
    return PredictionEntry(
        vram_bytes=round(prediction.expected_vram_bytes),
        measured_vram_bytes=prediction.measured_vram_bytes,
        error_fraction=prediction.error_fraction,
    )


def _runner(process: RunnerProcess, details: ModelDetails) -> RunnerEntry:
    settings, placed = process.settings, details.log
    return RunnerEntry(
        pid=process.pid,
        kind=process.kind,
        joined_by=details.picture.joined_by,
        user=process.user,
        port=settings.port,
        context_length=settings.context_length,
        parallel=settings.parallel,
        gpu_layers=settings.gpu_layers,
        batch_size=settings.batch_size,
        kv_cache_type=settings.cache_type_k,
        flash_attention=settings.flash_attention,
        layers_on_gpu=placed.layers_on_gpu if placed else None,
        layer_count=placed.layer_count if placed else None,
        layers_with_experts_in_ram=placed.layers_overflowing if placed else None,
        buffers_by_device=_buffers(placed) if placed else None,
        rss_bytes=process.rss_bytes,
        file_bytes=process.file_bytes,
        ram_limit_bytes=process.ram_limit_bytes,
        cpu_percent=process.cpu_percent,
        disk_read_bytes_per_second=details.disk.read_bytes if details.disk else None,
        major_faults_per_second=details.disk.major_faults if details.disk else None,
        worker_pids=tuple(pid for pid, _ in process.workers),
    )


def _buffers(placed: Placement) -> dict[str, dict[str, int]] | None:
    by_device: dict[str, dict[str, int]] = {}
    for key, size_bytes in sorted(placed.buffers.items()):
        by_device.setdefault(key.device, {})[key.component] = size_bytes
    return by_device or None


def _left(left: LeftPicture) -> LeftEntry:
    return LeftEntry(
        name=left.claim.name,
        digest=left.claim.digest,
        runtime=left.kind.name,
        url=left.key.source,
        time=left.left,
        reason=left.reason,
        vram_bytes=left.vram_bytes,
    )


def _alert(alert: Alert) -> AlertEntry:
    return AlertEntry(
        kind=alert.kind,
        subject=alert.subject,
        severity=alert.severity,
        since=alert.since,
        message=alert.message,
    )
