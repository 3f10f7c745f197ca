"""The bandwidth of RAM that the rates of split models stand for, where nothing else tells it. Pure."""

from __future__ import annotations

from statistics import median

from gpumon.app.physics.hardware import Hardware
from gpumon.app.physics.need import Placement
from gpumon.app.physics.speed import ram_bandwidth_of_rate
from gpumon.app.state.records import Prediction
from gpumon.app.state.state import State
from gpumon.collectors.samples import RamObservation

OBSERVATIONS_KEPT = 40
PLAUSIBLE_BYTES_PER_SECOND = (2e9, 2e12)
"""One slow module to a server with many channels; beyond, something else is the matter."""


def observe_ram(
    state: State,
    prediction: Prediction,
    hardware: Hardware,
    placement: Placement,
    context_tokens: int,
    decode_tokens_per_second: float,
) -> None:
    """Take the rate of a request of a split model that ran alone and unhindered."""
    found = ram_bandwidth_of_rate(
        prediction.geometry,
        prediction.options,
        hardware,
        placement,
        context_tokens,
        decode_tokens_per_second,
    )
    least, most = PLAUSIBLE_BYTES_PER_SECOND
    if found is None or not least <= found <= most:
        return
    learned, is_moe = state.learned, prediction.geometry.is_moe
    learned.ram_observed[is_moe] = _renewed(learned.ram_observed.get(is_moe), found, state.now, is_moe=is_moe)
    learned.revision += 1


def _renewed(before: RamObservation | None, found: float, now: float, *, is_moe: bool) -> RamObservation:
    recent = (*(before.recent if before else ()), round(found))[-OBSERVATIONS_KEPT:]
    return RamObservation(
        is_moe=is_moe,
        bytes_per_second=median(recent),
        observation_count=(before.observation_count if before else 0) + 1,
        updated=max(now, before.updated) if before else now,
        recent=recent,
    )
