"""Takes what the servers say of their models."""

from __future__ import annotations

from gpumon.app.state.apply.sources import hear
from gpumon.app.state.holders.joins import join
from gpumon.app.state.holders.measured import is_steady, runner_of
from gpumon.app.state.records import ModelKey, ModelRecord, Runtime
from gpumon.app.state.state import State
from gpumon.collectors.samples import ModelClaim, OllamaInstalled, OllamaModelFacts, OllamaSample

MODELS_END_WITH = frozenset({"not_running"})
"""States of a server in which its models are known to be gone; in the others they are only not confirmed: a
page of a proxy in between looks like another program."""

CLOCK_RESOLUTION_SECONDS = 2.0
"""An HTTP ``Date`` header counts whole seconds; a smaller difference says nothing."""

FACTS_KEPT = 500


def apply_ollama(state: State, sample: OllamaSample) -> None:
    """Take one poll of ``/api/ps``."""
    is_new, before = sample.source not in state.sources, set(state.models)
    runtime: Runtime | None = None if sample.models is None else "ollama"
    source = hear(state, sample.source, sample.health, sample.version, runtime)
    state.models_revision += 1
    if (offset := sample.clock_offset_seconds) is not None:
        source.clock_offset_seconds = offset if abs(offset) > CLOCK_RESOLUTION_SECONDS else 0.0
    if sample.models is not None:
        _note_meter(state, sample)
        keys = {_apply_claim(state, sample.source, claim) for claim in sample.models}
        _depart(state, sample.source, keep=keys)
    elif sample.health.state in MODELS_END_WITH:
        _depart(state, sample.source, keep=set())
    if is_new or before != state.models.keys():
        join(state)


def _note_meter(state: State, sample: OllamaSample) -> None:
    """Note whether a meter is on the way to a server."""
    if sample.metered:
        state.metered.setdefault(sample.source)
    else:
        state.metered.pop(sample.source, None)


def apply_facts(state: State, sample: OllamaModelFacts) -> None:
    """Take ``/api/show`` of one model."""
    key = ModelKey(sample.source, sample.digest)
    state.facts[key] = sample
    if len(state.facts) > FACTS_KEPT:
        del state.facts[next(iter(state.facts))]
    if key in state.models:
        state.models[key].facts = sample
        join(state)


def apply_installed(state: State, sample: OllamaInstalled) -> None:
    """Take ``/api/tags``."""
    state.installed[sample.source] = sample


def _apply_claim(state: State, source: str, claim: ModelClaim) -> ModelKey:
    now = state.now
    key = ModelKey(source, claim.digest or claim.name)
    record = state.models.get(key)
    if record is None:
        record = ModelRecord(key, claim, first_seen=now, seen=now, facts=state.facts.get(key))
        state.models[key] = record
    record.expiry_moves = _expiry_moves(record, claim)
    record.claim, record.seen = claim, now
    split = record.split
    _note_steadiness(state, record)
    if split.gpu_bytes:
        state.gpu_claimed.add(source)
    if split.spill_fraction == 0:
        record.spilled_since = None
    elif split.spill_fraction is not None and record.spilled_since is None:
        record.spilled_since = now
    record.vram.add(now, split.gpu_bytes)
    record.ram.add(now, split.ram_bytes)
    record.spill.add(now, split.spill_fraction)
    return key


def _note_steadiness(state: State, record: ModelRecord) -> None:
    claimed_bytes, runner = record.split.gpu_bytes, runner_of(record, state)
    steady = is_steady(record.claim_steady_bytes, claimed_bytes)
    if not steady:
        record.claim_steady_bytes = claimed_bytes
    if runner is not None and (not steady or runner.claimed_since is None):
        runner.claimed_since = state.now


def _expiry_moves(record: ModelRecord, claim: ModelClaim) -> bool:
    """Tell whether the expiry was put off since the poll before.

    Until its first request has ended, Ollama counts the time left from the instant of the poll; from then
    on from the end of the last request (ollama: server/sched.go, server/routes.go).
    """
    before, after = record.claim.expires_at, claim.expires_at
    return before is not None and after is not None and after > before


def _depart(state: State, source: str, keep: set[ModelKey]) -> None:
    own = (key for key, model in state.models.items() if key.source == source and model.process is None)
    for key in [key for key in own if key not in keep]:
        depart(state, key)


def depart(state: State, key: ModelKey) -> None:
    """Take that a model is no longer loaded."""
    record = state.models.pop(key)
    record.gone = state.now
    state.departed.append(record)
