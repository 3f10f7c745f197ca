"""Verdicts on where a model is: well, not where it is claimed, not on the GPU at all, or in part."""

from __future__ import annotations

from gpumon.app.diagnosis.diagnosis import Evidence, Verdict
from gpumon.app.diagnosis.subject import Subject
from gpumon.app.diagnosis.words import (
    COMMAND_LINE,
    ESTIMATE,
    LOG,
    NVML,
    SLOTS,
    about,
    band_words,
    size_evidence,
)
from gpumon.app.insight.agreement import Shortfall, may_load, shortfall
from gpumon.app.insight.health import spill_fault
from gpumon.app.insight.shapes import log_of
from gpumon.app.insight.wording import amount, ended_words, gpu_label, spill_words
from gpumon.app.state.holders.measured import TOLERANCE_BYTES
from gpumon.app.state.places import is_local
from gpumon.app.state.records import FinishedLoad
from gpumon.app.state.records.load import identity
from gpumon.app.state.work import rivals
from gpumon.text import units

HISTORY_SECONDS = 86400.0
HISTORY_CELLS = 720


def silent_fallback(subject: Subject) -> Verdict | None:
    """Find a model that is claimed on the GPU, and of which little or nothing is there."""
    if _missing(subject) != "silent_fallback" or _held_before(subject):
        return None
    sentence = f"{subject.name} is not on the GPU though {_claim_words(subject)}"
    return Verdict("silent_fallback", "bad", sentence, _claim_evidence(subject))


def hidden_spill(subject: Subject) -> Verdict | None:
    """Find a model of which a part is claimed on the GPU and is not there."""
    if _missing(subject) != "hidden_spill":
        return None
    sentence = f"{subject.name} is only in part on the GPU though {_claim_words(subject)}"
    return Verdict("hidden_spill", "bad", sentence, _claim_evidence(subject))


def over_all_cards(subject: Subject) -> Verdict | None:
    """Find a model of which more is claimed on GPUs than all of them hold: the rest cannot be in VRAM."""
    claimed, capacity = subject.split.gpu_bytes, _capacity_bytes(subject)
    if claimed is None or capacity is None or claimed <= capacity or _missing(subject) == "hidden_spill":
        return None
    missing, size = claimed - capacity, subject.model.claim.size_bytes or claimed
    is_estimate = subject.runner is not None and subject.runner.kind.claim == "estimate"
    is_bad = missing * 100 >= subject.spill_bad_percent * size and not is_estimate
    cards = "its GPU has" if len(subject.state.gpus) == 1 else "all GPUs together have"
    return Verdict(
        "hidden_spill",
        "bad" if is_bad else "watch",
        f"{subject.name} cannot be on the GPU as a whole: {amount(claimed)} are claimed there, {cards} "
        f"{amount(capacity)}, so at least {amount(missing)} must be in RAM",
        (*_claim_evidence(subject)[:1], size_evidence("VRAM in all", capacity, NVML)),
    )


def lost_gpu(subject: Subject) -> Verdict | None:
    """Find a model that was on a GPU earlier, and is on none now: after a suspend, a reset, a lost card."""
    if _missing(subject) == "silent_fallback" and (held := _held_before(subject)):
        evidence = (size_evidence("on GPU earlier", held, NVML), *_claim_evidence(subject))
        return Verdict(
            "lost_gpu", "bad", f"{subject.name} has lost the GPU: it held {amount(held)}", evidence
        )
    before = _load_on_gpu(subject)
    if before is None or subject.split.gpu_bytes != 0 or not _is_unwanted(subject):
        return None
    peak, at = before.peak_vram_bytes or 0, units.clock(before.started, units.TO_THE_MINUTE)
    return Verdict(
        "lost_gpu",
        "bad",
        f"{subject.name} runs wholly on the CPU; at {at} it was loaded onto the GPU",
        (
            size_evidence("on GPU then", peak, NVML),
            *_lost_evidence(subject),
            size_evidence("on GPU", 0, subject.split_source),
        ),
    )


def no_gpu_found(subject: Subject) -> Verdict | None:
    """Find a model wholly on the CPU because its server never found the GPU that the driver shows."""
    log = log_of(subject.model, subject.state)
    if log is None or not log.found_no_gpu or subject.split.gpu_bytes != 0:
        return None
    if not subject.state.has_gpu or not _is_unwanted(subject) or _load_on_gpu(subject):
        return None
    count = len(subject.state.gpus)
    return Verdict(
        "no_gpu_found",
        "bad",
        f"{subject.name} runs wholly on the CPU: its server found no GPU, the driver shows {count}",
        (
            Evidence("GPUs found by the server", "none", LOG),
            Evidence("GPUs", str(count), NVML),
            size_evidence("in RAM", subject.split.ram_bytes or 0, subject.split_source),
        ),
    )


