"""Models of llama-servers that are found as processes and asked by no URL: each process is one."""

from __future__ import annotations

from gpumon.app.state.apply.models import depart
from gpumon.app.state.holders.addresses import addresses_of, stands_alone
from gpumon.app.state.holders.joins import name_of, stand_in
from gpumon.app.state.places import place
from gpumon.app.state.records import ModelKey, ModelRecord, RunnerKey, RunnerRecord
from gpumon.app.state.state import State
from gpumon.collectors.samples import HEALTHY_STATES, ModelClaim, RunnerFacts, RunnerSettings, RunnerState

NOT_LOADED: frozenset[RunnerState] = frozenset({"starting", "loading"})


def follow_standalone(state: State) -> bool:
    """Keep one model for each such process that is loaded; tell whether any has come or gone."""
    before = _by_process(state)
    wanted = _wanted(state)
    if not before and not wanted:
        return False
    for key in before.keys() - wanted.keys():
        depart(state, key)
    for key, runner in wanted.items():
        _keep(state, key, runner)
    changed = before != _by_process(state)
    if changed:
        state.models_revision += 1
    return changed


def claim_of(name: str, settings: RunnerSettings | None, facts: RunnerFacts | None) -> ModelClaim:
    """Return what a llama-server says of its model; it claims no memory."""
    told, known = settings or RunnerSettings(), facts or RunnerFacts()
    return ModelClaim(
        name=name,
        context_length=known.context_length or told.context_length,
        format="gguf",
        parameter_size=parameter_words(known.parameter_count),
        quantization=quantization_words(known.quantization),
    )


def parameter_words(count: int | None) -> str | None:
    """Write a number of parameters as Ollama does: ``268.10M``, ``8.0B`` (ollama: format/format.go)."""
    if not count:
        return None
    if count >= 1e6:
        return f"{count / 1e9:.1f}B" if count >= 1e9 else f"{count / 1e6:.2f}M"
    return f"{count / 1e3:.0f}K" if count >= 1e3 else str(count)


def quantization_words(file_type: str | None) -> str | None:
    """Write llama.cpp's name of a file type as file names do: ``Q4_K - Medium`` is ``Q4_K_M``."""
    if file_type is None:
        return None
    base, _, size = file_type.partition(" - ")
    return f"{base}_{size[0]}" if size in {"Small", "Medium", "Large"} else file_type


def _by_process(state: State) -> dict[ModelKey, RunnerKey]:
    return {key: model.process for key, model in state.models.items() if model.process is not None}


def _wanted(state: State) -> dict[ModelKey, RunnerRecord]:
    """Return the processes to keep a model for; of two with one address and name the newest."""
    loaded = (runner for _, runner in sorted(state.runners.items(), key=lambda item: item[0].started))
    return {
        _key(state, runner): runner
        for runner in loaded
        if _is_loaded(runner) and stands_alone(state, runner) and not _is_asked_by_url(state, runner)
    }


def _is_loaded(runner: RunnerRecord) -> bool:
    """Tell whether its model is loaded, as far as anything says so."""
    answer = runner.answer
    return runner.load_over if answer is None else answer.state not in NOT_LOADED


def _is_asked_by_url(state: State, runner: RunnerRecord) -> bool:
    """Tell whether a source that is well already tells of the server."""
    where = {place(url) for url in addresses_of(state, runner)}
    return any(
        source.runtime == "llama_server" and source.health.state in HEALTHY_STATES and place(name) in where
        for name, source in state.sources.items()
    )


def _key(state: State, runner: RunnerRecord) -> ModelKey:
    addresses = addresses_of(state, runner)
    source = addresses[0] if addresses else f"process {runner.key.pid}"
    return ModelKey(source, _name(state, runner))


def _name(state: State, runner: RunnerRecord) -> str:
    settings = runner.process.settings
    return name_of(state, settings) or stand_in(settings)


def _keep(state: State, key: ModelKey, runner: RunnerRecord) -> None:
    record = state.models.get(key)
    if record is not None and record.process != runner.key:
        depart(state, key)
        record = None
    claim = claim_of(key.digest, runner.process.settings, runner.facts)
    if record is None:
        record = state.models[key] = ModelRecord(key, claim, first_seen=state.now, seen=state.now)
        record.runtime, record.process = "llama_server", runner.key
    record.claim, record.seen = claim, state.now
