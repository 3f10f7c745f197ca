"""Memory that no server owns up to: runners that theirs does not list, and orphans of one that has ended."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from gpumon.app.insight.wording import amount, kind_label, runtime_name
from gpumon.app.state.holders.addresses import is_orphan, stands_alone
from gpumon.app.state.holders.joins import may_be_listed, sources_of
from gpumon.app.state.records import RunnerRecord, SourceRecord
from gpumon.app.state.state import State
from gpumon.collectors.samples import LOADED_STATES, LOADING_STATES
from gpumon.text.safe import visible

OLD_SECONDS = 10.0
"""A process that was older when it was first seen, and says that it is ready, has been so before."""
QUIET_SECONDS = 30.0
"""One whose port says nothing may be loading, unless it has done nothing for so long."""
PIDS_NAMED = 4
ORPHANS = "orphans"


class Unlisted(NamedTuple):
    """The runners of one server that it does not list."""

    server: str
    """What the server is called."""
    runners: tuple[RunnerRecord, ...]
    """In order of PID."""
    since: float
    has_ended: bool
    """Whether the server itself is not there any more."""


def unlisted_runners(state: State) -> dict[str, Unlisted]:
    """Return the runners that no server lists, by its URL; orphans under ``ORPHANS``."""
    found: dict[str, list[tuple[RunnerRecord, float]]] = {}
    for runner in state.runners.values():
        if runner.model is not None:
            continue
        for owner, since in _unlisted(state, runner):
            found.setdefault(owner, []).append((runner, since))
    return {owner: _together(state, owner, pairs) for owner, pairs in found.items()}


def unlisted_words(found: Unlisted) -> str:
    """Say how much they hold, who does not list them, and what frees it."""
    pids = [str(runner.key.pid) for runner in found.runners]
    named = ", ".join(pids[:PIDS_NAMED]) + (", …" if len(pids) > PIDS_NAMED else "")
    what = "a runner" if len(pids) == 1 else f"{len(pids)} runners"
    whose = f"whose {found.server} has ended" if found.has_ended else f"that {found.server} does not list"
    kill = f"sudo kill {' '.join(pids)}"
    return f"{_held_words(found)} held by {what} {whose} (pid {named}); to free it: {kill}"


def held_bytes(found: Unlisted) -> int | None:
    """Return the VRAM that they hold together; ``None`` where it is not measured of one of them."""
    sizes = [_vram(runner) for runner in found.runners]
    known = [size for size in sizes if size is not None]
    return sum(known) if len(known) == len(sizes) else None


def _held_words(found: Unlisted) -> str:
    vram = held_bytes(found)
    if vram:
        return f"{amount(vram)} are"
    resident = [runner.process.rss_bytes or 0 for runner in found.runners]
    return f"{amount(sum(resident))} of RAM are" if any(resident) else "memory is"


def _vram(runner: RunnerRecord) -> int | None:
    return sum(runner.vram_by_gpu.values()) if runner.vram_by_gpu else runner.measured_vram_bytes


def _together(state: State, owner: str, pairs: list[tuple[RunnerRecord, float]]) -> Unlisted:
    runners = tuple(sorted((runner for runner, _ in pairs), key=lambda runner: runner.key))
    has_ended = owner == ORPHANS
    kinds = dict.fromkeys(_owner_kind(runner) for runner in runners)
    server = " and ".join(kinds) if has_ended else runtime_name(state.sources[owner].runtime)
    return Unlisted(visible(server), runners, min(since for _, since in pairs), has_ended)


def _owner_kind(runner: RunnerRecord) -> str:
    """Return the name of the kind of server that had started an orphan."""
    named = runner.served_by or runner.process.settings.child_of
    return runtime_name(named) if named else kind_label(runner.server_kind)


def _unlisted(state: State, runner: RunnerRecord) -> Iterator[tuple[str, float]]:
    """Yield whose runner it is and since when it is not listed; nothing for one that may load."""
    if runner.key in state.loads or _loads(runner):
        return
    if is_orphan(state, runner):
        yield ORPHANS, runner.first_seen if runner.unclaimed_since is None else runner.unclaimed_since
    elif not stands_alone(state, runner):
        since = _since(state, runner)
        sources = [state.sources[name] for name in sources_of(state, runner)]
        if since is not None and sources and all(_denies(state, source, runner) for source in sources):
            yield sources[0].name, since


def _loads(runner: RunnerRecord) -> bool:
    return runner.answer is not None and runner.answer.state in LOADING_STATES


def _denies(state: State, source: SourceRecord, runner: RunnerRecord) -> bool:
    """Return whether a server has listed its models since the runner was there, and none that may be its."""
    seen_at = runner.first_seen if runner.unclaimed_since is None else runner.unclaimed_since
    if not source.healthy or source.answered is None or source.answered < seen_at:
        return False
    return not may_be_listed(state, runner, source.name)


def _since(state: State, runner: RunnerRecord) -> float | None:
    """Return since when a runner has been loaded and not listed; ``None`` while it may still be loading."""
    if runner.unclaimed_since is not None:
        return runner.unclaimed_since
    is_ready = runner.answer is not None and runner.answer.state in LOADED_STATES
    if is_ready:
        was_old = runner.first_seen - runner.key.started > OLD_SECONDS
        return runner.key.started if was_old else runner.ready_since or runner.first_seen
    return runner.first_seen if _has_done_nothing(state, runner) else None


def _has_done_nothing(state: State, runner: RunnerRecord) -> bool:
    """Return whether neither its memory has changed for some time nor has it worked: it does not load."""
    begin, steady = state.now - QUIET_SECONDS, runner.vram_steady_since
    is_steady = steady is not None and steady <= begin
    return is_steady and runner.first_seen <= begin and (runner.worked is None or runner.worked <= begin)
