"""What a llama-server says of its model: no claim of memory, but the file, the slots and the context."""

from __future__ import annotations

from gpumon.app.insight.left_out import left_out
from gpumon.app.insight.wording import source_label
from gpumon.app.state.records import ModelRecord
from gpumon.app.state.state import State
from gpumon.app.state.work import answer_of, server_facts
from gpumon.app.views.page import GPUMON, text_of
from gpumon.collectors.samples import LoadFacts
from gpumon.text import units
from gpumon.text.safe import visible
from gpumon.widgets.views import Fact

PROPS = "/props"
MODELS = "/v1/models"
ARGUMENTS = "command line"

NO_FACTS = LoadFacts()


def served_facts(record: ModelRecord, state: State) -> list[Fact]:
    """Return the figures of a model that a llama-server serves."""
    claim, facts = record.claim, server_facts(record, state) or NO_FACTS
    return [
        Fact("server", source_label(record.key.source, record.runtime), GPUMON),
        Fact("build", visible(facts.build or units.UNKNOWN), PROPS),
        Fact("file", visible(facts.model_path or units.UNKNOWN), PROPS),
        Fact("weights", units.size(facts.weights_bytes), MODELS),
        Fact("in RAM (estimate)", *_left_out(record, state)),
        Fact(
            "context",
            _tokens(claim.context_length, " per slot"),
            PROPS if facts.context_length else ARGUMENTS,
        ),
        Fact("trained context", _tokens(facts.trained_context_length), MODELS),
        Fact("slots", text_of(facts.slot_count), PROPS),
        Fact("quantisation", visible(claim.quantization or units.UNKNOWN), MODELS),
        Fact("parameters", visible(claim.parameter_size or units.UNKNOWN), MODELS),
        *_detail(record, state),
    ]


def _tokens(count: int | None, beside: str = "") -> str:
    return units.UNKNOWN if count is None else f"{count} tokens{beside}"


def _left_out(record: ModelRecord, state: State) -> tuple[str, str]:
    found = left_out(record, state)
    if found is None:
        return units.UNKNOWN, "weights less VRAM measured"
    words = f"at least {units.size(found.bytes)}" if found.bytes else "none seen"
    return words, "weights less VRAM measured"


def _detail(record: ModelRecord, state: State) -> list[Fact]:
    """Say why something is not told: a path that is turned off, a key that is missing."""
    answer = answer_of(record, state)
    return [Fact("statistics", visible(answer.detail), GPUMON)] if answer and answer.detail else []
