"""Verdicts on where a model is: well, not where it is claimed, not on the GPU at all, or in part."""

from __future__ import annotations

from collections.abc import Iterator

from gpumon.app.diagnosis.choices import choice_of
from gpumon.app.diagnosis.diagnosis import Evidence, Verdict
from gpumon.app.diagnosis.margins import Choice
from gpumon.app.diagnosis.subject import Subject
from gpumon.app.diagnosis.verdicts import pictures
from gpumon.app.diagnosis.words import (
    ARITHMETIC,
    COMMAND_LINE,
    ESTIMATE,
    LOG,
    NVML,
    SLOTS,
    about,
    band_words,
    size_evidence,
)
from gpumon.app.insight.agreement import beyond_choice
from gpumon.app.insight.health import spill_fault
from gpumon.app.insight.intent import cpu_choice, intent_of, parts_words
from gpumon.app.insight.loaded import Shortfall, may_load, shortfall
from gpumon.app.insight.shapes import log_of
from gpumon.app.insight.wording import amount, ended_words, gpu_label, shares, spilled_words
from gpumon.app.state.holders.measured import TOLERANCE_BYTES
from gpumon.app.state.places import is_local
from gpumon.app.state.records import FinishedLoad
from gpumon.app.state.records.load import identity
from gpumon.app.state.records.model import Split
from gpumon.app.state.work import rivals
from gpumon.text import units
from gpumon.text.safe import visible

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
    estimate = subject.loaded.left_out
    if estimate is not None and estimate.chosen_bytes:
        return _more_than_chosen(subject, beyond_choice(subject.split, estimate))
    estimated = "probably " if model.split.spill_fraction is None and split.gpu_bytes else ""
    since = f" since {units.clock(model.spilled_since, units.TO_THE_MINUTE)}" if model.spilled_since else ""
    chosen = _chosen_words(subject)
    sentence = f"{subject.name} {estimated}{spilled_words(model, split)}{chosen}{since}{_cost_words(subject)}"
    evidence = (*_split_evidence(subject), *_rate_evidence(subject), *pictures.job_evidence(subject))
    return Verdict("spilled", fault, sentence, evidence)


def _chosen_words(subject: Subject) -> str:
    """Say how much of a claimed spill is a choice: the rest is not."""
    intent = intent_of(subject.model, subject.state)
    if not intent.kept_bytes or intent.setting is None or not subject.model.claims_memory:
        return ""
    return f", {amount(intent.kept_bytes)} of it by choice ({visible(intent.setting)}),"


def _more_than_chosen(subject: Subject, beyond: Split) -> Verdict:
    """Say that more is in RAM than the settings keep there."""
    share = f"{amount(beyond.ram_bytes or 0)} ({shares(beyond)[0]})"
    more = f"{share} more in RAM than its settings keep there"
    setting = visible(intent_of(subject.model, subject.state).setting or "")
    sentence = f"{subject.name} probably has {more} ({setting}){_cost_words(subject)}"
    evidence = (*_split_evidence(subject), *_expected_evidence(subject), *_rate_evidence(subject))
    return Verdict("spilled", "watch", sentence, evidence)


def on_cpu_by_choice(subject: Subject) -> Verdict | None:
    """Find a model whose user has asked for the CPU."""
    setting = cpu_choice(subject.model, subject.state)
    if setting is None or not subject.is_spilled:
        return None
    return Verdict(
        "on_cpu_by_choice",
        "ok",
        f"{subject.name} runs on the CPU by choice ({setting})",
        (_asked_evidence(subject, setting), *_split_evidence(subject)),
    )


def _asked_evidence(subject: Subject, setting: str) -> Evidence:
    runner = subject.runner
    if runner is not None and runner.process.settings.gpu_layers == 0:
        return Evidence("GPU layers asked for", "0", COMMAND_LINE)
    return Evidence("asked for", setting, COMMAND_LINE)


def in_ram_by_choice(subject: Subject) -> Verdict | None:
    """Find a model of which a part is in RAM because its user wants it so; a watch where more would fit."""
    choice = choice_of(subject)
    if choice is None:
        return None
    part = f" {amount(subject.split.ram_bytes)}" if subject.split.ram_bytes else " a part"
    words = f"{subject.name} {choice.why_in_ram(part)}"
    return Verdict(
        "in_ram_by_choice",
        "watch" if choice.better else "ok",
        f"{words}{_choice_rates(subject, choice, '; ' if choice.kept_free else ': ')}",
        (*_split_evidence(subject), *_choice_evidence(subject, choice)),
    )


