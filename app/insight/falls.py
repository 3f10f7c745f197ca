"""A model that generates more slowly than it usually does: by how much, since when, and what has changed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

from gpumon.app.insight.learning.baselines import circumstances, counted, gpus_in_use, nearest
from gpumon.app.insight.wording import gpu_label, shares
from gpumon.app.state.rates.pace import WINDOW_SECONDS, Pace
from gpumon.app.state.records import (
    STALE_AFTER_SECONDS,
    BaselineKey,
    GpuRecord,
    ModelRecord,
    RunnerRecord,
)
from gpumon.app.state.state import State
from gpumon.app.state.work import SEVERE_REASONS, SWAPPING_BYTES_PER_SECOND, rivals
from gpumon.collectors.samples import GpuReading, RateBaseline, SystemSample
from gpumon.text import units
from gpumon.text.safe import visible

SLOWER_PERCENT = 20.0
"""A smaller fall is noise, whatever the spread."""
SPREADS = 4.0
"""Median absolute deviations below the median: 2.7 standard deviations."""
HARDER_WORK_SHARE = 0.5
"""Of a rate with a shorter context or fewer requests: what is slower by nature counts from here."""
WEIGHTS_BOUND_TOKENS = 8192
"""Up to such a context reading the weights takes longest; beyond, a rate may fall as the context grows."""


class Comparison(NamedTuple):
    """A rate beside the usual one."""

    pace: Pace
    usual: RateBaseline
    now: BaselineKey
    then: BaselineKey
    """The circumstances of the usual rate; the same as ``now`` where there is one for them."""
    is_below: bool

    @property
    def lost_percent(self) -> float:
        """By how much it is slower; negative if it is faster."""
        return (1 - self.pace.tokens_per_second / self.usual.decode_tokens_per_second) * 100

    @property
    def words(self) -> str:
        """Ready to draw, after a name: ``is slower than usual: 12 tok/s instead of 30 tok/s``."""
        now, usual = self.pace.tokens_per_second, self.usual.decode_tokens_per_second
        return f"is slower than usual: {units.rate(now)} instead of {units.rate(usual)}"


class Paced(NamedTuple):
    """A model of which a rate was measured, and the state that explains it."""

    model: ModelRecord
    runner: RunnerRecord
    pace: Pace
    state: State


def paced_of(model: ModelRecord, state: State) -> Paced | None:
    """Return a model with the rate that was measured last; ``None`` where none was since it was loaded."""
    runner = state.runner_of(model)
    if runner is None or runner.pace.latest is None:
        return None
    return Paced(model, runner, runner.pace.latest, state)


def compare(paced: Paced, percent: float = SLOWER_PERCENT, *, active: bool = False) -> Comparison | None:
    """Compare what a model does with what is usual; ``None`` at rest, or where nothing is usual yet.

    ``active`` tells that it was found to be slow a moment ago: it must then come half the way back, and a
    spill is measured against the rate before it, though the slow one is about to become the usual.
    """
    pace, state = paced.pace, paced.state
    if state.now - pace.time > STALE_AFTER_SECONDS:
        return None
    now = circumstances(state, paced.model, pace.context_tokens, pace.parallel)
    found = _reference(state, now, active=active) if now is not None else None
    if now is None or found is None:
        return None
    then, usual = found
    is_below = pace.tokens_per_second < _lowest(pace, usual, now, then, percent, active=active)
    return Comparison(pace, usual, now, then, is_below)


def _reference(state: State, now: BaselineKey, *, active: bool) -> tuple[BaselineKey, RateBaseline] | None:
    own = counted(state.learned, now)
    is_spilled = bool(now.spill_percent_up_to)
    if own is not None and not (active and is_spilled):
        return now, own
    other = nearest(state.learned, now, spilled_too=not (active and is_spilled))
    return other if other is not None or own is None else (now, own)


def _lowest(
    pace: Pace,
    usual: RateBaseline,
    now: BaselineKey,
    then: BaselineKey,
    percent: float,
    *,
    active: bool,
) -> float:
    """Return the rate below which it is slower than usual."""
    rate, ease = usual.decode_tokens_per_second, 0.5 if active else 1.0
    if now.parallel > then.parallel or now.context_tokens_up_to > then.context_tokens_up_to:
        return rate * (1 - (1 - HARDER_WORK_SHARE) * (0.8 if active else 1.0))
    margin = max(SPREADS * usual.spread_tokens_per_second, rate * percent / 100)
    return rate * _context_share(pace, usual) - margin * ease


def _context_share(pace: Pace, usual: RateBaseline) -> float:
    """Return what is left of a rate where reading a longer context is all that takes time."""
    before = max(usual.context_tokens or 0, WEIGHTS_BOUND_TOKENS)
    return min(1.0, before / max(pace.context_tokens, WEIGHTS_BOUND_TOKENS))


HARMLESS_REASONS = ("idle", "application", "display", "sync boost", "reliability")
"""Parts of reasons that are the user's choice, or that a healthy card at full speed gives."""
LINK_BUSY_PERCENT = 50.0
"""GPU utilisation from which the PCIe link must be at its best; idle links run slower on purpose."""


