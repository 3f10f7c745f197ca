"""Finds servers and runners without looking at all processes each time.

Each look reads the children of known servers and what is new on a GPU; the whole list of processes is walked
seldom. A process is told by its PID and start; its command line is read until it is known what it is, because
a child has its parent's until it executes its own program.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeVar

from gpumon.collectors.processes.members import Member, Seen, gathered, model_files, names_a_model, ports
from gpumon.collectors.processes.proc import Proc, Stat
from gpumon.collectors.samples import RunnerSettings
from gpumon.collectors.servers.registry import FAULTS, REGISTRY, Registry
from gpumon.collectors.servers.talk import FoundRunner, FoundServer, ProcessView

_T = TypeVar("_T")

SEARCH_SECONDS = 10.0
"""Between walks over all processes while no server is known."""
REFRESH_SECONDS = 30.0
"""The same while servers are known: for servers that start later."""
LOST_SECONDS = 1.0
"""From a walk to the next one once a server has ended, doubling: it may be about to start anew."""
UNSETTLED_SECONDS = 5.0
"""Between looks at what is on a GPU and may yet become a server, or load another model."""
NO_CHILDREN_SECONDS = 5.0
"""The same where the kernel does not list children, so that a walk alone finds runners."""

OUT_OF_RESOURCES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})

_DEPTH_LIMIT = 16
_DESCENDANT_LIMIT = 256


@dataclass(frozen=True)
class Server:
    """A process that starts runners."""

    pid: int
    start_ticks: int
    kind: str
    argv: tuple[str, ...] = field(repr=False)


@dataclass(frozen=True)
class Runner:
    """A process that holds a model; ``stat`` is from this look."""

    pid: int
    start_ticks: int
    kind: str
    settings: RunnerSettings
    server_pid: int | None
    stat: Stat
    workers: tuple[Member, ...] = ()
    """Processes below it that are on a GPU, where its kind has such."""
    is_settled: bool = True


@dataclass(frozen=True)
class Found:
    """What one look found, in order of PID."""

    servers: tuple[Server, ...]
    runners: tuple[Runner, ...]


class Finder:
    """Keeps what it knows from look to look."""

    def __init__(self, proc: Proc, registry: Registry = REGISTRY) -> None:
        self._proc = proc
        self._registry = registry
        self._servers: dict[int, Server] = {}
        self._runners: dict[int, Runner] = {}
        self._on_gpu: set[tuple[int, int]] = set()
        self._gpu_pids: frozenset[int] = frozenset()
        self._unsettled_due_at = 0.0
        self._walked_at: float | None = None
        self._lost_at: float | None = None
        """When a server was last seen to have ended."""
        self._children_listed = True
        self._stats: dict[int, Stat | None] = {}
        """Those read in this look."""

    def look(self, gpu_pids: frozenset[int], now: float) -> Found:
        """Return servers and runners as of ``now`` (seconds); raise ``OSError`` where there is no /proc."""
        self._stats.clear()
        self._gpu_pids = gpu_pids
        servers = len(self._servers)
        self._drop_the_dead()
        if len(self._servers) < servers:
            self._lost_at = now
        if self._is_walk_due(now):
            self._walked_at = now
            self._consider(self._proc.pids())
        self._consider_new_on_gpu(gpu_pids)
        if now >= self._unsettled_due_at:
            self._unsettled_due_at = now + UNSETTLED_SECONDS
            self._settle()
        for server in list(self._servers.values()):
            self._consider_descendants(server)
        self._attach_orphans()
        runners = gathered(_in_order(self._runners), Seen(gpu_pids, self._stat, self._ancestors))
        return Found(_in_order(self._servers), runners)

    def _is_walk_due(self, now: float) -> bool:
        if self._walked_at is None:
            return True
        pause = REFRESH_SECONDS if self._servers else SEARCH_SECONDS
        pause = pause if self._children_listed else NO_CHILDREN_SECONDS
        if self._lost_at is not None:
            pause = min(pause, max(LOST_SECONDS, self._walked_at - self._lost_at))
        return now - self._walked_at >= pause

    def _drop_the_dead(self) -> None:
        for pid, server in list(self._servers.items()):
            if not _is_same(self._stat(pid), server.start_ticks):
                del self._servers[pid]
        for pid, runner in list(self._runners.items()):
            stat = self._stat(pid)
            if stat is None or not _is_same(stat, runner.start_ticks):
                del self._runners[pid]
            else:
                server_pid = runner.server_pid if runner.server_pid in self._servers else None
                self._runners[pid] = replace(runner, server_pid=server_pid, stat=stat)

    def _consider_new_on_gpu(self, gpu_pids: frozenset[int]) -> None:
        stats = {pid: stat for pid in gpu_pids if (stat := self._stat(pid))}
        present = {(pid, stat.start_ticks) for pid, stat in stats.items()}
        for pid, _ in present - self._on_gpu:
            self._consider([pid, *self._ancestors(stats[pid])])
        self._on_gpu = present

    def _settle(self) -> None:
        """Look again at what is on a GPU and unknown, and at those of which the model may change."""
        self._consider(self._gpu_pids)
        for pid, runner in list(self._runners.items()):
            if not runner.is_settled:
                found = self._recognised(pid, self._command_line(pid))
                if isinstance(found, FoundRunner) and names_a_model(found.settings):
                    self._runners[pid] = replace(runner, settings=found.settings, is_settled=found.is_settled)

    def _consider(self, pids: Iterable[int]) -> None:
        for pid in pids:
            if pid not in self._servers and pid not in self._runners:
                self._identify(pid)

    def _identify(self, pid: int) -> None:
        """Remember ``pid`` if it is a server or a runner."""
        argv = self._command_line(pid)
        found = self._recognised(pid, argv)
        stat = self._stat(pid) if found else None
        if stat is None or not stat.is_alive or self._command_line(stat.parent_pid) == argv:
            return
        if isinstance(found, FoundRunner):
            self._runners[pid] = Runner(
                pid, stat.start_ticks, found.kind, found.settings, None, stat, is_settled=found.is_settled
            )
        elif found is not None and not self._is_below_a_server_without_servers(stat):
            self._servers[pid] = Server(pid, stat.start_ticks, found.kind, argv)

    def _recognised(self, pid: int, argv: tuple[str, ...]) -> FoundServer | FoundRunner | None:
        """Return what a process is to the first kind that knows it; a kind that fails costs itself only."""
        if not argv:
            return None
        for kind in self._registry.with_processes():
            view = self._view(pid, argv, kind.environment)
            try:
                found = kind.recognise_process(view)
            except FAULTS as error:
                self._registry.note_problem(kind.name, error)
                continue
            if found is not None:
                return found
        return None

    def _view(self, pid: int, argv: tuple[str, ...], variables: frozenset[str]) -> ProcessView:
        return ProcessView(
            argv,
            partial(self._environ, pid, variables),
            on_gpu=pid in self._gpu_pids,
            directory=partial(self._directory, pid),
            model_files=partial(model_files, self._proc, pid),
            ports=partial(ports, self._proc, pid),
            holds=partial(self._proc.sees, pid),
        )

    def _directory(self, pid: int) -> str | None:
        try:
            return self._proc.link(pid, "cwd")
        except OSError:
            return None

    def _environ(self, pid: int, names: frozenset[str]) -> Mapping[str, str]:
        try:
            return self._proc.environment(pid, names)
        except OSError:
            return {}

    def _is_below_a_server_without_servers(self, stat: Stat) -> bool:
        """Whether it is below a server whose children are none: Ollama's look for GPUs resembles a router."""
        above = (self._recognised(pid, self._command_line(pid)) for pid in self._ancestors(stat))
        kinds = (found.kind for found in above if isinstance(found, FoundServer))
        return not all(self._registry.kind(kind).children_serve for kind in kinds)

    def _consider_descendants(self, server: Server) -> None:
        generation, seen = [server.pid], {server.pid}
        for _ in range(_DEPTH_LIMIT):
            children = [child for pid in generation for child in self._children(pid) if child not in seen]
            generation = children[: _DESCENDANT_LIMIT - len(seen)]
            seen.update(generation)
            self._consider(generation)
            generation = [pid for pid in generation if pid not in self._runners]
            if not generation:
                return

    def _attach_orphans(self) -> None:
        """Return each runner without server the nearest one above it."""
        for pid, runner in self._runners.items():
            if runner.server_pid is None and runner.stat.parent_pid > 1:
                above = (parent for parent in self._ancestors(runner.stat) if parent in self._servers)
                self._runners[pid] = replace(runner, server_pid=next(above, None))

    def _ancestors(self, stat: Stat) -> list[int]:
        """Return the PIDs above a process, nearest first, without the first process of the machine."""
        above: list[int] = []
        at: Stat | None = stat
        while at and at.parent_pid > 1 and at.parent_pid not in above and len(above) < _DEPTH_LIMIT:
            above.append(at.parent_pid)
            at = self._stat(at.parent_pid)
        return above

    def _children(self, pid: int) -> list[int]:
        try:
            children = self._proc.children(pid)
            self._children_listed = True
            return children
        except FileNotFoundError:
            self._children_listed = self._read_stat(pid) is None  # again: it may have ended since
            return []
        except OSError as error:
            _raise_if_out_of_resources(error)
            return []

    def _stat(self, pid: int) -> Stat | None:
        if pid not in self._stats:
            self._stats[pid] = self._read_stat(pid)
        return self._stats[pid]

    def _read_stat(self, pid: int) -> Stat | None:
        try:
            return self._proc.stat(pid)
        except ValueError:
            return None
        except OSError as error:
            _raise_if_out_of_resources(error)
            return None

    def _command_line(self, pid: int) -> tuple[str, ...]:
        try:
            return self._proc.command_line(pid)
        except OSError as error:
            _raise_if_out_of_resources(error)
            return ()


def _raise_if_out_of_resources(error: OSError) -> None:
    """Raise what says nothing of the process that was looked at: it is there, and we cannot see it now."""
    if error.errno in OUT_OF_RESOURCES:
        raise error


def _is_same(stat: Stat | None, start_ticks: int) -> bool:
    return stat is not None and stat.is_alive and stat.start_ticks == start_ticks


def _in_order(known: Mapping[int, _T]) -> tuple[_T, ...]:
    return tuple(known[pid] for pid in sorted(known))
