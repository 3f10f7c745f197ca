"""What the lines of a server's log say of loads and rates, given to the runner that they can be of."""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from gpumon.app.state.places import LOG_SEARCH
from gpumon.app.state.rates.figures import FinishedRequest
from gpumon.app.state.rates.log_meter import LogMeter
from gpumon.app.state.records import BufferKey, Placement, RunnerEnd, RunnerRecord, ServerLog
from gpumon.app.state.state import State
from gpumon.collectors.samples import LogEvent, LogEventKind, LogSample, ModelState

BACKLOG_SECONDS = 3.0
"""What is read of a log so soon after it was opened may be old: a runner's lines have no time."""

RATE_EVENTS: frozenset[LogEventKind] = frozenset(
    {"prefill_progress", "prompt_compared", "decode_progress", "request_prefill", "request_decode"}
)
NOT_READY: frozenset[ModelState] = frozenset({"starting", "loading", "asleep", "busy"})


def take_rate(state: State, log: ServerLog, event: LogEvent) -> None:
    """Take in one event of a request, where it is known whose it is and nothing better tells of it."""
    if event.kind not in RATE_EVENTS or state.now - log.since < BACKLOG_SECONDS:
        return
    runner = _runner_of(state, event)
    if runner is None:
        return
    finished = runner.meter.hear(event, state.now)  # it goes on from there once the port tells
    if _tells_nothing(runner):
        runner.log_meter = runner.log_meter or LogMeter()
        finished = runner.log_meter.feed(event, state.now)
    if finished is not None:
        _take_request(runner, finished)
    _note(state, runner)


def _take_request(runner: RunnerRecord, told: FinishedRequest) -> None:
    """Add a request, or add what the log says of one that was seen to end."""
    for index, seen in enumerate(runner.requests):
        if (seen.slot_id, seen.task_id) == (told.slot_id, told.task_id) and seen.ended >= told.started:
            runner.requests[index] = replace(
                seen,
                decoded_tokens=told.decoded_tokens,
                decoded_is_lower_bound=False,
                prefill_tokens_per_second=told.prefill_tokens_per_second or seen.prefill_tokens_per_second,
                decode_tokens_per_second=told.decode_tokens_per_second or seen.decode_tokens_per_second,
            )
            return
    runner.requests.append(told)


def refresh_log_rates(state: State) -> None:
    """Let go of rates that are old, and of those that the runner's own port tells by now."""
    for runner in state.runners.values():
        runner.meter.refresh(state.now)
        if runner.log_meter is not None and not _tells_nothing(runner):
            runner.log_meter = None
        elif runner.log_meter is not None:
            runner.log_meter.refresh(state.now)
            _note(state, runner)


def _runner_of(state: State, event: LogEvent) -> RunnerRecord | None:
    """Return the runner of a line: by the port in front of it, as the only one, or as the one seen at it."""
    if event.port is not None:
        named = [one for one in state.runners.values() if one.process.settings.port == event.port]
        return named[0] if len(named) == 1 else None
    if len(state.runners) == 1:
        return next(iter(state.runners.values()))
    seen = [one for one in state.runners.values() if one.meter.knows(event)]
    return seen[0] if len(seen) == 1 else None


def _tells_nothing(runner: RunnerRecord) -> bool:
    """Return whether its port is closed to us, or has no statistics: turned off, or of an older era."""
    if runner.meter.rates.sources:
        return False
    return runner.answer is None or runner.answer.state not in NOT_READY


def _note(state: State, runner: RunnerRecord) -> None:
    model = state.models.get(runner.model) if runner.model else None
    if model is not None:
        model.note_rates(runner.rates, state.now)


LOGS_KEPT = 32
GPUS_KEPT = 64
BUFFERS_KEPT = 256
SAME_START_SECONDS = 15.0
"""A runner starts within this time of the line that announces it."""


def take_log(state: State, sample: LogSample) -> None:
    """Take in the events of one log, in order."""
    if sample.source == LOG_SEARCH:
        return
    log = state.logs.get(sample.source)
    if log is None:
        log = state.logs[sample.source] = ServerLog(sample.source, since=state.now)
        if len(state.logs) > LOGS_KEPT:
            del state.logs[next(iter(state.logs))]
    log.pid = sample.pid or log.pid
    log.format_unknown = (log.format_unknown or sample.unknown_format) and not sample.events
    for event in sample.events:
        if event.kind == "runner_ended":
            log.runner_ends.append(RunnerEnd(event.at or state.now, event.text))
            continue
        _take_event(log, event, state.now)
        attribute(state, log)
        take_rate(state, log, event)


def attribute(state: State, log: ServerLog) -> None:
    """Find the runner of the latest load of a log, if it is there by now."""
    placement = log.placement
    if placement is None or placement.attributed:
        return
    runner = _writer(state, log.pid) if log.pid is not None else _runner_of_load(state, placement)
    if runner is not None:
        placement.attributed = True
        runner.placement = placement


def _writer(state: State, pid: int) -> RunnerRecord | None:
    """Return the runner that writes a log, unless what that says of a load is known of it already."""
    own = (one for key, one in state.runners.items() if key.pid == pid and one.placement is None)
    return next(own, None)


