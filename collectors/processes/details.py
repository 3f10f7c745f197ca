"""What a runner costs the machine: memory, CPU, reads from storage."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from gpumon.collectors.processes.finder import Runner
from gpumon.collectors.processes.limits import GROUPS, RamLimit, ram_limit
from gpumon.collectors.processes.model_files import is_undescribed
from gpumon.collectors.processes.owners import Users, is_contained, is_unreachable
from gpumon.collectors.processes.proc import Proc, reason
from gpumon.collectors.processes.published import Publications, Reached
from gpumon.collectors.processes.sockets import PROVEN_SECONDS
from gpumon.collectors.samples import RunnerProcess
from gpumon.collectors.servers.registry import runner_named

_PART = re.compile(r"-\d{5}-of-\d{5}\.gguf\Z", re.ASCII)
"""One of several files that make up a model (llama.cpp: tools/gguf-split)."""


def model_file_bytes(model_path: str | None, root: Path = Path("/")) -> int | None:
    """Return the size of the weights' file below ``root``; ``None`` where it cannot be seen, or is a part."""
    if model_path is None or not model_path.startswith("/") or _PART.search(model_path):
        return None
    try:
        return Path(f"{root}/{model_path}").stat().st_size or None
    except (OSError, ValueError):
        return None


PSS_SECONDS = 5.0
"""Between reads of ``smaps_rollup``."""
LIMIT_SECONDS = 5.0
"""Between reads of the limits of a process: they may be changed while it runs."""
REACHED_SECONDS = 10.0
"""Between looks for the port under which one in a container is published, until it is known."""
PSS_COST_FACTOR = 100
"""The kernel walks all pages of the process for it, and holds up its memory calls meanwhile: at most 1 %."""


class _Memory(Struct):
    """What the last look at a runner left for the next one."""

    cpu_ticks: Mapping[int, int] | None = None
    """By process: those that belong to it come later than itself."""
    looked_at: float = 0.0
    pss_bytes: int | None = None
    pss_reason: str | None = None
    pss_due_at: float = 0.0
    ram_limit: RamLimit | None = None
    limit_due_at: float = 0.0
    model_file_bytes: int | None = None
    other_namespace: bool = False
    reached: Reached = Reached()
    reached_due_at: float = 0.0


