"""What a loaded model does (loads, works, waits, is about to go), and whether anything happens at all."""

from __future__ import annotations

from typing import Literal

from gpumon.app.state.records import STALE_AFTER_SECONDS, GpuRecord, ModelRecord, RunnerRecord
from gpumon.app.state.records.model import go_round
from gpumon.app.state.state import State
from gpumon.app.state.work import WORKING_CPU_PERCENT, answer_of, is_working, metered_of, own_rates
from gpumon.collectors.samples import LOADING_STATES, GpuReading, WorkSample

FOREVER_YEARS = 20
"""Beyond this ``ollama ps`` prints "Forever"."""

_HOURS_PER_YEAR = 24 * 365

FOREVER_SECONDS = (FOREVER_YEARS + 1) * _HOURS_PER_YEAR * 3600.0
"""The same in seconds: whole years count."""


def seconds_left(model: ModelRecord, state: State) -> float | None:
    """Return the seconds until the model expires by the server's clock; negative after that time."""
    expires_at = model.claim.expires_at
    source = state.sources.get(model.key.source)
    offset = source.clock_offset_seconds if source else 0.0
    return None if expires_at is None else expires_at - (state.now + offset)


def from_now_words(seconds: float) -> str:
    """Write a time to come as ``ollama ps`` does under UNTIL (ollama: format/time.go, ``HumanTime``)."""
    if seconds >= FOREVER_SECONDS:
        return "Forever"
    return f"{_about(seconds)} from now"


