"""One program in a tmux pane: when it shows something, and what it costs from then on."""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import psutil
from benchmarks.programs import Program
from tests.e2e.tmux import Pane

LOOK_SECONDS = 0.02
START_DEADLINE_SECONDS = 15.0
MIB = 1024**2


class Cost(NamedTuple):
    """What one run cost. ``None`` where it could not be told."""

    first_frame_seconds: float | None
    first_figure_seconds: float | None
    cpu_seconds_per_minute: float
    bytes_per_second: float
    resident_mib: float
    threads: int
    wakeups_per_second: float
    driver_calls_per_second: float | None = None
    held_key_cpu_percent: float | None = None


class _Usage(NamedTuple):
    time: float
    cpu_seconds: float
    written_bytes: int
    wakeups: int


async def measure(
    program: Program,
    environment: Mapping[str, str],
    size: tuple[int, int],
    settle_seconds: float,
    seconds: float,
    held_key: str | None,
) -> Cost:
    """Run ``program`` for ``seconds`` after it has settled, then hold a key down for 10 s if one is given."""
    with tempfile.NamedTemporaryFile() as output, Pane(program.command, environment, *size) as pane:
        started = time.monotonic()
        pane.pipe_to(Path(output.name))
        frame = await _seen(pane, program.first_frame, started)
        figure = await _seen(pane, program.first_figure, started)
        await asyncio.sleep(settle_seconds)
        process = psutil.Process(pane.program_pid())
        before = _usage(process, Path(output.name))
        await asyncio.sleep(seconds)
        after = _usage(process, Path(output.name))
        resident, threads = _resident(process) / MIB, process.num_threads()
        held = await _held(pane, process, held_key) if held_key else None
    spent = after.time - before.time
    return Cost(
        first_frame_seconds=frame,
        first_figure_seconds=figure,
        cpu_seconds_per_minute=60 * (after.cpu_seconds - before.cpu_seconds) / spent,
        bytes_per_second=(after.written_bytes - before.written_bytes) / spent,
        resident_mib=resident,
        threads=threads,
        wakeups_per_second=(after.wakeups - before.wakeups) / spent,
        held_key_cpu_percent=held,
    )


def median(costs: list[Cost]) -> Cost:
    """Return the median of every figure; one that a run could not tell is left out."""
    columns = ([value for value in column if value is not None] for column in zip(*costs, strict=True))
    return Cost(*(statistics.median(column) if column else None for column in columns))  # type: ignore[arg-type]


async def _seen(pane: Pane, text: str, started: float) -> float | None:
    while time.monotonic() - started < START_DEADLINE_SECONDS:
        if text in pane.screen():
            return time.monotonic() - started
        await asyncio.sleep(LOOK_SECONDS)
    return None


async def _held(pane: Pane, process: psutil.Process, key: str, seconds: float = 10.0) -> float:
    """Return the share of a core in per cent while ``key`` repeats 30 times a second, as keyboards do."""
    before, started = _cpu_seconds(process), time.monotonic()
    while time.monotonic() - started < seconds:
        pane.press(key)
        await asyncio.sleep(1 / 30)
    return 100 * (_cpu_seconds(process) - before) / (time.monotonic() - started)


def _usage(process: psutil.Process, output: Path) -> _Usage:
    family = [process, *process.children(recursive=True)]
    wakeups = sum(_wakeups(member.pid) for member in family)
    return _Usage(time.monotonic(), _cpu_seconds(process), output.stat().st_size, wakeups)


def _cpu_seconds(process: psutil.Process) -> float:
    """Return the time on a processor of all its threads, to the nanosecond (kernel: sched-stats.rst).

    ``times()`` counts timer ticks: a program that wakes by timer is caught by every one, or by none.
    """
    family = [process, *process.children(recursive=True)]
    files = (file for member in family for file in Path(f"/proc/{member.pid}/task").glob("*/schedstat"))
    running = sum(int(file.read_text().split()[0]) for file in files) / 1e9
    ended = process.cpu_times()  # of its commands that have ended the kernel keeps ticks alone
    return running + ended.children_user + ended.children_system


def _resident(process: psutil.Process) -> int:
    return int(process.memory_info().rss)


def _wakeups(pid: int) -> int:
    """Return how often its threads were woken: every voluntary switch away is followed by one."""
    lines = (
        line
        for task in Path(f"/proc/{pid}/task").iterdir()
        for line in (task / "status").read_text().splitlines()
    )
    return sum(int(line.split()[1]) for line in lines if line.startswith("voluntary_ctxt_switches"))
