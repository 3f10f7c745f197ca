"""The usual decode rate of each model in each set of circumstances, learned from finished requests. Pure."""

from __future__ import annotations

import math
from collections.abc import Container, Iterable
from statistics import median

from gpumon.app.cuda import CUDA_CONTEXT_MAX_BYTES
from gpumon.app.state.holders.measured import hidden_spill_fraction
from gpumon.app.state.rates.figures import FinishedRequest
from gpumon.app.state.rates.pace import is_telling
from gpumon.app.state.records import BaselineKey, LearnedRecord, ModelRecord, RunnerRecord
from gpumon.app.state.state import State
from gpumon.collectors.samples import GpuProcess, RateBaseline

REQUESTS_KEPT = 40
"""Median and spread are over the last so many: a lasting change is the usual after half of them."""
REQUESTS_NEEDED = 5
"""A baseline of fewer counts for nothing; the first request after a load is slow by nature."""
SHORTEST_CONTEXT_TOKENS = 1024
"""Below, reading the cache takes no time to speak of."""
USUAL_SHARE = 0.8
"""Of the median, from which a rate is as usual."""


def learn_rates(state: State, runner: RunnerRecord, requests: Iterable[FinishedRequest]) -> None:
    """Learn from requests that have ended, but for those that something held back."""
    model = state.models.get(runner.model) if runner.model else None
    for request in requests:
        if model is None or not is_telling(request) or was_hindered(runner, request):
            continue
        if request.parallel is None or request.context_tokens is None:
            continue
        key = circumstances(state, model, request.context_tokens, request.parallel)
        if key is not None:
            _learn(state, key, request.decode_tokens_per_second or 0.0, request.context_tokens)


def circumstances(state: State, model: ModelRecord, context_tokens: int, parallel: int) -> BaselineKey | None:
    """Return what the usual rate of a loaded model depends on; ``None`` where its GPUs cannot be told."""
    runner = state.runner_of(model)
    uuids = gpus_in_use(state, model, runner) if runner else None
    if uuids is None:
        return None
    spill = spill_range(_spill_fraction(model, runner)) if runner else None
    return BaselineKey(model.key.digest, uuids, context_range(context_tokens), parallel, spill)


def usual_rate(state: State, model: ModelRecord) -> RateBaseline | None:
    """Return the baseline for what a model does now; at rest the one that rests on the most requests."""
    runner = state.runner_of(model)
    pace = runner.pace.latest if runner else None
    if pace is not None:
        key = circumstances(state, model, pace.context_tokens, pace.parallel)
        if key is not None and (own := counted(state.learned, key)) is not None:
            return own
    at_rest = circumstances(state, model, 0, 1)
    alike = [
        baseline
        for key, baseline in state.learned.baselines.items()
        if at_rest is not None and _is_same_placement(key, at_rest) and _counts(baseline)
    ]
    return max(alike, key=lambda baseline: baseline.request_count, default=None)


def usual_on_gpu(state: State, model: ModelRecord) -> RateBaseline | None:
    """Return the baseline of one request to a model that was wholly on GPUs which are here.

    Of several, of earlier runs too, that which rests on the most requests.
    """
    alike = [
        baseline
        for key, baseline in state.learned.baselines.items()
        if key.digest == model.key.digest and key.parallel == 1 and key.spill_percent_up_to == 0
        if key.gpu_uuids and state.gpus.keys() >= set(key.gpu_uuids) and _counts(baseline)
    ]
    return max(alike, key=lambda baseline: baseline.request_count, default=None)


def counted(learned: LearnedRecord, key: BaselineKey) -> RateBaseline | None:
    """Return the baseline for exactly these circumstances, if it rests on enough requests."""
    baseline = learned.baselines.get(key)
    return baseline if baseline is not None and _counts(baseline) else None


def nearest(
    learned: LearnedRecord, key: BaselineKey, *, spilled_too: bool = True
) -> tuple[BaselineKey, RateBaseline] | None:
    """Return the baseline of the same model in the circumstances most alike, with no more of it in RAM.

    Without ``spilled_too`` one of the model wholly on GPU.
    """
    candidates = [
        (other, baseline)
        for other, baseline in learned.baselines.items()
        if other.digest == key.digest and _is_split_no_worse(other, key) and _counts(baseline)
        if spilled_too or other.spill_percent_up_to == 0
    ]
    return min(candidates, key=lambda pair: _distance(pair[0], key), default=None)


