"""The page of a model: claim, measure and geometry, each figure with its origin, and its history."""

from __future__ import annotations

from gpumon.app.alerts.book import AlertBook
from gpumon.app.diagnosis.diagnose import diagnose
from gpumon.app.insight.activity import state_words, until_words
from gpumon.app.insight.wording import model_id, source_label
from gpumon.app.state.records import ModelRecord
from gpumon.app.state.state import State
from gpumon.app.views.alerts import clock_words
from gpumon.app.views.charts import model_charts
from gpumon.app.views.facts.diagnosis import diagnosis_facts, diagnosis_verdict
from gpumon.app.views.facts.learned import learned_facts
from gpumon.app.views.facts.meter import meter_facts
from gpumon.app.views.facts.runner import runner_facts
from gpumon.app.views.facts.served import served_facts
from gpumon.app.views.load_page import finished_load_facts
from gpumon.app.views.page import GPUMON, PS, SHOW, PageView, text_of
from gpumon.text import units
from gpumon.text.safe import visible
from gpumon.widgets.views import Fact, VerdictView


def model_page(subject_id: str, state: State, alerts: AlertBook, seconds: float) -> PageView:
    """Build the page of the model whose alerts have ``subject_id``."""
    key = next((key for key in state.models if model_id(key) == subject_id), None)
    if key is None:
        return PageView(VerdictView("unknown", "this model is no longer loaded"))
    record = state.models[key]
    title = visible(record.claim.name)
    found = diagnose(record, state)
    verdict = diagnosis_verdict(title, subject_id, alerts, found)
    charts = model_charts(record, state.now, seconds)
    return PageView(verdict, model_facts(record, state), charts, tuple(diagnosis_facts(found)))


def model_facts(record: ModelRecord, state: State) -> tuple[Fact, ...]:
    """Return the figures of a model's page."""
    return (
        *_claim(record, state),
        *runner_facts(record, state),
        *meter_facts(record, state),
        *learned_facts(record, state),
        *finished_load_facts(record.runner, state),
        *_model_times(record, state),
        *(_model_geometry(record) if record.claims_memory else ()),
    )


def _claim(record: ModelRecord, state: State) -> list[Fact]:
    return _model_claim(record) if record.claims_memory else served_facts(record, state)


def _model_claim(record: ModelRecord) -> list[Fact]:
    claim, split = record.claim, record.split
    spilled = None if split.spill_fraction is None else split.spill_fraction * 100
    return [
        Fact("server", source_label(record.key.source), GPUMON),
        Fact("digest", visible(claim.digest or units.UNKNOWN), PS),
        Fact("size claimed", units.size(claim.size_bytes), PS),
        Fact("on GPU", units.size(split.gpu_bytes), PS),
        Fact("in RAM", units.size(split.ram_bytes), PS, "bad" if split.ram_bytes else None),
        Fact("spilled", units.percent(spilled), PS, "bad" if spilled else None),
        Fact("processor", record.processor, PS),
        Fact("context", f"{text_of(claim.context_length)} tokens per slot", PS),
        Fact("quantisation", visible(claim.quantization or units.UNKNOWN), PS),
        Fact("parameters", visible(claim.parameter_size or units.UNKNOWN), PS),
        Fact("family", visible(claim.family or units.UNKNOWN), PS),
    ]


def _model_times(record: ModelRecord, state: State) -> list[Fact]:
    claims_memory = record.claims_memory
    since = record.spilled_since
    return [
        Fact("seen since", clock_words(record.first_seen), GPUMON),
        *([Fact("spilled since", clock_words(since), GPUMON)] if since is not None else []),
        Fact("state", state_words(record, state), GPUMON),
        *([Fact("kept until", until_words(record, state) or units.UNKNOWN, PS)] if claims_memory else []),
    ]


def _model_geometry(record: ModelRecord) -> list[Fact]:
    facts = record.facts
    if facts is None:
        return [Fact("geometry", "not known yet", SHOW)]
    return [
        Fact("architecture", visible(facts.architecture or units.UNKNOWN), SHOW),
        Fact("layers", text_of(facts.layer_count), SHOW),
        Fact("trained context", f"{text_of(facts.trained_context_length)} tokens", SHOW),
        Fact("embedding length", text_of(facts.embedding_length), SHOW),
        Fact("capabilities", visible(", ".join(facts.capabilities) or units.UNKNOWN), SHOW),
    ]