def spilled(subject: Subject) -> Verdict | None:
    """Find a model that is in RAM in part or as a whole, by the claim, and say what it costs."""
    model, split = subject.model, subject.split
    if not subject.is_spilled or subject.loaded.by_choice:
        return None
    fault = spill_fault(model, subject.spill_bad_percent) or "watch"
    estimated = "probably " if model.split.spill_fraction is None and split.gpu_bytes else ""
    since = f" since {units.clock(model.spilled_since, units.TO_THE_MINUTE)}" if model.spilled_since else ""
    sentence = f"{subject.name} {estimated}{spill_words(split)}{since}{_cost_words(subject)}"
    return Verdict("spilled", fault, sentence, (*_split_evidence(subject), *_rate_evidence(subject)))


def on_cpu_by_choice(subject: Subject) -> Verdict | None:
    """Find a model whose user has asked for the CPU."""
    if not subject.loaded.by_choice or not subject.is_spilled:
        return None
    return Verdict(
        "on_cpu_by_choice",
        "ok",
        f"{subject.name} runs on the CPU by choice (num_gpu 0)",
        (Evidence("GPU layers asked for", "0", COMMAND_LINE), *_split_evidence(subject)),
    )


def _capacity_bytes(subject: Subject) -> int | None:
    """Return the memory of all GPUs of a model's machine; ``None`` where it is not told, or is the RAM."""
    state, memories = subject.state, [gpu.reading.memory for gpu in subject.state.gpus.values()]
    if not memories or not is_local(subject.model.key.source, state.servers):
        return None
    totals = [memory.total_bytes for memory in memories if memory is not None and not memory.unified]
    return sum(totals) if len(totals) == len(memories) else None


def _missing(subject: Subject) -> Shortfall:
    return "unknown" if may_load(subject.loaded) else shortfall(subject.loaded)


def _claim_words(subject: Subject) -> str:
    claimed, measured = subject.split.gpu_bytes or 0, subject.loaded.measured_bytes
    seen = f"only {amount(measured)}" if measured else "nothing"
    return f"{amount(claimed)} are claimed there: the driver sees {seen}"


def _claim_evidence(subject: Subject) -> tuple[Evidence, ...]:
    return (
        size_evidence("VRAM claimed", subject.split.gpu_bytes or 0, subject.split_source),
        size_evidence("VRAM measured", subject.loaded.measured_bytes or 0, NVML),
    )


def _split_evidence(subject: Subject) -> tuple[Evidence, ...]:
    split = subject.split
    return (
        size_evidence("in RAM", split.ram_bytes or 0, subject.split_source),
        size_evidence("on GPU", split.gpu_bytes or 0, subject.split_source),
    )


def _rate_evidence(subject: Subject) -> tuple[Evidence, ...]:
    rates, found = subject.rates, []
    if rates.measured is not None:
        found.append(Evidence("decode rate", units.rate(rates.measured), "/slots"))
    if subject.expected_fitting is not None:
        found.append(
            Evidence("decode rate if it fitted", f"{about(subject.expected_fitting)} tok/s", "estimate")
        )
    return tuple(found)


def _cost_words(subject: Subject) -> str:
    """Say what the spill costs: ``: 5.1 tok/s, about 18 if it fitted``."""
    measured = subject.rates.measured
    if measured is None:
        return ""
    fitting = subject.expected_fitting
    return f": {units.rate(measured)}" + (f", {about(fitting)} if it fitted" if fitting else "")


def _held_before(subject: Subject) -> int:
    """Return the most that its process held on GPUs earlier, where it now holds nothing to speak of."""
    runner, measured = subject.runner, subject.loaded.measured_bytes
    if runner is None or measured is None or measured >= TOLERANCE_BYTES:
        return 0
    cells = runner.vram.window(subject.state.now, HISTORY_SECONDS, HISTORY_CELLS)
    most = max((cell.maximum for cell in cells if cell is not None), default=0.0)
    return int(most) if most >= TOLERANCE_BYTES else 0


