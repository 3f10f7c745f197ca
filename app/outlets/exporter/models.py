"""The series of models that are loaded, and of those that are loading."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, get_args

from msgspec import Struct

from gpumon.app.insight.activity import Activity
from gpumon.app.insight.agreement import beyond_choice
from gpumon.app.outlets.exporter.identity import ModelLabels
from gpumon.app.outlets.exporter.series import Series, Value, Values, one_of
from gpumon.app.outlets.exporter.totals import Counter, ModelTotals
from gpumon.app.picture.load import LoadPicture
from gpumon.app.picture.model import ModelPicture
from gpumon.app.state.records.model import UNKNOWN_SPLIT, Split
from gpumon.text.safe import visible

if TYPE_CHECKING:
    from gpumon.app.diagnosis.forecast import Forecast

MODEL_LABELS = ModelLabels._fields
ASLEEP = "asleep"
STATES = (*get_args(Activity), ASLEEP)
STATE_HELP = "What a model does: 1 for that, 0 for the rest."
Basis = Literal["measured", "claim", "estimate"]
"""What a figure rests on: somebody has looked, the server says so, or it is reckoned."""


class ModelSubject(Struct, frozen=True):
    """A model that is loaded, and what has been counted of it."""

    picture: ModelPicture
    labels: ModelLabels
    totals: ModelTotals
    is_measured_now: bool
    """Whether the driver's figures are current."""
    cards: dict[str, str]
    """The numbers of GPUs by UUID."""

    @property
    def is_told_now(self) -> bool:
        """Whether what its server says of it is current."""
        return self.picture.age_seconds is None


class LoadSubject(Struct, frozen=True):
    """A model that is loading."""

    picture: LoadPicture
    labels: ModelLabels
    stands_alone: bool
    """Whether no server speaks of it as a model yet."""


Reads = Callable[[ModelSubject], Values]


def _now(read: Callable[[ModelPicture], Values]) -> Reads:
    """Read what is said of now: of a server that has stopped to answer that is nothing."""
    return lambda one: read(one.picture) if one.is_told_now else None


def _counted(read: Callable[[ModelTotals], Counter]) -> Reads:
    return lambda one: read(one.totals).total


def _measured_vram(one: ModelSubject) -> Value:
    return one.picture.memory.measured_vram_bytes if one.is_measured_now else None


def _vram_by_gpu(one: ModelSubject) -> Values:
    by_gpu = one.picture.memory.measured_vram_by_gpu
    if by_gpu is None or not one.is_measured_now:
        return None
    return {(uuid, one.cards.get(uuid, "")): size for uuid, size in by_gpu.items()}


def _spilled(picture: ModelPicture) -> Split:
    """Return what is in RAM and nobody wants there; nothing of it where the user has chosen the CPU."""
    memory = picture.memory
    if memory.by_choice:
        return Split(memory.placement.gpu_bytes, 0, 0.0)
    return beyond_choice(memory.placement, memory.left_out) if memory.can_spill else UNKNOWN_SPLIT


def _told(picture: ModelPicture) -> Basis:
    return "claim" if picture.memory.claims_memory else "estimate"


def _ram(picture: ModelPicture) -> Values:
    memory = picture.memory
    if memory.ram_bytes is not None:
        basis: Basis = "claim" if memory.claims_memory else "measured"
        return {"estimate" if memory.ram_is_estimate else basis: memory.ram_bytes}
    return {"estimate": memory.placement.ram_bytes}


def _rate(picture: ModelPicture) -> Values:
    rates = picture.rates
    return {"estimate" if rates.is_estimate else "measured": rates.decode_tokens_per_second}


def _fitting(picture: ModelPicture) -> Values:
    full = picture.full
    return {} if full is None else {"measured" if full.is_measured else "estimate": full.tokens_per_second}


def _state(picture: ModelPicture) -> Values:
    is_asleep = picture.doing == ASLEEP
    return one_of(STATES, ASLEEP if is_asleep else picture.activity)


def _verdict(picture: ModelPicture) -> Values:
    found = picture.diagnosis
    cause = found.cause.kind if found.cause is not None else ""
    return {(found.verdict.kind, cause, found.verdict.severity): 1}