def _about(seconds: float) -> str:
    if seconds < 60:
        whole = int(seconds)
        return "Less than a second" if whole < 1 else _count(whole, "second")
    minutes = int(seconds / 60)
    if minutes < 60:
        return "About a minute" if minutes == 1 else _count(minutes, "minute")
    hours = go_round(seconds / 3600)
    if hours < 48:
        return "About an hour" if hours == 1 else _count(hours, "hour")
    for limit, unit, length in (
        (14 * 24, "day", 24),
        (60 * 24, "week", 168),
        (2 * _HOURS_PER_YEAR, "month", 720),
    ):
        if hours < limit:
            return _count(hours // length, unit)
    return _count(hours // _HOURS_PER_YEAR, "year")


def _count(number: int, unit: str) -> str:
    return f"{number} {unit}" if number == 1 else f"{number} {unit}s"


Activity = Literal["loading", "busy", "idle", "stopping", "stuck", "gone"]


WORKING_GPU_PERCENT = 10
"""Utilisation from which the only process on a GPU works on something."""

BELIED_GPU_PERCENT = 20
"""Utilisation from which it works though it was idle when it was asked: more than a screen takes."""
UTILIZATION_SECONDS = 1.0
"""So far back utilisation may tell (nvml.h, nvmlUtilization_t: a sample period of 1/6 to 1 s)."""

STUCK_SECONDS = 60.0
"""A model without work that is past its expiry is gone within seconds; some never go (ollama#7779)."""

GONE_SECONDS = 3.0
"""A process that ends as it should is no longer claimed after this time, where the server is asked often."""

FRESH_SECONDS = 2.0
"""So long an expiry that was put off tells of work; a server may be asked less often."""

STOPPING_WORDS = "stopping after this request"
ACTIVITY_UNTIL = {"stopping": "Stopping...", STOPPING_WORDS: "Stopping..."}
"""Where the words of ``ollama ps`` are others than ours."""


def activity(model: ModelRecord, state: State) -> Activity | None:
    """Return what a claimed model does; ``None`` where it cannot be told.

    An expiry in the past is both what a request longer than the keep-alive leaves behind and what a model
    that is being stopped has (ollama: server/sched.go); only what its process does tells them apart.
    """
    runner = state.runner_of(model)
    if runner is None and is_gone(model, state):
        return "gone"
    if (runner is not None and is_loading(runner)) or _loads_far_away(model):
        return "loading"
    at_work = _at_work(model, runner, state)
    if at_work is None:
        return None
    if at_work:
        return "busy"
    remaining = seconds_left(model, state)
    if remaining is None or (remaining >= 0 and not model.stop_asked):
        return "idle"
    return "stuck" if _idle_past_expiry(runner, state, -remaining) > STUCK_SECONDS else "stopping"


def until_words(model: ModelRecord, state: State, doing: Activity | None) -> str | None:
    """Write when the model is to be unloaded as ``ollama ps`` does; past that time, what it is ``doing``."""
    remaining = seconds_left(model, state)
    if remaining is None:
        return None
    if remaining >= 0 and not model.stop_asked:
        return from_now_words(remaining)
    words = state_words(model, state, doing)
    return ACTIVITY_UNTIL.get(words, words)


def state_words(model: ModelRecord, state: State, doing: Activity | None) -> str:
    """Put into words what the model does; where that cannot be told, what ``/api/ps`` alone says."""
    answer = answer_of(model, state)
    if answer is not None and answer.state == "asleep":
        return "asleep"
    remaining = seconds_left(model, state)
    is_past = remaining is not None and remaining < 0
    if model.stop_asked and doing in {"busy", None}:
        return STOPPING_WORDS
    return doing or ("busy or stopping" if is_past else "loaded")


def is_gone(model: ModelRecord, state: State) -> bool:
    """Return whether a model is still claimed though its process has ended: killed, or crashed."""
    return (
        model.runner_ended is not None
        and model.seen > model.runner_ended
        and state.now - model.runner_ended >= GONE_SECONDS
    )


ENDED_WITHIN_SECONDS = 15.0
"""A log may tell of the end of a process so long before it is seen; some tell only with the next request."""


def ended_how(model: ModelRecord, state: State) -> str | None:
    """Return how the process of a model has ended by a log; ``None`` where it has not, or none says."""
    ended = model.runner_ended
    if ended is None:
        return None
    told = (end for log in state.logs.values() for end in reversed(log.runner_ends))
    return next((end.how for end in told if end.how and end.time >= ended - ENDED_WITHIN_SECONDS), None)


def is_loading(runner: RunnerRecord) -> bool:
    """Return whether the runner itself says that it is not ready yet."""
    return runner.answer is not None and runner.answer.state in LOADING_STATES


def _loads_far_away(model: ModelRecord) -> bool:
    return model.served is not None and model.served.state in LOADING_STATES


def _at_work(model: ModelRecord, runner: RunnerRecord | None, state: State) -> bool | None:
    """Return whether a request is under way, or the next of short ones is awaited, by the best known."""
    if own_rates(model, state).awaited_until is not None:
        return True
    answer = answer_of(model, state)
    told = _told(answer, state)
    if told is not None:
        return told or _works_since(answer, runner) or _gpu_works_since(answer, runner, state)
    moves = model.expiry_moves and state.now - model.seen <= FRESH_SECONDS
    if moves or _has_metered_requests(model, state):
        return True
    if runner is None or runner.process.cpu_percent is None:
        return None
    if _works_gpu(runner, state):
        return True
    return runner.process.cpu_percent >= WORKING_CPU_PERCENT and not _spins(runner, state)


def _works_since(answer: WorkSample | None, runner: RunnerRecord | None) -> bool:
    """Return whether a process that said it was idle used the CPU from one look to the next after that."""
    if runner is None or answer is None or runner.seen_before is None or runner.seen_before < answer.time:
        return False
    return (runner.process.cpu_percent or 0.0) >= WORKING_CPU_PERCENT


def _gpu_works_since(answer: WorkSample | None, runner: RunnerRecord | None, state: State) -> bool:
    """Return whether the GPU of a process that said it was idle works, and not on what had ended by then."""
    if runner is None or answer is None:
        return False
    fresh = state.driver_seen is not None and state.driver_seen - answer.time >= UTILIZATION_SECONDS
    return fresh and _works_gpu(runner, state, BELIED_GPU_PERCENT)


def _has_metered_requests(model: ModelRecord, state: State) -> bool:
    """Return whether requests are under way through a meter; others may pass it by."""
    metered = metered_of(model, state)
    return metered is not None and metered.requests_running > 0


def _told(answer: WorkSample | None, state: State) -> bool | None:
    if answer is None or state.now - answer.time > STALE_AFTER_SECONDS:
        return None
    if answer.slots is None and answer.state not in {"busy", "asleep"} and not _counts(answer):
        return None
    return is_working(answer)


def _counts(answer: WorkSample) -> bool:
    """Whether a server without slots says how many requests are at work."""
    return (
        answer.counters is not None
        and answer.counters.grows_live
        and (answer.counters.requests_processing is not None)
    )


def _works_gpu(runner: RunnerRecord, state: State, percent: int = WORKING_GPU_PERCENT) -> bool:
    return any(
        (gpu.reading.utilization_percent or 0) >= percent and _is_alone(runner, gpu)
        for uuid, gpu in state.gpus.items()
        if uuid in runner.vram_by_gpu
    )


def _spins(runner: RunnerRecord, state: State) -> bool:
    """Return whether a process uses the CPU while its GPUs rest: some wait for requests in a loop."""
    if not runner.kind.by_itself or not runner.vram_by_gpu:
        return False
    readings = (state.gpus[uuid].reading for uuid in runner.vram_by_gpu if uuid in state.gpus)
    return all(reading.utilization_percent == 0 for reading in readings)


def _is_alone(runner: RunnerRecord, gpu: GpuRecord) -> bool:
    there = {process.pid for process in gpu.reading.processes or ()}
    return bool(there) and there <= runner.pids


def _idle_past_expiry(runner: RunnerRecord | None, state: State, expired_seconds: float) -> float:
    """Return for how long it has neither worked nor been wanted, in seconds."""
    worked = runner.worked if runner else None
    return expired_seconds if worked is None else min(expired_seconds, state.now - worked)


QUIET_SECONDS = 30.0
"""So long nothing must have happened; also after the start."""
LOOK_SECONDS = 1.0


class Quiet:
    """Follows the state and tells since when nothing has changed but the time."""

    def __init__(self) -> None:
        self._loaded: frozenset[object] = frozenset()
        self._stirred: float | None = None
        self._looked = 0.0

    def lasts(self, state: State) -> bool:
        """Return whether nothing has been loaded, unloaded or at work for some time, and all sources answer.

        While something happens it looks once a second; before it says that nothing does, each time.
        """
        if self._is_long(state.now) or state.now - self._looked >= LOOK_SECONDS:
            self._look(state)
        return self._is_long(state.now)

    def _is_long(self, now: float) -> bool:
        return self._stirred is not None and now - self._stirred >= QUIET_SECONDS

    def _look(self, state: State) -> None:
        loaded = frozenset((*state.models, *state.runners))
        if self._stirred is None or loaded != self._loaded or _stirs(state):
            self._stirred = state.now
        self._loaded, self._looked = loaded, state.now


def _stirs(state: State) -> bool:
    return bool(
        state.loads
        or any(gpu.reading.state != "asleep" and _works(gpu.reading) for gpu in state.gpus.values())
        or any(
            (runner.process.cpu_percent or 0.0) >= WORKING_CPU_PERCENT for runner in state.runners.values()
        )
        or any(model.metered and model.metered.requests_running for model in state.models.values())
        or any(source.silent_seconds is not None for source in state.sources.values())
    )


def _works(reading: GpuReading) -> bool:
    return reading.state != "ok" or (reading.utilization_percent or 0) >= WORKING_GPU_PERCENT


def is_load_over(runner: RunnerRecord) -> bool:
    """Whether a claimed runner is certain to be loaded: some kinds are claimed only then."""
    return runner.ready_since is not None or runner.kind.claimed_when_loaded