def _load_on_gpu(subject: Subject) -> FinishedLoad | None:
    """Return the latest load before this one of the same model that took memory of a GPU."""
    runner = subject.runner
    model = identity(runner.process.settings) if runner else None
    if model is None or runner is None:
        return None
    loads = (load for load in reversed(subject.state.finished_loads) if load.key != runner.key)
    same = (load for load in loads if load.outcome == "loaded" and identity(load.settings) == model)
    return next((load for load in same if (load.peak_vram_bytes or 0) >= TOLERANCE_BYTES), None)


def _is_unwanted(subject: Subject) -> bool:
    """Return whether nobody asked for the CPU, and nothing but the GPU's absence explains it."""
    return subject.is_spilled and not subject.loaded.by_choice


def _lost_evidence(subject: Subject) -> tuple[Evidence, ...]:
    lost = [gpu for gpu in subject.state.gpus.values() if gpu.reading.state == "lost"]
    return tuple(Evidence(gpu_label(gpu), "lost", NVML) for gpu in lost)


def loading(subject: Subject) -> Verdict | None:
    """Find a model that is not ready yet."""
    if subject.loaded.activity != "loading":
        return None
    state = subject.runner.answer.state if subject.runner and subject.runner.answer else "loading"
    return Verdict(
        "loading", "ok", f"{subject.name} is loading", (Evidence("its port says", state, "/health"),)
    )


def process_ended(subject: Subject) -> Verdict | None:
    """Find a model that its server still lists and that no process holds any more: killed, or crashed."""
    if subject.loaded.activity != "gone":
        return None
    model, how = subject.model, subject.loaded.ended_how
    words = ended_words(subject.name, model, how)
    pid = str(model.ended_runner.pid) if model.ended_runner else "its process"
    return Verdict("process_ended", "bad", words, (Evidence(f"process {pid}", how or "ended", "/proc"),))


def healthy(subject: Subject) -> Verdict | None:
    """Say that all of it is where it should be, and how near it is to what the card can do."""
    split = subject.split
    if split.spill_fraction is None or subject.is_spilled:
        return None
    no_gpu = (
        "no GPU here" if subject.state.lacks_gpu_at(subject.model.key.source) else "no GPU is known there"
    )
    where = "on GPU" if split.gpu_bytes else f"in RAM, {no_gpu}"
    size_bytes = split.gpu_bytes or split.ram_bytes or 0
    held = f"{amount(size_bytes)} {where}" if size_bytes else where
    claimed = size_evidence("on GPU" if split.gpu_bytes else "in RAM", size_bytes, subject.split_source)
    return Verdict(
        "healthy",
        "ok",
        f"{subject.name} is well: {held}{_share_words(subject)}",
        (claimed, *_measured_evidence(subject), *_well_rate_evidence(subject)),
    )


def unknown(subject: Subject) -> Verdict:
    """Say that nothing tells where the model is."""
    said = Evidence("placement", "not told", subject.split_source)
    return Verdict("unknown", "unknown", f"{subject.name} is loaded; where it is cannot be told", (said,))


def _share_words(subject: Subject) -> str:
    """Say the rate, and what share of the estimate it is: ``, 131 tok/s, 96% of what this card can do``.

    The estimate is that of the data sheet: one that follows what was observed would always be reached.

    The share means nothing while others work on the same GPU, or the request has others beside it.
    """
    rate = subject.rates.measured
    if rate is None:
        return ""
    if subject.runner is not None and rivals(subject.state, subject.runner):
        return f", {units.rate(rate)} beside another model at work"
    words, best = f", {units.rate(rate)}", subject.expected_by_card if subject.closely else None
    if best is None or subject.rates.streams > 1:
        return words
    percent = rate / best.expected * 100
    if percent >= 99.5:  # an estimate that is passed is no limit of the card's
        return f"{words}, as fast as {_cards(subject)} can be expected to be"
    return f"{words}, {units.percent(percent)} of what {_cards(subject)} can do"


def _cards(subject: Subject) -> str:
    """Name what it runs on."""
    held = subject.runner.vram_by_gpu if subject.runner else {}
    if not subject.split.gpu_bytes:
        return "this machine"
    return "this card" if len(held) < 2 else f"these {len(held)} cards"


def _measured_evidence(subject: Subject) -> tuple[Evidence, ...]:
    measured = subject.loaded.measured_bytes
    return () if measured is None else (size_evidence("VRAM measured", measured, NVML),)


def _well_rate_evidence(subject: Subject) -> tuple[Evidence, ...]:
    rate, best = subject.rates.measured, subject.expected_now if subject.closely else None
    found = [] if rate is None else [Evidence("decode rate", units.rate(rate), SLOTS)]
    return (*found, *([] if best is None else [Evidence("to be expected", band_words(best), ESTIMATE)]))
