"""Rules on models: where they are, how fast they run, how they load."""

from __future__ import annotations

from gpumon.app.alerts.alert import CLEAR, UNKNOWN, Finding
from gpumon.app.alerts.limits import Limits
from gpumon.app.insight.disk import disk_words
from gpumon.app.insight.falls import Change, Comparison, Paced, changes_since, compare, reason_words
from gpumon.app.insight.health import spill_fault
from gpumon.app.insight.loaded import Loaded, may_load, shortfall
from gpumon.app.insight.owners import Unlisted, unlisted_words
from gpumon.app.insight.rereads import reread_words
from gpumon.app.insight.waiting import waiting_words
from gpumon.app.insight.wording import amount, ended_words, placement_words
from gpumon.app.state.loads.endings import WINDOW_SECONDS
from gpumon.app.state.records import FailedLoad, SettingChange, Thrash
from gpumon.text.safe import visible
from gpumon.text.units import duration, percent


def spill(loaded: Loaded, limits: Limits, _active: bool) -> Finding:
    """Find model bytes in RAM, by the server's claim. To be asked only where a GPU is present."""
    model, split = loaded.model, loaded.model.split
    level = spill_fault(model, limits.spill_bad_percent)
    if split.spill_fraction is None:
        return UNKNOWN
    if level is None or loaded.by_choice:  # a choice is no alarm
        return CLEAR
    name = loaded.label
    placement = f"{placement_words(split)}{_no_gpu_words(loaded)}"
    return Finding(
        level=level,
        subject=name,
        message=f"{name} spill: {placement}",
        further=f"{name} spilled further: {placement}",
        measure=split.spill_fraction * 100,
        step=limits.spill_further_percent,
    )


def likely_spill(loaded: Loaded, limits: Limits, _active: bool) -> Finding:
    """Find weights that cannot be on a GPU, of a server that says nothing of it: an estimate."""
    found = loaded.left_out
    if found is None:
        return CLEAR if loaded.elsewhere else UNKNOWN
    if found.bytes == 0 or loaded.by_choice:
        return CLEAR
    name = loaded.label
    seen = f"estimate: the driver sees {amount(found.measured_bytes)}"
    return Finding(
        level="watch",
        subject=name,
        message=f"{name} likely spill: {found.words} ({seen})",
        hold_seconds=limits.hold_seconds,
        measure=found.bytes / found.weights_bytes * 100,
    )


def _no_gpu_words(loaded: Loaded) -> str:
    """Say why nothing is on a GPU, where the process tells."""
    if loaded.model.split.gpu_bytes != 0:
        return ""
    return "; its process is on no GPU" if loaded.measured_bytes == 0 else ""


BUSY_CPU_PERCENT = 100.0
"""One core at work all the time."""


def silent_fallback(loaded: Loaded, limits: Limits, _active: bool) -> Finding:
    """Find a model that is claimed on the GPU of which little or nothing is there."""
    found = shortfall(loaded)
    if found != "silent_fallback":
        return UNKNOWN if found == "unknown" else CLEAR
    if may_load(loaded, limits.unsure_load_seconds):
        return UNKNOWN
    name = loaded.label
    seen = (
        f"the driver sees {amount(loaded.measured_bytes)}"
        if loaded.measured_bytes
        else "the driver sees nothing"
    )
    busy = ", and it is busy on the CPU" if _cpu_percent(loaded) >= BUSY_CPU_PERCENT else ""
    claims = f"{loaded.model.kind.label} claims {_claimed(loaded)} on GPU"
    return Finding(
        level="bad",
        subject=name,
        message=f"{name} silent fallback: {claims}, {seen}{busy}",
    )


def hidden_spill(loaded: Loaded, limits: Limits, _active: bool) -> Finding:
    """Find a model of which a part is claimed on the GPU and is not there."""
    found = shortfall(loaded)
    if found != "hidden_spill":
        return UNKNOWN if found == "unknown" else CLEAR
    if may_load(loaded, limits.unsure_load_seconds):
        return UNKNOWN
    name = loaded.label
    seen = f"the driver sees {amount(loaded.measured_bytes or 0)} of the {_claimed(loaded)}"
    return Finding(
        level="bad",
        subject=name,
        message=f"{name} hidden spill: {seen} that {loaded.model.kind.label} claims on GPU",
        hold_seconds=limits.hold_seconds,
    )


def stuck(loaded: Loaded, _limits: Limits, _active: bool) -> Finding:
    """Find a model that should have been unloaded, does nothing, and does not go (ollama#7779, #13234)."""
    if loaded.activity is None:
        return UNKNOWN
    if loaded.activity != "stuck":
        return CLEAR
    name, held = loaded.label, loaded.measured_bytes
    process = f"; process {loaded.runner.key.pid}" if loaded.runner else ""
    return Finding(
        level="watch",
        subject=name,
        message=f"{name} is stuck: it should have been unloaded and does nothing{process}"
        + (f" holds {amount(held)} of VRAM" if process and held else ""),
    )


def ended(loaded: Loaded, _limits: Limits, _active: bool) -> Finding:
    """Find a model whose process has ended, and that its server still lists: killed, or crashed."""
    if loaded.activity != "gone":
        return CLEAR
    return Finding(
        level="bad",
        subject=loaded.label,
        message=ended_words(loaded.label, loaded.model, loaded.ended_how),
        since=loaded.model.runner_ended,
    )


