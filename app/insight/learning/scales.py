"""The bandwidth of RAM that the rates of split models stand for, where nothing else tells it. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import median

from msgspec.structs import replace

from gpumon.app.insight.hardware import hardware_of, known_ram
from gpumon.app.insight.learning.baselines import was_hindered
from gpumon.app.physics.hardware import Hardware
from gpumon.app.physics.memory import Placement
from gpumon.app.physics.placement import placement_of_claim
from gpumon.app.physics.speed import TokenTime, ram_bandwidth_of_rate, token_time
from gpumon.app.state.rates.pace import is_telling
from gpumon.app.state.rates.values import FinishedRequest
from gpumon.app.state.records import ModelRecord, Prediction, RunnerRecord, ScaleKey
from gpumon.app.state.state import State
from gpumon.collectors.samples import RamObservation, RateScale

RAM_OBSERVATIONS_KEPT = 40
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
    learned.ram_observed[is_moe] = _renewed_ram(
        learned.ram_observed.get(is_moe), found, state.now, is_moe=is_moe
    )
    learned.revision += 1


def _renewed_ram(before: RamObservation | None, found: float, now: float, *, is_moe: bool) -> RamObservation:
    recent = (*(before.recent if before else ()), round(found))[-RAM_OBSERVATIONS_KEPT:]
    return RamObservation(
        is_moe=is_moe,
        bytes_per_second=median(recent),
        observation_count=(before.observation_count if before else 0) + 1,
        updated=max(now, before.updated) if before else now,
        recent=recent,
    )


OBSERVATIONS_KEPT = 40
PLAUSIBLE = (0.2, 5.0)
"""Beyond, something else is the matter than the machine: a wrong shape, tokens that are guessed ahead."""


def learn_scales(state: State, runner: RunnerRecord, requests: Iterable[FinishedRequest]) -> None:
    """Compare the rates of requests that ran alone and unhindered with the estimate for them."""
    model = state.models.get(runner.model) if runner.model else None
    prediction = runner.prediction
    if model is None or prediction is None or _guesses_ahead(runner):
        return
    for request in requests:
        if request.parallel == 1 and is_telling(request) and not was_hindered(runner, request):
            _learn(state, model, runner, prediction, request)


def _guesses_ahead(runner: RunnerRecord) -> bool:
    """Tell whether a draft model writes tokens that this one only checks."""
    return runner.process.settings.draft_path is not None or runner.rates.draft_acceptance is not None


def _learn(
    state: State,
    model: ModelRecord,
    runner: RunnerRecord,
    prediction: Prediction,
    request: FinishedRequest,
) -> None:
    spill, rate = model.split.spill_fraction, request.decode_rate
    if spill is None or not rate:
        return
    hardware = _hardware(state, prediction)
    placed = _placement(runner, prediction, hardware, spill)
    tokens = request.context_tokens or 0
    if spill > 0 and _ram_is_only_observed(state, prediction):
        observe_ram(state, prediction, hardware, placed, tokens, rate)
        return
    time = token_time(prediction.geometry, prediction.options, hardware, placed, tokens)
    scale = _scale(time, rate, hardware.decode_scale, is_split=spill > 0) if time else None
    if scale is None or not PLAUSIBLE[0] <= scale <= PLAUSIBLE[1]:
        return
    key = ScaleKey(prediction.gpu_uuids, prediction.geometry.is_moe, spill > 0)
    learned = state.learned
    learned.scales[key] = _renewed_scale(learned.scales.get(key), key, scale, state.now)
    learned.revision += 1
    learned.bound()


def _ram_is_only_observed(state: State, prediction: Prediction) -> bool:
    """Tell whether neither a measurement nor the firmware says what RAM can give."""
    ram = known_ram(state, is_moe=prediction.geometry.is_moe)
    return ram is None or ram.is_observed


def _hardware(state: State, prediction: Prediction) -> Hardware:
    hardware = hardware_of(state, prediction.gpu_uuids, is_moe=prediction.geometry.is_moe)
    cards = tuple(card for card in hardware.cards if card.uuid in prediction.gpu_uuids)
    return replace(hardware, cards=cards)


def _placement(
    runner: RunnerRecord, prediction: Prediction, hardware: Hardware, spill_fraction: float
) -> Placement:
    """Return where the model lies: bytes as measured, layers in proportion to the claim."""
    if spill_fraction >= 1:
        return placement_of_claim(prediction.geometry, prediction.options, (0,) * len(hardware.cards), 1)
    held = tuple(runner.vram_by_gpu.get(card.uuid or "", 0) or 1 for card in hardware.cards)
    in_ram = round(sum(held) * spill_fraction / (1 - spill_fraction))
    return placement_of_claim(prediction.geometry, prediction.options, held, in_ram)


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
