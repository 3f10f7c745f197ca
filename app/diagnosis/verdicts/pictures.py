"""Verdicts on image generators: what they hold and do, and whether their weights stay in RAM."""

from __future__ import annotations

from collections.abc import Iterator

from gpumon.app.diagnosis.diagnosis import Evidence, Verdict
from gpumon.app.diagnosis.subject import Subject
from gpumon.app.diagnosis.takers import step_change
from gpumon.app.diagnosis.words import COMMAND_LINE, NVML, size_evidence
from gpumon.app.insight.intent import intent_of
from gpumon.app.insight.wording import amount
from gpumon.app.state.rates.picture import WORTH_TELLING, Drawing
from gpumon.app.state.work import drawing_of, rivals, server_facts
from gpumon.text import units
from gpumon.text.safe import visible

STREAM_BYTES_PER_SECOND = 2e9
"""Received over PCIe at each of several looks: a picture itself needs next to nothing."""


def picture_of(subject: Subject) -> Drawing | None:
    """Return the picture under way."""
    return drawing_of(subject.model, subject.state)


def streams_weights(subject: Subject) -> Verdict | None:
    """Find a generator whose card receives so much while it draws that weights must come from RAM.

    It is a sign and no proof: where nothing tells how its model was loaded, and nobody else is at work there.
    """
    now = picture_of(subject)
    rate = now.streamed_bytes_per_second if now else None
    if rate is None or rate < STREAM_BYTES_PER_SECOND or subject.split.spill_fraction:
        return None
    if intent_of(subject.model, subject.state).setting or _has_rivals(subject):
        return None
    sign = f"{units.byte_rate(rate)} over PCIe while it draws; a sign, no proof"
    return Verdict(
        "streams_weights",
        "watch",
        f"{subject.name} probably moves weights from RAM for each step: {sign}",
        (Evidence("received over PCIe", units.byte_rate(rate), NVML), *job_evidence(subject)),
    )


def loaded_in_part(subject: Subject) -> Verdict | None:
    """Find a model of which a part stays in RAM, where it is not told how much."""
    facts = server_facts(subject.model, subject.state) if subject.model.kind.makes_pictures else None
    if facts is None or facts.weights_on_gpu_bytes is None or facts.weights_bytes is not None:
        return None
    setting = intent_of(subject.model, subject.state).setting
    why = f" by choice ({visible(setting)})" if setting else ""
    held = f"{amount(facts.weights_on_gpu_bytes)} of it on GPU, the rest is not told"
    return Verdict(
        "loaded_in_part",
        "ok" if setting else "watch",
        f"{subject.name} is loaded in part{why}: {held}{cost_words(subject)}",
        (size_evidence("on GPU", facts.weights_on_gpu_bytes, subject.split_source), *job_evidence(subject)),
    )


def told(subject: Subject) -> Verdict | None:
    """Say what a generator holds and does, where it does not tell where its weights are."""
    if not subject.model.kind.makes_pictures:
        return None
    setting, measured = intent_of(subject.model, subject.state).setting, subject.loaded.measured_bytes
    now = picture_of(subject)
    doing = "draws" if now else "is at work" if subject.loaded.activity == "busy" else "is idle"
    held = "" if measured is None else f", {amount(measured)} of VRAM"
    chosen = f"; it keeps weights in RAM by choice ({visible(setting)})" if setting else ""
    asked = () if setting is None else (Evidence("asked for", visible(setting), COMMAND_LINE),)
    vram = () if measured is None else (size_evidence("VRAM measured", measured, NVML),)
    words = f"{subject.name} {doing}{held}{step_words(now)}{chosen}"
    return Verdict("drawing", "ok", words, (*vram, *asked, *job_evidence(subject)))


def cost_words(subject: Subject) -> str:
    """Say what it costs that weights stay in RAM: ``: 5.2 s/it, 1.4 s/it before``."""
    steps, now = step_change(subject), picture_of(subject)
    if steps is not None:
        slow, fast = (units.step_rate(one.seconds_per_step) for one in (steps.now, steps.before))
        return f": {slow}, {fast} before"
    if now is None or now.seconds_per_step is None:
        return ""
    taken, best = now.seconds_per_step, now.best_seconds_per_step
    before = f", {units.step_rate(best)} before" if best and taken > best * WORTH_TELLING else ""
    return f": {units.step_rate(taken)}{before}"


def step_words(now: Drawing | None) -> str:
    """Say how long a step takes now: ``, 1.4 s/it``; nothing where that is not known."""
    taken = now.seconds_per_step if now else None
    return "" if taken is None else f", {units.step_rate(taken)}"


def job_evidence(subject: Subject) -> Iterator[Evidence]:
    """Yield how far the picture is."""
    now = picture_of(subject)
    if now is None:
        return
    job, source = now.job, subject.model.kind.claim_source
    if job.step is not None and job.step_count:
        yield Evidence("steps", f"{job.step} of {job.step_count}", source)
    if now.seconds_per_step is not None:
        yield Evidence("a step takes", units.step_rate(now.seconds_per_step), source)


def _has_rivals(subject: Subject) -> bool:
    return subject.runner is not None and bool(rivals(subject.state, subject.runner))
