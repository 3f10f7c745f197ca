"""What a diagnosis of one model starts from: all that is known, and the arithmetic where it can be done."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

from msgspec import Struct
from msgspec.structs import replace

from gpumon.app.diagnosis.arithmetic import Arithmetic, NoArithmetic, arithmetic_of
from gpumon.app.insight.agreement import placement_of
from gpumon.app.insight.health import SPILL_BAD_PERCENT
from gpumon.app.insight.intent import intent_of
from gpumon.app.insight.learning.baselines import usual_on_gpu
from gpumon.app.insight.loaded import Loaded
from gpumon.app.insight.shapes import Shapes
from gpumon.app.physics.geometry import Geometry, LoadOptions, NoGeometry
from gpumon.app.physics.hardware import Band, uncalibrated
from gpumon.app.physics.memory import Placement
from gpumon.app.physics.placement import place, placement_of_claim
from gpumon.app.physics.speed import decode_tokens_per_second
from gpumon.app.state import work
from gpumon.app.state.records import ModelRecord, RunnerRecord
from gpumon.app.state.records.model import Split
from gpumon.app.state.state import State
from gpumon.app.state.work import requests_of
from gpumon.text.safe import visible

BAND_SPREADS = 3.0
"""Median absolute deviations in which about nine of ten rates lie, with some room: 2 standard deviations."""

USUAL_CONTEXT_TOKENS = 1024
"""In the context of a request of which nothing is known."""


class Rates(Struct, frozen=True):
    """Decode rates in tokens per second, as they are measured."""

    now: float | None = None
    """Measured, all requests together; ``None`` where none is generating."""
    last: float | None = None
    """Of the last request that ended."""
    streams: int = 0
    """Requests that generate now."""
    context_tokens: int | None = None
    """In the fullest slot."""

    @property
    def usual_context_tokens(self) -> int:
        """Tokens in the context to compute with: those of now, else a usual number."""
        return USUAL_CONTEXT_TOKENS if self.context_tokens is None else self.context_tokens

    @property
    def per_request(self) -> float | None:
        """What one request has of it now."""
        return self.now / self.streams if self.now is not None and self.streams else self.now

    @property
    def measured(self) -> float | None:
        """The rate of one request, now or last."""
        return self.last if self.per_request is None else self.per_request


def rates_of(loaded: Loaded, state: State) -> Rates:
    """Return what is measured."""
    rates = work.own_rates(loaded.model, state)
    return Rates(
        now=rates.decode_tokens_per_second,
        last=_last_rate(loaded.model, state),
        streams=sum(slot.phase == "decode" for slot in rates.slots),
        context_tokens=rates.context_tokens,
    )


def expected_fitting(
    arithmetic: Arithmetic,
    context_tokens: int,
    options: LoadOptions | None = None,
    geometry: Geometry | None = None,
) -> Band | None:
    """Return the rate with all of the model on the GPUs, on as few as hold it."""
    shape, wanted = geometry or arithmetic.geometry, options or arithmetic.options
    whole = _whole(arithmetic, arithmetic.need_bytes(wanted, shape))
    return decode_tokens_per_second(
        shape, wanted, arithmetic.hardware, whole, context_tokens, arithmetic.engine_cost
    )


def expected_now(loaded: Loaded, arithmetic: Arithmetic, context_tokens: int, split: Split) -> Band | None:
    """Return the rate with the present split: as claimed, else as measured."""
    present = placement_now(loaded, arithmetic, split)
    if present is None:
        return None
    return decode_tokens_per_second(
        arithmetic.geometry,
        arithmetic.options,
        arithmetic.hardware,
        present,
        context_tokens,
        arithmetic.engine_cost,
    )


def placement_now(loaded: Loaded, arithmetic: Arithmetic, split: Split) -> Placement | None:
    """Return where the model lies: as its user has asked for, else by the bytes, layers in proportion.

    By the log a model whose experts overflow to RAM has all layers on the GPU: so the bytes count.
    """
    if split.gpu_bytes is None or split.ram_bytes is None:
        return None
    for_margin = loaded.left_out is not None and loaded.left_out.margin is not None
    if loaded.by_choice and split.gpu_bytes and not for_margin:
        return intended(arithmetic)
    held = loaded.runner.vram_by_gpu if loaded.runner else {}
    by_gpu = tuple(held.get(uuid, 0) for uuid in arithmetic.room.uuids)
    if not any(by_gpu) and split.gpu_bytes:
        by_gpu = _whole(arithmetic, split.gpu_bytes).vram_bytes_by_gpu
    return placement_of_claim(arithmetic.geometry, arithmetic.options, by_gpu, split.ram_bytes)


def intended(arithmetic: Arithmetic) -> Placement:
    """Return where the settings put the model."""
    options = arithmetic.options
    layers = arithmetic.layer_count if options.gpu_layers is None else options.gpu_layers
    asked = replace(options, gpu_layers=layers)
    return place(arithmetic.geometry, asked, arithmetic.room.capacity_bytes)


def _by_card(arithmetic: Arithmetic) -> Arithmetic:
    return replace(arithmetic, hardware=uncalibrated(arithmetic.hardware))


def _whole(arithmetic: Arithmetic, need_bytes: int) -> Placement:
    """Place ``need_bytes`` on the GPU with the most memory, else over all by what they have."""
    capacity = arithmetic.room.capacity_bytes
    largest = max(range(len(capacity)), key=lambda index: capacity[index])
    if need_bytes <= capacity[largest]:
        by_gpu = tuple(need_bytes if index == largest else 0 for index in range(len(capacity)))
    else:
        by_gpu = tuple(need_bytes * size // arithmetic.room.capacity_total_bytes for size in capacity)
    return Placement(arithmetic.layer_count, arithmetic.layer_count, need_bytes, 0, by_gpu)


def _last_rate(model: ModelRecord, state: State) -> float | None:
    return next(
        (
            one.decode_tokens_per_second
            for one in reversed(requests_of(model, state))
            if one.decode_tokens_per_second
        ),
        None,
    )


class Subject(Struct, frozen=True, dict=True):
    """A loaded model with what its diagnosis rests on.

    The arithmetic takes longest, and a model that is well seldom needs it: it is done when it is asked for.
    Bands are estimates for one request, in tokens per second; ``None`` where they cannot be computed.
    """

    loaded: Loaded
    state: State
    geometry: Geometry | NoGeometry
    rates: Rates
    split: Split
    """GPU and RAM part: claimed, or estimated of a runtime that claims nothing."""
    spill_bad_percent: float = SPILL_BAD_PERCENT
    """From this part in RAM on a spill is bad."""
    closely: bool = True
    """Whether a page or a report is made of it: of a model that is well, a row shows no estimates."""

    @cached_property
    def arithmetic(self) -> Arithmetic | NoArithmetic:
        """What it takes, and the room that it has."""
        return arithmetic_of(self.loaded, self.state, self.geometry)

    @cached_property
    def expected_now(self) -> Band | None:
        """The rate with the present split."""
        return self._expected(
            lambda one: expected_now(self.loaded, one, self.rates.usual_context_tokens, self.split)
        )

    @cached_property
    def expected_by_card(self) -> Band | None:
        """The same by the data sheet alone, without what was observed on this machine."""
        tokens = self.rates.usual_context_tokens
        return self._expected(lambda one: expected_now(self.loaded, _by_card(one), tokens, self.split))

    @cached_property
    def expected_fitting(self) -> Band | None:
        """The rate wholly on GPU."""
        return self._expected(lambda one: expected_fitting(one, self.rates.usual_context_tokens))

    @cached_property
    def expected_empty(self) -> Band | None:
        """The rate wholly on GPU, at the start of a context."""
        return self._expected(lambda one: expected_fitting(one, 0))

    def _expected(self, compute: Callable[[Arithmetic], Band | None]) -> Band | None:
        return None if isinstance(self.arithmetic, NoArithmetic) else compute(self.arithmetic)

    @property
    def model(self) -> ModelRecord:
        """The claim."""
        return self.loaded.model

    @property
    def runner(self) -> RunnerRecord | None:
        """The process that holds it, where it is known."""
        return self.loaded.runner

    @property
    def name(self) -> str:
        """Its name, harmless to draw."""
        return visible(self.model.claim.name)

    @property
    def split_source(self) -> str:
        """Where ``split`` comes from."""
        kind = self.model.kind
        if self.model.claims_memory:
            return kind.claim_source
        if self.state.holds_all_in_ram(self.model.key.source):
            return "/proc"
        is_read = intent_of(self.model, self.state).vram_bytes is not None
        return "NVML, its file" if is_read else kind.estimate_source

    @property
    def is_spilled(self) -> bool:
        """Whether a part is in RAM, on a machine that has a GPU."""
        return bool(self.split.spill_fraction) and self.loaded.gpu_known


def subject_of(
    known: Loaded,
    state: State,
    geometry: Geometry | NoGeometry,
    spill_bad_percent: float = SPILL_BAD_PERCENT,
    closely: bool = True,
) -> Subject:
    """Put together what a diagnosis of a model rests on."""
    rates, split = rates_of(known, state), placement_of(known.model, state)
    return Subject(known, state, geometry, rates, split, spill_bad_percent, closely)


def rate_of(
    subject: Subject,
    arithmetic: Arithmetic,
    geometry: Geometry,
    options: LoadOptions,
    placed: Placement,
) -> Band | None:
    """Return the rate of a model that is placed so."""
    tokens = min(subject.rates.usual_context_tokens, options.context_length)
    return decode_tokens_per_second(
        geometry, options, arithmetic.hardware, placed, tokens, arithmetic.engine_cost
    )


def estimated_full(known: Loaded, state: State, shapes: Shapes) -> Band | None:
    """Estimate the rate of one request: by arithmetic, or where that cannot be done by what is usual."""
    subject = subject_of(known, state, shapes.of(known.model, state))
    if subject.expected_fitting is not None:
        return subject.expected_fitting
    usual = usual_on_gpu(state, known.model)
    if usual is None:
        return None
    rate, spread = usual.decode_tokens_per_second, BAND_SPREADS * usual.spread_tokens_per_second
    return Band(max(0.0, rate - spread), rate, rate + spread)