def _expected_evidence(subject: Subject) -> Iterator[Evidence]:
    """Yield where its settings and its file put the model, by the classes of its tensors."""
    intent = intent_of(subject.model, subject.state)
    if intent.vram_bytes is not None and intent.ram_bytes is not None:
        yield Evidence("to be expected on GPU", parts_words(intent.vram_bytes, intent.vram_parts), ARITHMETIC)
        yield Evidence("to be expected in RAM", parts_words(intent.ram_bytes, intent.ram_parts), ARITHMETIC)


def _choice_rates(subject: Subject, choice: Choice, join: str = ": ") -> str:
    """Say what a choice costs and what would be better: ``: about 21 tok/s; --n-cpu-moe 14 also fits, …``."""
    rate, words = subject.rates.measured, ""
    if rate is not None:
        words = f"{join}{units.rate(rate)}"
    elif choice.rate is not None:
        words = f"{join}{about(choice.rate)} tok/s"
    if words and choice.whole_rate is not None:
        words += f", {about(choice.whole_rate)} if all were on GPU"
    return f"{words}; {choice.better.words}" if choice.better else words


def _choice_evidence(subject: Subject, choice: Choice) -> tuple[Evidence, ...]:
    found = [*_expected_evidence(subject)]
    if subject.rates.measured is not None:
        found.append(Evidence("decode rate", units.rate(subject.rates.measured), SLOTS))
    if choice.rate is not None:
        found.append(Evidence("decode rate to be expected", band_words(choice.rate), ESTIMATE))
    if choice.whole_rate is not None:
        words = f"{about(choice.whole_rate)} tok/s"
        found.append(Evidence("decode rate if all were on GPU", words, ESTIMATE))
    return tuple(found)


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
        return pictures.cost_words(subject)
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
    """Say that nothing tells where the model is, or that it is where nothing is measured."""
    if subject.model.claim.on_npu:
        said = Evidence("placement", "on the NPU", subject.model.kind.label)
        words = f"{subject.name} is loaded on the NPU, which no GPU driver sees"
        return Verdict("unknown", "unknown", words, (said,))
    elsewhere = subject.loaded.elsewhere
    if elsewhere is not None:
        said = Evidence("placement", "not known here", COMMAND_LINE)
        words = f"{subject.name} is loaded; where it is is not known here: {visible(elsewhere)}"
        return Verdict("unknown", "unknown", words, (said, *_measured_evidence(subject)))
    said = Evidence("placement", "not told", subject.split_source)
    measured = subject.runner.measured_vram_bytes if subject.runner else None
    where = f", {amount(measured)} on GPU; whether a part is in RAM" if measured else "; where it is"
    words = f"{subject.name} is loaded{where} cannot be told"
    return Verdict("unknown", "unknown", words, (said, *_measured_evidence(subject)))


def _share_words(subject: Subject) -> str:
    """Say the rate, and what share of the estimate it is: ``, 131 tok/s, about 136 expected (96%)``.

    The estimate is that of the data sheet: one that follows what was observed would always be reached. It is
    no limit of the card's, so that nothing above 100 % is said: ``, 119 tok/s, about 112 expected``.

    The share means nothing while others work on the same GPU, or the request has others beside it.
    """
    rate = subject.rates.measured
    if rate is None:
        return pictures.step_words(pictures.picture_of(subject))
    if subject.runner is not None and rivals(subject.state, subject.runner):
        return f", {units.rate(rate)} beside another model at work"
    words, best = f", {units.rate(rate)}", subject.expected_by_card if subject.closely else None
    if best is None or subject.rates.streams > 1:
        return words
    percent = rate / best.expected * 100
    share = f" ({units.percent(percent)})" if percent < 99.5 else ""
    return f"{words}, {about(best)} expected{share}"


def _measured_evidence(subject: Subject) -> tuple[Evidence, ...]:
    measured = subject.loaded.measured_bytes
    return () if measured is None else (size_evidence("VRAM measured", measured, NVML),)


def _well_rate_evidence(subject: Subject) -> tuple[Evidence, ...]:
    rate, best = subject.rates.measured, subject.expected_now if subject.closely else None
    found = [] if rate is None else [Evidence("decode rate", units.rate(rate), SLOTS)]
    return (*found, *([] if best is None else [Evidence("to be expected", band_words(best), ESTIMATE)]))
