"""Which processes are one model, where nothing but they tell of it; and the files that they hold."""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from msgspec import structs

from gpumon.collectors.processes.proc import Proc, Stat
from gpumon.collectors.processes.sockets import own_listeners
from gpumon.collectors.samples import RunnerSettings
from gpumon.collectors.servers.by_process.names import is_model_file
from gpumon.collectors.servers.registry import runner_named

if TYPE_CHECKING:
    from gpumon.collectors.processes.finder import Runner


class Member(NamedTuple):
    """A process that belongs to a runner; ``stat`` is from this look."""

    pid: int
    stat: Stat


class Seen(NamedTuple):
    """What a look has seen beside the runners."""

    gpu_pids: frozenset[int]
    stat: Callable[[int], Stat | None]
    ancestors: Callable[[Stat], list[int]]
    """The PIDs above a process, nearest first."""


def model_files(proc: Proc, pid: int) -> Sequence[str]:
    """Return the files of models that a process has mapped or open, the largest mapping first."""
    try:
        mapped = proc.mapped(pid)
        opened = proc.descriptors(pid)
    except OSError:
        return ()
    largest = sorted(mapped, key=lambda path: -mapped[path])
    return [path for path in dict.fromkeys((*largest, *opened)) if is_model_file(path)]


def ports(proc: Proc, pid: int) -> Sequence[int]:
    """Return the TCP ports on which a process listens; none where these may not be seen."""
    try:
        return sorted({one.port for one in own_listeners(proc, pid)})
    except OSError:
        return ()


def gathered(runners: Sequence[Runner], seen: Seen) -> tuple[Runner, ...]:
    """Return the runners, those whose kind has workers with the processes below them that are on a GPU.

    One that is known by itself alone has those of its own kind too. It is left out where it starts others,
    who tell more, and where it holds no model: neither is one named, nor is it on a GPU.
    """
    kinds = {one.pid: runner_named(one.kind) for one in runners}
    alone = {one.pid: one for one in runners if kinds[one.pid].by_itself}
    heads = {pid: pid for pid, kind in kinds.items() if kind.has_workers}
    if not (alone or heads):
        return tuple(runners)
    above = {one.pid: seen.ancestors(one.stat) for one in runners} if alone else {}
    heads |= _heads(alone, above)
    workers = _workers(alone, heads, kinds.keys(), seen)
    whole = {one.pid: _with(one, workers[one.pid], alone) for one in runners if one.pid in workers}
    others = {pid for one in runners if alone and one.pid not in alone for pid in above[one.pid]}
    kept = (whole.get(one.pid, one) for one in runners if one.pid in whole or one.pid not in alone)
    return tuple(
        one
        for one in kept
        if one.pid not in alone or (one.pid not in others and _holds_a_model(one, seen.gpu_pids))
    )


def _heads(alone: dict[int, Runner], above: dict[int, list[int]]) -> dict[int, int]:
    """Return the process that stands for each: the uppermost of its own, and of its like the first."""
    heads: dict[int, int] = {}
    first: dict[tuple[int, str, RunnerSettings], int] = {}
    for pid, one in alone.items():
        highest = next((parent for parent in reversed(above[pid]) if parent in alone), None)
        like = (one.stat.parent_pid, one.kind, one.settings)
        heads[pid] = highest if highest is not None else first.setdefault(like, pid)
    return heads


def _workers(
    alone: dict[int, Runner], heads: dict[int, int], known: Set[int], seen: Seen
) -> dict[int, list[Member]]:
    """Return by head the processes that belong to it: on a GPU, or of a kind of their own below it."""
    found: dict[int, list[Member]] = {head: [] for pid, head in heads.items() if pid == head}
    for pid, head in heads.items():
        if pid != head and head in found:
            found[head].append(Member(pid, alone[pid].stat))
    for pid in sorted(seen.gpu_pids - known):
        stat = seen.stat(pid)
        parent = next((one for one in seen.ancestors(stat) if one in heads), None) if stat else None
        if stat is not None and parent is not None and heads[parent] in found:
            found[heads[parent]].append(Member(pid, stat))
    return found


def _with(head: Runner, workers: Sequence[Member], alone: dict[int, Runner]) -> Runner:
    """Return a runner with its workers, and with the model that one of these names where it does not."""
    own = head.settings
    if not names_a_model(own):
        told = (alone[one.pid].settings for one in workers if one.pid in alone)
        other = next((settings for settings in told if names_a_model(settings)), own)
        own = structs.replace(own, model_path=other.model_path, model_name=other.model_name)
    return replace(head, settings=own, workers=tuple(workers))


def names_a_model(settings: RunnerSettings) -> bool:
    """Whether it is known what is loaded."""
    return settings.model_path is not None or settings.model_name is not None


def _holds_a_model(runner: Runner, gpu_pids: frozenset[int]) -> bool:
    pids = {runner.pid, *(one.pid for one in runner.workers)}
    return names_a_model(runner.settings) or not pids.isdisjoint(gpu_pids)
