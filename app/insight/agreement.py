"""Whether the driver agrees with what a server claims of a model's VRAM, by how much, and why not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

from msgspec import Struct

from gpumon.app.cuda import CUDA_CONTEXT_MAX_BYTES
from gpumon.app.insight.activity import is_gone
from gpumon.app.insight.intent import all_on_gpu, cpu_choice, intent_of
from gpumon.app.insight.left_out import LEAST_SHARE, LeftOut, left_out
from gpumon.app.state.holders.measured import tolerance_bytes
from gpumon.app.state.records import Intent, ModelRecord
from gpumon.app.state.records.model import UNKNOWN_SPLIT, Split
from gpumon.app.state.state import State
from gpumon.app.state.work import server_facts
from gpumon.collectors.samples import ModelFacts, RunnerSettings
from gpumon.collectors.servers.kind import RunnerKind, ServerKind
from gpumon.collectors.servers.registry import DEFAULT


def placement_of(model: ModelRecord, state: State) -> Split:
    """Return the split that a server claims, or that which the driver's figures amount to."""
    if model.runner is None and is_gone(model, state):
        return UNKNOWN_SPLIT  # what is claimed is held by nobody any more
    if model.claims_memory:
        return _claimed(model, state)
    found = left_out(model, state)
    if found is None:
        return all_on_gpu(model, state) or _unmeasured(model, state)
    in_ram, whole = found.bytes + found.chosen_bytes, found.weights_bytes
    if intent_of(model, state).vram_bytes is not None and cpu_choice(model, state) is None:
        whole = in_ram + found.measured_bytes
    return Split(found.measured_bytes, in_ram, in_ram / whole if whole else None)


def _unmeasured(model: ModelRecord, state: State) -> Split:
    """Return that all is in RAM where nothing else is there, or where the user has asked for that."""
    runner = state.runner_of(model)
    if runner is not None and state.holds_all_in_ram(model.key.source):
        return Split(0, runner.process.rss_bytes, 1.0)
    if cpu_choice(model, state) is None:
        return UNKNOWN_SPLIT
    facts = server_facts(model, state)
    weights = (facts.weights_bytes if facts else None) or intent_of(model, state).weights_bytes
    return Split(0, weights, 1.0)


def beyond_choice(split: Split, found: LeftOut | None) -> Split:
    """Return a split in which what is in RAM by choice counts as where it should be."""
    if found is None or not found.chosen_bytes or split.gpu_bytes is None:
        return split
    whole = split.gpu_bytes + (split.ram_bytes or 0)
    return Split(whole - found.bytes, found.bytes, found.bytes / whole if whole else None)


def choice_of(model: ModelRecord, state: State) -> str | None:
    """Return the setting that explains all that is in RAM: ``--n-cpu-moe 40``; ``None`` where none does."""
    return choice_beside(model, state, left_out(model, state))


def choice_beside(model: ModelRecord, state: State, found: LeftOut | None) -> str | None:
    """Return the same, where it is known already what is left out."""
    intent = intent_of(model, state)
    if intent.cpu is not None:
        return intent.cpu
    if model.claims_memory:
        return intent.setting if _explains(intent, model) else None
    if found is not None and found.margin is not None:
        return found.margin.setting
    return intent.setting if found is not None and found.chosen_bytes and not found.bytes else None


def _explains(intent: Intent, model: ModelRecord) -> bool:
    """Return whether settings amount to all that a server claims in RAM."""
    claimed, size = model.split.ram_bytes, model.claim.size_bytes
    if not claimed or not size:
        return False
    if intent.ram_bytes is None:
        return bool(set(intent.keeps) - {"layers"})
    return claimed <= intent.ram_bytes + LEAST_SHARE * size


def _claimed(model: ModelRecord, state: State) -> Split:
    """Return the split by the claim; all in RAM where 0 bytes of nothing are claimed, and there is no GPU."""
    split = model.split
    is_unsized = split.spill_fraction is None and model.claim.size_vram_bytes == 0
    return Split(0, None, 1.0) if is_unsized and state.lacks_gpu_at(model.key.source) else split


SLIDING_WINDOW_FAMILIES = ("gemma2", "gemma3", "gemma4", "gpt-oss", "gptoss", "llama4", "cohere2", "olmo3")
"""Ollama counts only the last of their two context caches (ollama#16763)."""

AgreementKind = Literal["agrees", "driver_sees_more", "driver_sees_less", "unknown"]


class Agreement(NamedTuple):
    """How claim and measurement compare."""

    kind: AgreementKind
    difference_bytes: int | None = None
    """Measured minus claimed; ``None`` where one of them is unknown."""
    cause: str | None = None
    """What is known to make such a difference in this case, ready to draw."""


