"""A diagnosis in the snapshot, and the document of ``gpumon why``, described in docs/diagnosis.md."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from gpumon.app.diagnosis.diagnosis import Cause, Diagnosis, Evidence, Remedy, Verdict
from gpumon.app.physics.hardware import Band
from gpumon.app.snapshot.schema import (
    SCHEMA_VERSION,
    BandEntry,
    CauseEntry,
    EvidenceEntry,
    RemedyEntry,
    VerdictEntry,
)


class DiagnosisEntry(msgspec.Struct, frozen=True, kw_only=True):
    """All that is said of a model; an item of what ``gpumon why --json`` prints."""

    name: str
    url: str
    verdicts: tuple[VerdictEntry, ...]
    cause: CauseEntry | None
    remedies: tuple[RemedyEntry, ...]
    decode_tokens_per_second: float | None
    expected_tokens_per_second: BandEntry | None
    expected_fitting_tokens_per_second: BandEntry | None


class WhyDocument(msgspec.Struct, frozen=True, kw_only=True):
    """What ``gpumon why --json`` prints."""

    schema: int = SCHEMA_VERSION
    time: float
    level: str
    sentence: str
    models: tuple[DiagnosisEntry, ...]


def why_document(time: float, level: str, sentence: str, models: Iterable[DiagnosisEntry]) -> WhyDocument:
    """Return the document of ``gpumon why``: the verdict on the whole, and each model's diagnosis."""
    return WhyDocument(time=time, level=level, sentence=sentence, models=tuple(models))


def diagnosis_entry(name: str, url: str, found: Diagnosis) -> DiagnosisEntry:
    """Return all that is said of one model, as ``gpumon why --json`` prints it."""
    return DiagnosisEntry(
        name=name,
        url=url,
        verdicts=tuple(map(verdict_entry, found.verdicts)),
        cause=cause_entry(found.cause),
        remedies=remedy_entries(found),
        decode_tokens_per_second=found.decode_tokens_per_second_now,
        expected_tokens_per_second=band_entry(found.expected_now),
        expected_fitting_tokens_per_second=band_entry(found.expected_fitting),
    )


def verdict_entry(verdict: Verdict) -> VerdictEntry:
    """Return the entry of a verdict."""
    return VerdictEntry(
        kind=verdict.kind,
        severity=verdict.severity,
        sentence=verdict.sentence,
        evidence=tuple(map(_evidence, verdict.evidence)),
    )


def cause_entry(cause: Cause | None) -> CauseEntry | None:
    """Return the entry of a cause."""
    if cause is None:
        return None
    evidence = tuple(map(_evidence, cause.evidence))
    return CauseEntry(kind=cause.kind, sentence=cause.sentence, evidence=evidence)


def remedy_entries(found: Diagnosis) -> tuple[RemedyEntry, ...]:
    """Return the entries of the remedies, in order of gain."""
    return tuple(map(_remedy, found.remedies))


def band_entry(band: Band | None) -> BandEntry | None:
    """Return the entry of an estimate."""
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
        expected_tokens_per_second=band_entry(remedy.expected_tokens_per_second),
    )
