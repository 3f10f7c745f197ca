"""How fast this machine is beside the estimate, learned from finished requests. Pure.

Factors on the estimated rate, and the bandwidth of RAM that the rates of split models amount to where neither
a measurement nor the firmware states it.
"""

from __future__ import annotations

from collections.abc import Iterable
from statistics import median
from typing import NamedTuple

from msgspec.structs import replace

from gpumon.app.insight.hardware import hardware_of, known_ram
from gpumon.app.insight.learning.baselines import was_hindered
from gpumon.app.insight.shapes import load_options, shape_of
from gpumon.app.physics.geometry import Geometry, LoadOptions, NoGeometry
from gpumon.app.physics.hardware import Hardware
from gpumon.app.physics.memory import Placement
from gpumon.app.physics.placement import placement_of_claim
from gpumon.app.physics.speed import TokenTime, ram_bandwidth_of_rate, token_time
from gpumon.app.state.rates.figures import FinishedRequest
from gpumon.app.state.rates.pace import is_telling
from gpumon.app.state.records import ModelRecord, RunnerRecord, ScaleKey
from gpumon.app.state.state import State
from gpumon.collectors.samples import RamObservation, RateScale

OBSERVATIONS_KEPT = 40
PLAUSIBLE = (0.2, 5.0)
"""Beyond this the difference is no property of the machine: a wrong shape, tokens that are guessed ahead."""
PLAUSIBLE_BYTES_PER_SECOND = (2e9, 2e12)
"""One slow module to a server with many channels; beyond, something else is the matter."""


class _Load(NamedTuple):
    """What the arithmetic needs to know of a load that was predicted."""

    geometry: Geometry
    options: LoadOptions
    gpu_uuids: tuple[str, ...]


def learn_scales(state: State, runner: RunnerRecord, requests: Iterable[FinishedRequest]) -> None:
    """Compare the rates of requests that ran alone and unhindered with the estimate for them."""
    model = state.models.get(runner.model) if runner.model else None
    if model is None or _guesses_ahead(runner):
        return
    telling = [r for r in requests if r.parallel == 1 and is_telling(r) and not was_hindered(runner, r)]
    load = _load_of(state, model, runner) if telling else None
    if load is not None:
        for request in telling:
            _learn(state, model, runner, load, request)


def _load_of(state: State, model: ModelRecord, runner: RunnerRecord) -> _Load | None:
    """Return what is known of a load; ``None`` of one that could not be predicted."""
    if runner.prediction is None:
        return None
    geometry, options = shape_of(model, state), load_options(model, runner, state)
    if isinstance(geometry, NoGeometry) or options is None:
        return None
    return _Load(geometry, options, runner.prediction.gpu_uuids)


def _guesses_ahead(runner: RunnerRecord) -> bool:
    """Whether a draft model writes tokens that this one only checks."""
    return runner.process.settings.draft_path is not None or runner.rates.draft_acceptance is not None


def _learn(
    state: State, model: ModelRecord, runner: RunnerRecord, load: _Load, request: FinishedRequest
) -> None:
    spill, rate = model.split.spill_fraction, request.decode_tokens_per_second
    if spill is None or not rate:
        return
    hardware = _hardware(state, load)
    placed = _placement(runner, load, hardware, spill)
    tokens = request.context_tokens or 0
    if spill > 0 and _ram_is_only_observed(state, load):
        _observe_ram(state, load, hardware, placed, tokens, rate)
        return
    time = token_time(load.geometry, load.options, hardware, placed, tokens)
    scale = _scale(time, rate, hardware.decode_scale, is_split=spill > 0) if time else None
    if scale is None or not PLAUSIBLE[0] <= scale <= PLAUSIBLE[1]:
        return
    key = ScaleKey(load.gpu_uuids, load.geometry.is_moe, spill > 0)
    learned = state.learned
    learned.scales[key] = _renewed_scale(learned.scales.get(key), key, scale, state.now)
    state.touched.learned = True
    learned.bound()


def _observe_ram(
    state: State,
    load: _Load,
    hardware: Hardware,
    placement: Placement,
    context_tokens: int,
    decode_tokens_per_second: float,
) -> None:
    """Learn the bandwidth of RAM from the rate of a split model that ran alone and unhindered."""
    found = ram_bandwidth_of_rate(
        load.geometry, load.options, hardware, placement, context_tokens, decode_tokens_per_second
    )
    least, most = PLAUSIBLE_BYTES_PER_SECOND
    if found is None or not least <= found <= most:
        return
    learned, is_moe = state.learned, load.geometry.is_moe
    before = learned.ram_observed.get(is_moe)
    learned.ram_observed[is_moe] = _renewed_ram(before, found, state.now, is_moe=is_moe)
    state.touched.learned = True


def _ram_is_only_observed(state: State, load: _Load) -> bool:
    """Whether neither a measurement nor the firmware states what RAM can give."""
    ram = known_ram(state, is_moe=load.geometry.is_moe)
    return ram is None or ram.is_observed


def _hardware(state: State, load: _Load) -> Hardware:
    hardware = hardware_of(state, load.gpu_uuids, is_moe=load.geometry.is_moe)
    cards = tuple(card for card in hardware.cards if card.uuid in load.gpu_uuids)
    return replace(hardware, cards=cards)


def _placement(runner: RunnerRecord, load: _Load, hardware: Hardware, spill_fraction: float) -> Placement:
    """Return where the model lies: bytes as measured, layers in proportion to the claim."""
    if spill_fraction >= 1:
        return placement_of_claim(load.geometry, load.options, (0,) * len(hardware.cards), 1)
    held = tuple(runner.vram_by_gpu.get(card.uuid or "", 0) or 1 for card in hardware.cards)
    in_ram = round(sum(held) * spill_fraction / (1 - spill_fraction))
    return placement_of_claim(load.geometry, load.options, held, in_ram)


def _scale(time: TokenTime, rate: float, decode_scale: float, *, is_split: bool) -> float | None:
    """Return observed over estimated; of a split model that of the part in RAM, the rest being known."""
    if not is_split:
        return rate * (time.gpu_seconds + time.cpu_seconds)
    left = 1 / rate - time.gpu_seconds / decode_scale
    return time.cpu_seconds / left if left > 0 else None


def _renewed_scale(before: RateScale | None, key: ScaleKey, scale: float, now: float) -> RateScale:
    recent = (*(before.recent if before else ()), round(scale, 4))[-OBSERVATIONS_KEPT:]
    return RateScale(
        gpu_uuids=key.gpu_uuids,
        is_moe=key.is_moe,
        is_split=key.is_split,
        scale=median(recent),
        observation_count=(before.observation_count if before else 0) + 1,
        updated=max(now, before.updated) if before else now,
        recent=recent,
    )


def _renewed_ram(before: RamObservation | None, found: float, now: float, *, is_moe: bool) -> RamObservation:
    recent = (*(before.recent if before else ()), round(found))[-OBSERVATIONS_KEPT:]
    return RamObservation(
        is_moe=is_moe,
        bytes_per_second=median(recent),
        observation_count=(before.observation_count if before else 0) + 1,
        updated=max(now, before.updated) if before else now,
        recent=recent,
    )