class Evidence(Struct, frozen=True):
    """What may explain a difference."""

    facts: ModelFacts | None = None
    family: str | None = None
    runner_kind: RunnerKind | None = None
    server: ServerKind = DEFAULT
    settings: RunnerSettings | None = None
    gpu_count: int = 1
    """GPUs that the process is on."""
    unaccounted_bytes: int = 0
    """In use on all GPUs, and held by no process that the driver lists."""


NO_EVIDENCE = Evidence()


def agreement(
    claimed_bytes: int | None, measured_bytes: int | None, evidence: Evidence = NO_EVIDENCE
) -> Agreement:
    """Compare bytes claimed on GPU with bytes measured for the process.

    Where memory without an owner could make up for a shortfall it is unknown: the list of processes may not
    be whole.
    """
    if claimed_bytes is None or measured_bytes is None:
        return Agreement("unknown")
    difference = measured_bytes - claimed_bytes
    if abs(difference) <= tolerance_bytes(claimed_bytes):
        return Agreement("agrees", difference)
    if difference > 0:
        causes = ", ".join(_causes_of_more(difference, evidence))
        return Agreement("driver_sees_more", difference, causes or None)
    if difference + evidence.unaccounted_bytes >= -tolerance_bytes(claimed_bytes):
        return Agreement("unknown", difference)
    return Agreement("driver_sees_less", difference, _cause_of_less(evidence))


def agreement_of(model: ModelRecord, state: State) -> Agreement:
    """Compare what is claimed and measured of a loaded model."""
    runner = state.runner_of(model)
    if runner is None or model.kind.makes_pictures:
        return Agreement("unknown")
    claimed, measured = model.split.gpu_bytes, runner.measured_vram_bytes
    if claimed is None or measured is None or abs(measured - claimed) <= tolerance_bytes(claimed):
        return agreement(claimed, measured)  # nothing is to be explained
    evidence = Evidence(
        facts=model.facts,
        family=model.claim.family,
        runner_kind=runner.kind,
        server=model.kind,
        settings=runner.process.settings,
        gpu_count=len(runner.vram_by_gpu),
        unaccounted_bytes=max(state.hidden_vram_bytes, runner.hidden_vram_bytes),
    )
    return agreement(claimed, measured, evidence)


def logged_in_ram(model: ModelRecord, state: State) -> bool:
    """Return whether the log of the server places all of a model in RAM that it claims to be on a GPU.

    Ollama counts every backend that it does not know as a GPU (ollama: llm/llama_server.go, ``MemorySize``).
    """
    runner = state.runner_of(model)
    placed = runner.placement if runner else None
    return placed is not None and placed.gpu_bytes == 0 and bool(model.split.gpu_bytes)


def _causes_of_more(difference: int, evidence: Evidence) -> Iterator[str]:
    """Yield what the claim is known to leave out (ollama: llm/llama_server.go, ``memoryParsingWriter``)."""
    left_out, label = evidence.server.claim_leaves_out, evidence.server.label
    if "sliding_window" in left_out and _has_sliding_window(evidence):
        yield f"context of a sliding-window model, which {label} counts in part"
    if "projector" in left_out and _has_projector(evidence):
        yield f"projector, which {label} does not count"
    if "draft" in left_out and _has_draft(evidence):
        yield f"draft model, whose buffers {label} mistakes for the model's"
    if difference <= CUDA_CONTEXT_MAX_BYTES * evidence.gpu_count:
        yield f"CUDA context on {evidence.gpu_count} GPUs"


def _cause_of_less(evidence: Evidence) -> str | None:
    return evidence.runner_kind.estimate_words if evidence.runner_kind else None


def _has_sliding_window(evidence: Evidence) -> bool:
    facts = evidence.facts
    if facts is not None and facts.geometry.get(f"{facts.architecture}.attention.sliding_window"):
        return True
    family = (facts.architecture if facts else None) or evidence.family or ""
    return family.startswith(SLIDING_WINDOW_FAMILIES)


def _has_projector(evidence: Evidence) -> bool:
    facts = evidence.facts
    shown = facts is not None and (len(facts.blobs) > 1 or "vision" in facts.capabilities)
    return shown or (evidence.settings is not None and evidence.settings.projector_path is not None)


def _has_draft(evidence: Evidence) -> bool:
    facts = evidence.facts
    built_in = facts is not None and bool(facts.geometry.get(f"{facts.architecture}.nextn_predict_layers"))
    return built_in or (evidence.settings is not None and evidence.settings.draft_path is not None)