def costly_reasons(reading: GpuReading) -> tuple[str, ...] | None:
    """Return what costs speed of what holds the clocks down; ``None`` where the driver does not say."""
    if reading.throttle_reasons is None:
        return None
    return tuple(reason for reason in reading.throttle_reasons if not _has(reason, HARMLESS_REASONS))


def slowdown_words(gpu: GpuRecord, reasons: Iterable[str]) -> str:
    """Say what holds a GPU's clocks down: ``GPU 0 is slowed down: power cap``."""
    return f"{gpu_label(gpu)} is slowed down: {', '.join(map(visible, reasons))}"


def is_severe(reasons: Iterable[str]) -> bool:
    """Return whether heat or the board's own protection is among the reasons."""
    return any(_has(reason, SEVERE_REASONS) for reason in reasons)


def link_below_best(gpu: GpuRecord) -> tuple[str, ...]:
    """Return in what the PCIe link is below its maximum, as last read: ``width 4 of 16``."""
    slow = gpu.reading.slow
    if slow is None:
        return ()
    pairs = (
        ("width", slow.pcie_width, gpu.facts.pcie_width_max),
        ("generation", slow.pcie_generation, gpu.facts.pcie_generation_max),
    )
    return tuple(
        f"{word} {now} of {best}"
        for word, now, best in pairs
        if now is not None and best is not None and now < best
    )


def swap_rate(system: SystemSample) -> float | None:
    """Return bytes per second to and from swap; ``None`` before the second sample."""
    swap_in, swap_out = system.swap_in_bytes_per_second, system.swap_out_bytes_per_second
    return None if swap_in is None or swap_out is None else swap_in + swap_out


def _has(reason: str, words: tuple[str, ...]) -> bool:
    return any(word in reason.lower() for word in words)


ChangeKind = Literal[
    "spill",
    "gpus",
    "context",
    "parallel",
    "throttling",
    "power_limit",
    "rival",
    "process",
    "swapping",
    "link",
]


class Change(NamedTuple):
    """Something that is not as it was while the usual rate was learned."""

    kind: ChangeKind
    words: str
    """Ready to draw: ``since it spilled (43% in RAM)``."""


def changes_since(paced: Paced, compared: Comparison) -> tuple[Change, ...]:
    """Return what is not as it was when the usual rate was learned, the most costly first."""
    found = (
        *_placement_changes(paced, compared),
        *_machine_changes(paced),
        *_other_users(paced, compared.usual.updated),
        *_work_changes(compared),
    )
    return found or tuple(_just_over(paced))


def _just_over(paced: Paced) -> Iterator[Change]:
    """Yield that something held it back which has ended: the rate is over seconds, and rises after that."""
    hindered_at = paced.runner.pace.hindered_at
    if hindered_at is not None and paced.state.now - hindered_at <= 2 * WINDOW_SECONDS:
        yield Change("throttling", "held back until a moment ago")