def _info(picture: ModelPicture) -> Values:
    claim = picture.claim
    words = (claim.family, claim.parameter_size, claim.quantization, claim.format)
    return {tuple(visible(word or "") for word in words): 1}


def _context_limit(picture: ModelPicture) -> Value:
    return picture.rates.context_length or picture.claim.context_length


def _pool_ratio(picture: ModelPicture) -> Value:
    return picture.pool.figures.used_fraction if picture.pool else None


def _pool_bytes(picture: ModelPicture) -> Values:
    pool = picture.pool
    return {} if pool is None else {"estimate" if pool.is_estimate else "claim": pool.size_bytes}


def _expected(picture: ModelPicture) -> Value:
    band = picture.diagnosis.expected_now
    return band.expected if band else None


MODEL_SERIES: tuple[Series[ModelSubject], ...] = (
    Series(
        "gpumon_model_info",
        "What a loaded model is, in its server's words.",
        lambda one: _info(one.picture),
        ("family", "parameter_size", "quantization", "format"),
    ),
    Series("gpumon_model_state", STATE_HELP, _now(_state), ("state",)),
    Series(
        "gpumon_model_verdict",
        "The most severe verdict on a model, with its cause where there is one.",
        _now(_verdict),
        ("verdict", "cause", "level"),
    ),
    Series(
        "gpumon_model_vram_bytes",
        "GPU memory that the driver measures for the processes of a model, on all GPUs together.",
        _measured_vram,
    ),
    Series(
        "gpumon_model_vram_claimed_bytes",
        "GPU memory that its server claims for a model.",
        _now(lambda one: one.claim.size_vram_bytes),
    ),
    Series(
        "gpumon_model_claimed_bytes",
        "Memory that its server claims for a model, on GPUs and in RAM.",
        _now(lambda one: one.claim.size_bytes),
    ),
    Series(
        "gpumon_model_gpu_vram_bytes",
        "GPU memory that the driver measures for the processes of a model, by GPU.",
        _vram_by_gpu,
        ("gpu_uuid", "gpu"),
    ),
    Series(
        "gpumon_model_ram_bytes", "What of a model is in RAM, wanted there or not.", _now(_ram), ("basis",)
    ),
    Series(
        "gpumon_model_spilled_bytes",
        "What of a model is in RAM though it belongs on a GPU.",
        _now(lambda one: {_told(one): _spilled(one).ram_bytes}),
        ("basis",),
    ),
    Series(
        "gpumon_model_spilled_ratio",
        "The part of a model that is in RAM though it belongs on a GPU, 0 to 1.",
        _now(lambda one: {_told(one): _spilled(one).spill_fraction}),
        ("basis",),
    ),
    Series(
        "gpumon_model_tokens_total",
        "Tokens that a model has generated while it was watched; at least, where its server does not count.",
        _counted(lambda one: one.tokens),
    ),
    Series(
        "gpumon_model_requests_total",
        "Requests that were seen to end; at least, as short ones may end between two looks.",
        _counted(lambda one: one.requests),
    ),
    Series(
        "gpumon_model_decode_tokens_per_second",
        "Tokens that a model generates now, all requests together; absent while it generates none.",
        _now(_rate),
        ("basis",),
    ),
    Series(
        "gpumon_model_expected_tokens_per_second",
        "What the hardware gives as the model is placed now; an estimate.",
        _now(_expected),
    ),
    Series(
        "gpumon_model_fitting_tokens_per_second",
        "How fast a model is where all of it is on GPUs.",
        _now(_fitting),
        ("basis",),
    ),
    Series(
        "gpumon_model_prefill_tokens_per_second",
        "Tokens of prompts that a model reads now, all requests together; absent while it reads none.",
        _now(lambda one: one.rates.prefill_tokens_per_second),
    ),
    Series(
        "gpumon_model_context_used_tokens",
        "Tokens in the fullest slot of a model.",
        _now(lambda one: one.rates.context_tokens),
    ),
    Series(
        "gpumon_model_context_limit_tokens",
        "Tokens that a slot of a model can hold.",
        _now(_context_limit),
    ),
    Series(
        "gpumon_model_requests_running",
        "Requests that a model works on.",
        _now(lambda one: one.rates.running),
    ),
    Series(
        "gpumon_model_requests_waiting",
        "Requests that wait for a place.",
        _now(lambda one: one.rates.waiting),
    ),
    Series(
        "gpumon_model_reread_tokens_total",
        "Tokens of prompts that a model has read again though it had read them a moment before.",
        _counted(lambda one: one.reread_tokens),
    ),
    Series(
        "gpumon_model_reread_seconds_total",
        "Time that took, where it is known.",
        _counted(lambda one: one.reread_seconds),
    ),
    Series(
        "gpumon_model_prompt_tokens_total",
        "Tokens of prompts of which it is told how many were kept from before.",
        _counted(lambda one: one.prompt_tokens),
    ),
    Series(
        "gpumon_model_prompt_cached_tokens_total",
        "Those of them that were kept from before and not read: cache hits.",
        _counted(lambda one: one.cached_tokens),
    ),
    Series(
        "gpumon_model_cache_used_ratio", "How full the cache of all contexts is, 0 to 1.", _now(_pool_ratio)
    ),
    Series(
        "gpumon_model_cache_bytes",
        "What a server has set aside for all contexts, on all GPUs together.",
        _now(_pool_bytes),
        ("basis",),
    ),
    Series(
        "gpumon_model_preemptions_total",
        "Requests that have lost their place in the cache and begun again.",
        _counted(lambda one: one.preemptions),
    ),
    Series(
        "gpumon_model_energy_joules_total",
        "What its GPUs took for requests of a model, of those in which nothing else was at work there.",
        _counted(lambda one: one.energy_joules),
    ),
    Series(
        "gpumon_model_picture_step_seconds",
        "How long an image generator takes for a step.",
        _now(lambda one: one.drawing.seconds_per_step if one.drawing else None),
    ),
    Series(
        "gpumon_model_picture_progress_ratio",
        "The steps of the picture under way that are done, 0 to 1.",
        _now(lambda one: one.drawing.fraction if one.drawing else None),
    ),
    Series(
        "gpumon_model_pictures_waiting",
        "Pictures queued behind the one under way.",
        _now(lambda one: one.drawing.job.waiting if one.drawing else None),
    ),
)


