"""Weights that are on no GPU, of a runtime that claims nothing: an estimate from what the driver measures."""

from __future__ import annotations

from typing import NamedTuple

from gpumon.app.state.holders.measured import runner_of
from gpumon.app.state.records import ModelRecord
from gpumon.app.state.split import UNKNOWN_SPLIT, Split
from gpumon.app.state.state import State
from gpumon.app.state.work import server_facts

LEAST_SHARE = 0.10
"""Part of the weights from which they count as left out: the token embedding stays in RAM by design, and the
context and the compute buffers, which the driver counts too, outweigh it."""

UNSETTLED_STATES = frozenset({"starting", "loading", "asleep"})


class LeftOut(NamedTuple):
    """How much of a model's weights cannot be on a GPU."""

    bytes: int
    """At the least: what the driver measures holds the context as well. 0 where all may be there."""
    weights_bytes: int
    measured_bytes: int


def left_out(model: ModelRecord, state: State) -> LeftOut | None:
    """Estimate what is on no GPU: weights (``/v1/models``, ``meta.size``) less VRAM of the process.

    ``None`` where either is unknown or not settled, where memory without an owner may be the model's, and
    of a server that tells.
    """
    runner = runner_of(model, state)
    if model.claims_memory or runner is None or runner.vram_confirmed is None:
        return None
    facts, measured = server_facts(model, state), runner.measured_vram_bytes
    weights = facts.weights_bytes if facts else None
    is_settled = runner.answer is not None and runner.answer.state not in UNSETTLED_STATES
    if not weights or measured is None or not is_settled:
        return None
    missing, least = weights - measured, LEAST_SHARE * weights
    if missing >= least > missing - state.hidden_vram_bytes:
        return None
    return LeftOut(missing if missing >= least else 0, weights, measured)


def placement_of(model: ModelRecord, state: State) -> Split:
    """Return the split that a server claims, or that which the driver's figures amount to."""
    found = left_out(model, state)
    if model.claims_memory:
        return model.split
    if found is None:
        return UNKNOWN_SPLIT
    return Split(found.measured_bytes, found.bytes, found.bytes / found.weights_bytes)
