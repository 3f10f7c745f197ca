"""What a model does, by the best source: its process, its server, or a pass-through meter."""

from __future__ import annotations

from collections.abc import Sequence

from gpumon.app.state.holders.measured import runner_of
from gpumon.app.state.rates.values import FinishedRequest, RunnerRates
from gpumon.app.state.records import ModelRecord
from gpumon.app.state.state import State
from gpumon.collectors.samples import LoadFacts, MeteredModel, WorkSample

HOLD_SECONDS = 5.0
"""So long a meter's word stands: it is asked more often than that."""

METER = "meter"
NO_RATES = RunnerRates()


def rates_of(record: ModelRecord, state: State) -> RunnerRates:
    """Return how fast a model works now; nothing but unknowns where nobody tells.

    Its process or its server tell best; a meter before them comes next.
    """
    own = own_rates(record, state)
    return own if own.sources else _metered_rates(record, state) or own


def own_rates(record: ModelRecord, state: State) -> RunnerRates:
    """Return how fast a model works by its process or, where that is not known, by its llama-server."""
    runner = runner_of(record, state)
    if runner is not None:
        return runner.rates
    return record.served.meter.rates if record.served else NO_RATES


def metered_of(record: ModelRecord, state: State) -> MeteredModel | None:
    """Return what a meter says of a model, unless that was long ago."""
    if record.metered_at is None or state.now - record.metered_at > HOLD_SECONDS:
        return None
    return record.metered


def _metered_rates(record: ModelRecord, state: State) -> RunnerRates | None:
    """Return the rates of the requests that went through a meter; ``None`` where there is none."""
    metered = metered_of(record, state)
    if metered is None:
        return None
    return RunnerRates(
        decode_rate=metered.decode_tokens_per_second,
        is_estimate=metered.decode_rate_is_estimate,
        decoded_total=metered.decoded_tokens_total,
        decoded_total_is_lower_bound=True,
        running=metered.requests_running,
        sources=(METER,),
    )


def requests_of(model: ModelRecord, state: State) -> Sequence[FinishedRequest]:
    """Return the requests that were seen to end, oldest first."""
    runner = runner_of(model, state)
    if runner is not None:
        return runner.requests
    return model.served.requests if model.served else ()


def answer_of(model: ModelRecord, state: State) -> WorkSample | None:
    """Return the latest poll of its statistics."""
    runner = runner_of(model, state)
    if runner is not None:
        return runner.answer
    return model.served.answer if model.served else None


def server_facts(model: ModelRecord, state: State) -> LoadFacts | None:
    """Return what its llama-server says of the file and the slots."""
    runner = runner_of(model, state)
    if runner is not None and runner.facts is not None:
        return runner.facts
    return model.served.facts if model.served else None