def _forecast(read: Callable[[Forecast], Value]) -> Callable[[LoadSubject], Value]:
    return lambda one: None if one.picture.forecast is None else read(one.picture.forecast)


LOAD_SERIES: tuple[Series[LoadSubject], ...] = (
    Series(
        "gpumon_model_state",
        STATE_HELP,
        lambda one: one_of(STATES, "loading") if one.stands_alone else None,
        ("state",),
    ),
    Series(
        "gpumon_model_load_progress_ratio",
        "How far a load is, 0 to 1: of the bytes, or of the time where these cannot be seen.",
        lambda one: one.picture.fraction,
    ),
    Series(
        "gpumon_model_load_elapsed_seconds",
        "How long a load has taken so far.",
        lambda one: one.picture.seconds,
    ),
    Series(
        "gpumon_model_load_remaining_seconds",
        "How long a load will take still, by its pace or by a rule of thumb.",
        lambda one: {"estimate" if one.picture.is_estimate else "measured": one.picture.seconds_left},
        ("basis",),
    ),
    Series(
        "gpumon_model_load_vram_bytes",
        "GPU memory that a load has taken so far.",
        lambda one: one.picture.gpu_bytes,
    ),
    Series(
        "gpumon_model_load_forecast_vram_bytes",
        "GPU memory that a load would take if all of it fitted; an estimate.",
        _forecast(lambda found: found.need_bytes),
    ),
    Series(
        "gpumon_model_load_forecast_available_bytes",
        "GPU memory that is free for a load, as if it had taken none yet.",
        _forecast(lambda found: found.room_bytes),
    ),
    Series(
        "gpumon_model_load_forecast_spilled_bytes",
        "What of a load will be in RAM though it belongs on a GPU; an estimate.",
        _forecast(lambda found: found.ram_bytes if found.spills else 0),
    ),
)