def _runner_of_load(state: State, placement: Placement) -> RunnerRecord | None:
    free = [runner for runner in state.runners.values() if runner.placement is None]
    near = [r for r in free if abs(r.key.started - placement.since) <= SAME_START_SECONDS]
    if placement.port is not None:
        near = [r for r in near if r.process.settings.port in {None, placement.port}]
    if placement.blob is not None:
        return max(
            (r for r in near if r.process.settings.blob == placement.blob),
            key=lambda runner: runner.key,
            default=None,
        )
    loading = [runner for runner in near if not runner.load_over]
    return loading[0] if len(loading) == 1 else None


def _take_event(log: ServerLog, event: LogEvent, now: float) -> None:
    if event.kind in _SERVER_EVENTS:
        _SERVER_EVENTS[event.kind](log, event)
    elif event.kind == "load_started":
        _start(log, event, now)
    elif log.placement is not None and event.kind == "buffer":
        _add_buffer(log.placement, event, now)
    elif log.placement is not None and event.kind in _LOAD_EVENTS:
        _LOAD_EVENTS[event.kind](log.placement, event)


def _start(log: ServerLog, event: LogEvent, now: float) -> None:
    before = log.placement
    is_retry = before is not None and before.gave_up and before.blob == event.blob
    log.placement = Placement(
        since=now if event.at is None else event.at,
        blob=event.blob,
        port=event.port,
        retries=before.retries + 1 if before is not None and is_retry else 0,
    )


def _add_gpu(log: ServerLog, event: LogEvent) -> None:
    """Add a GPU; one that was found before, or was not, begins the list of a new start of the server."""
    if log.found_no_gpu or event.device in {gpu.device for gpu in log.gpus}:
        log.gpus = ()
    log.found_no_gpu = False
    log.gpus = (*log.gpus, event)[-GPUS_KEPT:]


def _add_no_gpu(log: ServerLog, _event: LogEvent) -> None:
    log.gpus, log.found_no_gpu = (), True


def _add_settings(log: ServerLog, event: LogEvent) -> None:
    log.settings = dict(event.settings)


def _add_default_context(log: ServerLog, event: LogEvent) -> None:
    log.default_context = event.count


def _add_buffer(placement: Placement, event: LogEvent, now: float) -> None:
    """Add a buffer: sliding-window models have two caches on one device, a draft model adds its own."""
    component, device, size = event.component, event.device, event.size_bytes
    if component is None or device is None or size is None:
        return
    key = BufferKey(component, device)
    if component == "model" and placement.context_seen is not None and placement.buffers.get(key) == size:
        _forget_buffers(placement)
    if component == "compute":
        if (device, size) in placement.compute_lines or len(placement.compute_lines) >= BUFFERS_KEPT:
            return
        placement.compute_lines.add((device, size))
    if component != "model":
        placement.context_seen = now
    if key in placement.buffers or len(placement.buffers) < BUFFERS_KEPT:
        placement.buffers[key] = placement.buffers.get(key, 0) + size


def _forget_buffers(placement: Placement) -> None:
    """Start again: llama.cpp logs the same lines for each arrangement that it tries before it loads."""
    placement.buffers.clear()
    placement.compute_lines.clear()
    placement.context_seen = None


def _add_layers(placement: Placement, event: LogEvent) -> None:
    """Record the layers; another number of layers in all is that of a draft model, loaded besides."""
    if placement.layer_count not in {None, event.total}:
        return
    if placement.layer_count is not None:
        _forget_buffers(placement)
    placement.layers_offloaded, placement.layer_count = event.count, event.total


def _add_overflow(placement: Placement, event: LogEvent) -> None:
    if event.device is None or event.count is None or len(placement.overflowing_by_device) >= GPUS_KEPT:
        return
    placement.overflowing_by_device[event.device] = event.count


def _add_fit(placement: Placement, event: LogEvent) -> None:
    if event.device is None and event.count is not None and placement.layers_offloaded is None:
        placement.layers_offloaded, placement.layer_count = event.count, event.total


def _progress(placement: Placement, event: LogEvent) -> None:
    if event.fraction is not None:
        placement.progress = max(placement.progress or 0.0, event.fraction)


def _add_pool(placement: Placement, event: LogEvent) -> None:
    """Record what the cache holds; of several engines each has its own of the same size."""
    placement.cache_tokens = event.count or placement.cache_tokens


def _finish(placement: Placement, event: LogEvent) -> None:
    placement.finished = True
    placement.seconds = event.seconds or placement.seconds


def _fail(placement: Placement, event: LogEvent) -> None:
    if not placement.finished:
        placement.failure = event.text or placement.failure


def _reduce_context(placement: Placement, event: LogEvent) -> None:
    if not placement.finished:
        placement.gave_up = True
        placement.old_context, placement.new_context = event.old_context, event.new_context


def _evict(placement: Placement, event: LogEvent) -> None:
    if event.text is not None and "retrying" in event.text and not placement.finished:
        placement.gave_up = True
        placement.failure = event.text


_SERVER_EVENTS: dict[LogEventKind, Callable[[ServerLog, LogEvent], None]] = {
    "gpu_found": _add_gpu,
    "no_gpu_found": _add_no_gpu,
    "server_config": _add_settings,
    "default_context": _add_default_context,
}
_LOAD_EVENTS: dict[LogEventKind, Callable[[Placement, LogEvent], None]] = {
    "layers_offloaded": _add_layers,
    "layers_overflowing": _add_overflow,
    "fit_projected": _add_fit,
    "load_progress": _progress,
    "cache_pool": _add_pool,
    "load_finished": _finish,
    "load_failed": _fail,
    "out_of_memory": _fail,
    "context_reduced": _reduce_context,
    "evicting": _evict,
}
