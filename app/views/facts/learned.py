"""Figures of what is usual for a model."""

from __future__ import annotations

from gpumon.app.insight.learning.baselines import usual_rate
from gpumon.app.state.holders.measured import runner_of
from gpumon.app.state.rates.values import summary_of
from gpumon.app.state.records import ModelRecord
from gpumon.app.state.state import State
from gpumon.app.views.page import GPUMON
from gpumon.text import units
from gpumon.widgets.views import Fact


def learned_facts(record: ModelRecord, state: State) -> list[Fact]:
    """Return the usual decode rate, those of this run, and how near the reckoned memory is to the real."""
    return [*_of_this_run(record, state), *_usual(record, state), *_predicted(record, state)]


def _of_this_run(record: ModelRecord, state: State) -> list[Fact]:
    summary = summary_of(record.decode, state.now)
    if summary is None:
        return []
    words = (
        f"last {units.rate(summary.last)}, average {units.rate(summary.average)}, "
        f"best {units.rate(summary.best)}"
    )
    return [Fact("decode rates", words, GPUMON)]


def _usual(record: ModelRecord, state: State) -> list[Fact]:
    usual = usual_rate(state, record)
    if usual is None:
        return []
    words = [
        units.rate(usual.decode_tokens_per_second),
        f"up to {units.tokens(usual.context_tokens_up_to)} tokens in the context",
    ]
    if usual.parallel > 1:
        words.append(f"each of {usual.parallel} requests")
    return [Fact("usual rate", ", ".join(words), f"learned from {usual.request_count} requests")]


def _predicted(record: ModelRecord, state: State) -> list[Fact]:
    runner = runner_of(record, state)
    prediction = runner.prediction if runner else None
    if prediction is None:
        return []
    words = f"predicted {units.size(prediction.expected_vram_bytes)}"
    if prediction.error_fraction is not None:
        off = f"error {abs(prediction.error_fraction):.0%}"
        words = f"{words}, measured {units.size(prediction.measured_vram_bytes)}, {off}"
    return [Fact("VRAM when wholly on GPU", words, "estimate")]