def read_from_disk(loaded: Loaded, _limits: Limits, _active: bool) -> Finding:
    """Find a model whose weights are read from storage again and again while it works."""
    if loaded.runner is None:
        return UNKNOWN
    if loaded.disk is None:
        return CLEAR
    return Finding(level="bad", subject=loaded.label, message=disk_words(loaded.label, loaded.disk))


def cache_full(loaded: Loaded, _limits: Limits, _active: bool) -> Finding:
    """Find a server whose cache of all contexts is full, so that requests lose their place in it."""
    told = loaded.runner or loaded.model.served
    since = told.pool.full_since if told else None
    if since is None:
        return CLEAR
    message = f"{loaded.label} preempts requests: the KV cache is full"
    return Finding(level="watch", subject=loaded.label, message=message, since=since)


def prompt_reread(loaded: Loaded, _limits: Limits, _active: bool) -> Finding:
    """Find a conversation that is read anew at each turn."""
    if loaded.rereads is None:
        return CLEAR
    return Finding(
        level="watch",
        subject=loaded.label,
        message=reread_words(loaded.label, loaded.rereads),
        measure=loaded.rereads.seconds_each,
    )


def waiting(loaded: Loaded, _limits: Limits, _active: bool) -> Finding:
    """Find requests that queue up for a place."""
    if loaded.waiting is None:
        return CLEAR
    return Finding(
        level="watch",
        subject=loaded.label,
        message=waiting_words(loaded.label, loaded.waiting),
        since=loaded.waiting.since,
        measure=float(loaded.waiting.requests),
    )


UNLISTED_SECONDS = 30.0
"""A model that is unloaded or evicted is not listed for some seconds while its process ends."""


def unlisted(found: Unlisted, _limits: Limits, _active: bool) -> Finding:
    """Find runners that their server does not list: leaked, or orphans of one that has ended."""
    return Finding(
        level="watch",
        subject=found.server,
        message=unlisted_words(found),
        hold_seconds=UNLISTED_SECONDS,
        since=found.since,
    )


def _claimed(loaded: Loaded) -> str:
    return amount(loaded.model.split.gpu_bytes or 0)


def _cpu_percent(loaded: Loaded) -> float:
    percent = loaded.runner.process.cpu_percent if loaded.runner else None
    return percent or 0.0


BAD_PERCENT = 50.0
"""A fall from here on is bad, unless the work is harder."""
HARDER_WORK = frozenset({"context", "parallel"})


def slower(paced: Paced, limits: Limits, active: bool) -> Finding:
    """Find a decode rate below the model's own baseline, and say what has changed since that was learned."""
    compared = compare(paced, limits.slower_percent, active=active)
    if compared is None:
        return UNKNOWN
    if not compared.is_below:
        return CLEAR
    changes, name = changes_since(paced, compared), visible(paced.model.claim.name)
    return Finding(
        level="bad" if _is_bad(compared, changes) else "watch",
        subject=name,
        message=f"{name} {compared.words} (-{percent(compared.lost_percent)}), {reason_words(changes)}",
        hold_seconds=limits.slower_seconds,
        measure=compared.lost_percent,
    )


def _is_bad(compared: Comparison, changes: tuple[Change, ...]) -> bool:
    return compared.lost_percent >= BAD_PERCENT and not any(change.kind in HARDER_WORK for change in changes)


RETRY_SECONDS = 2.0
"""A server that tries again has begun by then."""


def load_failed(failed: FailedLoad, _limits: Limits, _active: bool) -> Finding:
    """Find a load that ended before its model was ready; one that is tried again has not failed yet."""
    if failed.retrying:
        return UNKNOWN
    load, name = failed.load, visible(failed.load.name)
    why = f": {visible(load.reason)}" if load.reason else ""
    return Finding(
        level="bad",
        subject=name,
        message=f"{name} failed to load after {duration(load.total_seconds)}{why}",
        hold_seconds=RETRY_SECONDS,
        since=load.ended,
    )


def thrash(found: Thrash, _limits: Limits, _active: bool) -> Finding:
    """Say what is loaded again and again, and why."""
    subject = " and ".join(map(visible, found.names))
    return Finding(
        level="watch",
        subject=subject,
        message=f"{subject} {_thrash_words(found)}",
        since=found.since,
        measure=found.count,
    )


def _thrash_words(found: Thrash) -> str:
    loads = f"{found.count} loads in {WINDOW_SECONDS / 60:.0f} min"
    if len(found.names) > 1:
        return f"evict each other: {loads}"
    match found.cause:
        case "settings":
            return f"is loaded again and again, {loads}: {', '.join(map(_change_words, found.changes))}"
        case "memory":
            return f"is loaded again and again, {loads}: other models make it leave"
        case "expired":
            return f"is loaded again and again, {loads}: its keep_alive is too short"
        case None:
            return f"is loaded again and again, {loads}"


def _change_words(change: SettingChange) -> str:
    before, after = ("default" if value is None else str(value) for value in (change.before, change.after))
    return f"{change.setting} changes from {visible(before)} to {visible(after)}"