def was_hindered(runner: RunnerRecord, request: FinishedRequest) -> bool:
    """Return whether something held a runner back while it worked on a request."""
    hindered_at = runner.pace.hindered_at
    return hindered_at is not None and hindered_at >= request.started


def context_range(context_tokens: int) -> int:
    """Return the power of two up to which a context counts as alike."""
    return 1 << (max(context_tokens, SHORTEST_CONTEXT_TOKENS) - 1).bit_length()


def spill_range(spill_fraction: float | None) -> int | None:
    """Return the tens of percent up to which a spill counts as alike; 0 is none at all."""
    return None if spill_fraction is None else math.ceil(round(spill_fraction * 10, 6)) * 10


def gpus_in_use(state: State, model: ModelRecord, runner: RunnerRecord) -> tuple[str, ...] | None:
    """Return the UUIDs of the GPUs that hold a part of a model, sorted; none for a model on the CPU."""
    claimed = model.split.gpu_bytes
    if runner.vram_complete:
        held = runner.vram_by_gpu
        large = sorted(uuid for uuid, size in held.items() if size >= CUDA_CONTEXT_MAX_BYTES)
        if large or not held or not claimed:
            return tuple(large)
        return (max(held, key=lambda uuid: held[uuid]),)
    listed = sorted(uuid for uuid, gpu in state.gpus.items() if _lists(gpu.reading.processes, runner.pids))
    if listed or claimed == 0:
        return tuple(listed)
    return tuple(state.gpus) if len(state.gpus) == 1 and claimed else None


def _spill_fraction(model: ModelRecord, runner: RunnerRecord) -> float | None:
    """Return the share in RAM by the claim, and what is missing on the GPU of what is claimed there."""
    claimed = model.split.spill_fraction
    return None if claimed is None else min(1.0, claimed + (hidden_spill_fraction(model, runner) or 0.0))


def _lists(processes: Iterable[GpuProcess] | None, pids: Container[int]) -> bool:
    return any(process.pid in pids for process in processes or ())


def _learn(state: State, key: BaselineKey, rate: float, context_tokens: int) -> None:
    learned = state.learned
    learned.baselines[key] = _renewed(learned.baselines.get(key), key, rate, context_tokens, state.now)
    state.touched.learned = True
    learned.bound()


def _renewed(
    before: RateBaseline | None, key: BaselineKey, rate: float, context_tokens: int, now: float
) -> RateBaseline:
    recent = (*(before.recent_tokens_per_second if before else ()), round(rate, 3))[-REQUESTS_KEPT:]
    middle = median(recent)
    mean = context_tokens if before is None or before.context_tokens is None else before.context_tokens
    return RateBaseline(
        digest=key.digest,
        gpu_uuids=key.gpu_uuids,
        context_tokens_up_to=key.context_tokens_up_to,
        parallel=key.parallel,
        spill_percent_up_to=key.spill_percent_up_to,
        decode_tokens_per_second=middle,
        spread_tokens_per_second=median(abs(one - middle) for one in recent),
        request_count=(before.request_count if before else 0) + 1,
        updated=_last_usual(before, now, is_usual=rate >= USUAL_SHARE * middle),
        context_tokens=round(mean + (context_tokens - mean) / len(recent)),
        recent_tokens_per_second=recent,
    )


def _last_usual(before: RateBaseline | None, now: float, *, is_usual: bool) -> float:
    """Return when the rate was last as usual; what an earlier run has seen is not older than it was."""
    if before is None:
        return now
    return max(now, before.updated) if is_usual else before.updated


def _counts(baseline: RateBaseline) -> bool:
    return baseline.request_count >= REQUESTS_NEEDED


def _is_same_placement(one: BaselineKey, other: BaselineKey) -> bool:
    return one[:2] == other[:2] and one.spill_percent_up_to == other.spill_percent_up_to


def _is_split_no_worse(one: BaselineKey, other: BaselineKey) -> bool:
    """Return whether no more of a model is in RAM in one set of circumstances than in the other."""
    own, theirs = one.spill_percent_up_to, other.spill_percent_up_to
    return own == theirs or (own is not None and theirs is not None and own < theirs)


def _distance(one: BaselineKey, other: BaselineKey) -> tuple[int, int, int, int]:
    """Order circumstances by how far they are from others: by work, by GPUs; of equals the least spilled."""
    lengths = (one.context_tokens_up_to.bit_length(), other.context_tokens_up_to.bit_length())
    return (
        abs(other.parallel - one.parallel),
        abs(lengths[1] - lengths[0]),
        int(one.gpu_uuids != other.gpu_uuids),
        one.spill_percent_up_to or 0,
    )