def reason_words(changes: Iterable[Change]) -> str:
    """Say why a model is slower than it was."""
    return "; ".join(change.words for change in changes) or "for no visible reason"


def _placement_changes(paced: Paced, compared: Comparison) -> Iterator[Change]:
    before, after = compared.then.spill_percent_up_to, compared.now.spill_percent_up_to
    if before is not None and after is not None and after > before:
        yield Change("spill", _spill_words(paced.model, is_further=before > 0))
    elif compared.now.gpu_uuids != compared.then.gpu_uuids:
        where = _gpu_names(compared.now.gpu_uuids, paced.state)
        yield Change("gpus", f"on {where} instead of {_gpu_names(compared.then.gpu_uuids, paced.state)}")


def _spill_words(model: ModelRecord, *, is_further: bool) -> str:
    if not model.split.spill_fraction:
        return "since a part of it is not on the GPU, whatever its server claims"
    share, _ = shares(model.split)
    return f"since it spilled {'further ' if is_further else ''}({share} in RAM)"


def _gpu_names(uuids: tuple[str, ...], state: State) -> str:
    if not uuids:
        return "the CPU"
    known = [state.gpus[uuid] for uuid in uuids if uuid in state.gpus]
    return " and ".join(map(gpu_label, known)) if len(known) == len(uuids) else "another GPU"


def _machine_changes(paced: Paced) -> Iterator[Change]:
    state = paced.state
    for gpu in _gpus_of(paced):
        reasons = costly_reasons(gpu.reading) or ()
        if is_severe(reasons):
            yield Change("throttling", slowdown_words(gpu, reasons))
        yield from _power_change(gpu)
        if (gpu.reading.utilization_percent or 0) >= LINK_BUSY_PERCENT and (below := link_below_best(gpu)):
            yield Change("link", f"{gpu_label(gpu)} PCIe link is below its maximum: {', '.join(below)}")
    swapped = swap_rate(state.system.sample) if state.system else None
    if swapped is not None and swapped >= SWAPPING_BYTES_PER_SECOND:
        yield Change("swapping", f"the machine swaps {units.byte_rate(swapped)}")


def _power_change(gpu: GpuRecord) -> Iterator[Change]:
    limit, default = gpu.reading.power_limit_watts, gpu.facts.power_limit_default_watts
    if limit is not None and default is not None and round(limit) < round(default):
        words = f"{gpu_label(gpu)} is limited to {units.watts(limit)} of {units.watts(default)}"
        yield Change("power_limit", words)


def _other_users(paced: Paced, since: float) -> Iterator[Change]:
    """Yield who else works on its GPUs: models at work, and processes that have come since."""
    state = paced.state
    for rival in rivals(state, paced.runner):
        model = state.models.get(rival.model) if rival.model else None
        name = visible(model.claim.name) if model else f"process {rival.key.pid}"
        yield Change("rival", f"{name} is at work on the same GPU")
    for gpu in _gpus_of(paced):
        for process in gpu.reading.processes or ():
            holder = state.holders.get(process.pid)
            if holder is not None and (holder.started or 0.0) > since:
                name = visible(holder.name or process.name or f"process {process.pid}")
                yield Change("process", f"{name} has come to {gpu_label(gpu)}")


def _work_changes(compared: Comparison) -> Iterator[Change]:
    if compared.now.parallel > compared.then.parallel:
        then = f", usually {compared.then.parallel}"
        yield Change("parallel", f"{compared.now.parallel} requests at once{then}")
    if compared.now.context_tokens_up_to > compared.then.context_tokens_up_to:
        now, then_tokens = compared.pace.context_tokens, compared.usual.context_tokens
        then = "" if then_tokens is None else f", usually {units.tokens(then_tokens)}"
        yield Change("context", f"a context of {units.tokens(now)} tokens{then}")


def _gpus_of(paced: Paced) -> list[GpuRecord]:
    uuids = gpus_in_use(paced.state, paced.model, paced.runner) or ()
    return [paced.state.gpus[uuid] for uuid in uuids if uuid in paced.state.gpus]
