"""What is not as it was when the usual rate of a model was learned."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

from gpumon.app.insight.falls import Comparison, Paced
from gpumon.app.insight.slowdown import (
    LINK_BUSY_PERCENT,
    costly_reasons,
    is_severe,
    link_below_best,
    slowdown_words,
    swap_rate,
)
from gpumon.app.insight.wording import gpu_label, shares
from gpumon.app.state.hindrances import SWAPPING_BYTES_PER_SECOND, rivals
from gpumon.app.state.learned.baselines import gpus_in_use
from gpumon.app.state.records import (
    GpuRecord,
    ModelRecord,
)
from gpumon.app.state.state import State
from gpumon.text import units
from gpumon.text.safe import visible

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
    return (
        *_placement_changes(paced, compared),
        *_machine_changes(paced),
        *_other_users(paced, compared.usual.updated),
        *_work_changes(compared),
    )


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
    """Give who else works on its GPUs: models at work, and processes that have come since."""
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
