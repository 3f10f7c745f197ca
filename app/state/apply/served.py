"""Takes what llama-servers say that are asked by their URLs."""

from __future__ import annotations

from gpumon.app.state.apply.models import MODELS_END_WITH, depart
from gpumon.app.state.apply.runners import apply_runner
from gpumon.app.state.apply.sources import hear
from gpumon.app.state.apply.standalone import claim_of, follow_standalone
from gpumon.app.state.holders.addresses import addresses_of
from gpumon.app.state.holders.joins import join
from gpumon.app.state.holders.measured import runner_of
from gpumon.app.state.places import place
from gpumon.app.state.records import ModelKey, ModelRecord, RunnerRecord, Served
from gpumon.app.state.state import State
from gpumon.collectors.samples import LlamaServerSample, RunnerSample, ServedModel, ServedModelSample


def apply_llama_server(state: State, sample: LlamaServerSample) -> None:
    """Take which models a server has."""
    is_new, before = sample.source not in state.sources, set(state.models)
    hear(state, sample.source, sample.health, sample.version, "llama_server")
    state.models_revision += 1
    if sample.models is not None:
        shown = [model for model in sample.models if _is_shown(state, sample.source, model)]
        _depart(state, sample.source, keep={_keep(state, sample.source, model) for model in shown})
    elif sample.health.state in MODELS_END_WITH:
        _depart(state, sample.source, keep=set())
    follow_standalone(state)
    if is_new or before != state.models.keys():
        join(state)


def apply_served_model(state: State, sample: ServedModelSample) -> None:
    """Take one poll of a model's statistics; where its process is known, they are the process's."""
    record = state.models.get(ModelKey(sample.source, sample.name))
    if record is None or record.served is None:
        return
    served = record.served
    served.answer, served.state = sample, sample.state
    if sample.facts is not None:
        served.facts = sample.facts
        record.claim = claim_of(sample.name, None, sample.facts)
    runner = runner_of(record, state)
    if runner is not None:
        apply_runner(state, _of_process(sample, runner))
        return
    state.note_answer(record.key, anew=True)
    served.requests.extend(served.meter.take(sample))
    record.decode.add(state.now, served.meter.rates.decode_rate)
    record.prefill.add(state.now, served.meter.rates.prefill_rate)


def _is_shown(state: State, source: str, model: ServedModel) -> bool:
    """Tell whether a model is to be shown: one whose process is seen to load is shown as a load already."""
    if model.state != "loading":
        return True
    loading = (
        runner for runner in state.runners.values() if runner.process.settings.model_name == model.name
    )
    return not any(place(source) in {place(url) for url in addresses_of(state, runner)} for runner in loading)


def _keep(state: State, source: str, model: ServedModel) -> ModelKey:
    key = ModelKey(source, model.name)
    record = state.models.get(key)
    if record is None or record.runtime != "llama_server":
        claim = claim_of(model.name, model.settings, None)
        record = state.models[key] = ModelRecord(key, claim, first_seen=state.now, seen=state.now)
        record.runtime = "llama_server"
    record.served = record.served or Served(model.state)
    record.served.state, record.process, record.seen = model.state, None, state.now
    return key


def _depart(state: State, source: str, keep: set[ModelKey]) -> None:
    own = (key for key, model in state.models.items() if key.source == source and model.process is None)
    for key in [key for key in own if key not in keep]:
        depart(state, key)


def _of_process(sample: ServedModelSample, runner: RunnerRecord) -> RunnerSample:
    return RunnerSample(
        time=sample.time,
        source=f"runner {runner.key.pid}",
        pid=runner.key.pid,
        started=runner.key.started,
        port=runner.process.settings.port,
        state=sample.state,
        detail=sample.detail,
        facts=sample.facts,
        slots=sample.slots,
        counters=sample.counters,
    )
