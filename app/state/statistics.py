"""What a model's llama-server says of it, on its own port or, where no process is known, by its URL."""

from __future__ import annotations

from collections.abc import Sequence

from gpumon.app.state.holders.measured import runner_of
from gpumon.app.state.rates.meter import Answer
from gpumon.app.state.rates.values import FinishedRequest
from gpumon.app.state.records import ModelRecord
from gpumon.app.state.state import State
from gpumon.collectors.samples import RunnerFacts


def requests_of(model: ModelRecord, state: State) -> Sequence[FinishedRequest]:
    """Return the requests that were seen to end, oldest first."""
    runner = runner_of(model, state)
    if runner is not None:
        return runner.requests
    return model.served.requests if model.served else ()


def answer_of(model: ModelRecord, state: State) -> Answer | None:
    """Return the latest poll of its statistics."""
    runner = runner_of(model, state)
    if runner is not None:
        return runner.answer
    return model.served.answer if model.served else None


def server_facts(model: ModelRecord, state: State) -> RunnerFacts | None:
    """Return what its llama-server says of the file and the slots."""
    runner = runner_of(model, state)
    if runner is not None and runner.facts is not None:
        return runner.facts
    return model.served.facts if model.served else None