class RunnerReader:
    """Reads each runner's details; a rate needs two looks."""

    def __init__(
        self,
        proc: Proc,
        users: Users,
        elapsed: Callable[[], float] = time.perf_counter,
        groups: Path = GROUPS,
        publications: Publications | None = None,
    ) -> None:
        self._proc = proc
        self._groups = groups
        self._users = users
        self._publications = publications or Publications(proc)
        self._elapsed = elapsed
        self._memories: dict[tuple[int, int], _Memory] = {}

    def read(self, runners: tuple[Runner, ...], now: float) -> tuple[RunnerProcess, ...]:
        """Return the details as of ``now`` (seconds); what is gone meanwhile has none."""
        before = self._memories
        keys = [(runner.pid, runner.start_ticks) for runner in runners]
        self._memories = {key: before.get(key) or _Memory() for key in keys}
        return tuple(
            self._runner(runner, self._memories[key], now) for key, runner in zip(keys, runners, strict=True)
        )

    def _runner(self, runner: Runner, memory: _Memory, now: float) -> RunnerProcess:
        reasons: list[str] = []
        pid, stat = runner.pid, runner.stat
        status = self._table(pid, "status", reasons)
        io = self._table(pid, "io", reasons)
        own = (pid, *(one.pid for one in runner.workers))
        self._refresh_pss(own, memory, now)
        if memory.pss_reason:
            reasons.append(memory.pss_reason)
        if memory.cpu_ticks is None:  # the first look: neither the file nor the namespace changes
            memory.model_file_bytes = self._model_file_bytes(runner, status)
            memory.other_namespace = is_unreachable(self._proc, pid, status)
        limit = self._ram_limit(pid, memory, now)
        self._refresh_reached(runner, memory, now)
        return RunnerProcess(
            pid=pid,
            started=self._proc.started(runner.start_ticks),
            kind=runner.kind,
            settings=runner.settings,
            parent_pid=stat.parent_pid,
            server_pid=runner.server_pid,
            user=self._users.owner(status),
            rss_bytes=self._resident(runner, status),
            pss_bytes=memory.pss_bytes,
            file_bytes=kibibytes(status, "RssFile"),
            cpu_percent=self._cpu_percent(_ticks(runner), memory, now),
            thread_count=stat.thread_count,
            read_bytes=_number(io, "read_bytes"),
            major_faults=stat.major_faults,
            model_file_bytes=memory.model_file_bytes,
            ram_limit_bytes=limit.limit_bytes if limit else None,
            ram_limit_group=limit.group if limit else None,
            other_namespace=memory.other_namespace,
            published=memory.reached.urls,
            at_own_address=memory.reached.at_own_address,
            is_read=is_undescribed(runner.kind, runner.settings),
            unreadable=tuple(reasons),
            workers=tuple((one.pid, self._proc.started(one.stat.start_ticks)) for one in runner.workers),
        )

    def _refresh_reached(self, runner: Runner, memory: _Memory, now: float) -> None:
        """Look where one in a container is reached from here that users start themselves."""
        kind = runner_named(runner.kind)
        is_alone = kind.stands_alone and runner.server_pid is None
        if not (memory.other_namespace and is_alone) or now < memory.reached_due_at:
            return
        port = runner.settings.port or kind.default_port
        memory.reached = self._publications.find(runner.pid, () if port is None else (port,), now)
        memory.reached_due_at = now + (PROVEN_SECONDS if memory.reached.urls else REACHED_SECONDS)

    def _model_file_bytes(self, runner: Runner, status: Mapping[str, str]) -> int | None:
        contained = is_contained(self._proc, runner.pid, status)
        root = self._proc.root / str(runner.pid) / "root" if contained else Path("/")
        return model_file_bytes(runner.settings.model_path, root)

    def _resident(self, runner: Runner, status: Mapping[str, str]) -> int | None:
        """Return what it has in RAM, and of the processes that belong to it what they share with nobody."""
        own = kibibytes(status, "VmRSS")
        if own is None:
            return None
        others = (kibibytes(self._table(one.pid, "status", []), "RssAnon") for one in runner.workers)
        return own + sum(size or 0 for size in others)

    def _cpu_percent(self, ticks: Mapping[int, int], memory: _Memory, now: float) -> float | None:
        before, seconds = memory.cpu_ticks, now - memory.looked_at
        memory.cpu_ticks, memory.looked_at = ticks, now
        if before is None or seconds <= 0:
            return None
        used = sum(ticks[pid] - before[pid] for pid in ticks.keys() & before.keys())
        return 100 * used / self._proc.ticks_per_second / seconds if used >= 0 else None

    def _ram_limit(self, pid: int, memory: _Memory, now: float) -> RamLimit | None:
        if now >= memory.limit_due_at:
            memory.ram_limit = ram_limit(self._proc, pid, self._groups)
            memory.limit_due_at = now + LIMIT_SECONDS
        return memory.ram_limit

    def _refresh_pss(self, pids: Sequence[int], memory: _Memory, now: float) -> None:
        if now < memory.pss_due_at:
            return
        reasons: list[str] = []
        began = self._elapsed()
        sizes = [kibibytes(self._table(pid, "smaps_rollup", reasons), "Pss") for pid in pids]
        known = [size for size in sizes if size is not None]
        memory.pss_bytes = sum(known) if len(known) == len(sizes) else None
        memory.pss_reason = next(iter(reasons), None)
        cost_seconds = self._elapsed() - began
        memory.pss_due_at = now + max(PSS_SECONDS, PSS_COST_FACTOR * cost_seconds)

    def _table(self, pid: int, name: str, reasons: list[str]) -> Mapping[str, str]:
        """Return a file of a process; if it cannot be read, nothing, and the reason in ``reasons``."""
        try:
            return self._proc.table(pid, name)
        except OSError as error:
            reasons.append(f"{name}: {reason(error)}")
            return {}


def _ticks(runner: Runner) -> Mapping[int, int]:
    return {runner.pid: runner.stat.cpu_ticks, **{one.pid: one.stat.cpu_ticks for one in runner.workers}}


def kibibytes(table: Mapping[str, str], name: str) -> int | None:
    """Return bytes of a line such as ``VmRSS: 1024 kB``."""
    words = table.get(name, "").split()
    return int(words[0]) * 1024 if len(words) == 2 and words[1] == "kB" and words[0].isdecimal() else None


def _number(table: Mapping[str, str], name: str) -> int | None:
    value = table.get(name, "")
    return int(value) if value.isdecimal() else None
