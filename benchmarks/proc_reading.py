"""What our own reading of /proc saves against psutil, question by question.

Run it as ``python -m benchmarks.proc_reading``. ``collectors/processes/proc.py`` reads by hand what psutil
reads too. The reason is this ratio: these questions are asked of every process, or of every runner once a
second. What is asked seldom goes through psutil.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from gpumon.collectors.processes.proc import Proc

ROUNDS = 400


def microseconds(ask: Callable[[], object]) -> float:
    """Return the least time of one call out of five runs of ``ROUNDS``."""
    best = float("inf")
    for _ in range(5):
        started = time.perf_counter()
        for _ in range(ROUNDS):
            ask()
        best = min(best, (time.perf_counter() - started) / ROUNDS)
    return best * 1e6


def questions(pid: int) -> dict[str, tuple[Callable[[], object], Callable[[], object]]]:
    """Return by what is asked: how we ask, and how psutil is asked for the same."""
    proc = Proc(Path("/proc"))

    def by_psutil() -> object:
        process = psutil.Process(pid)
        with process.oneshot():
            return (
                process.name(),
                process.ppid(),
                process.cpu_times(),
                process.num_threads(),
                process.create_time(),
            )

    return {
        "name, parent, CPU, threads, start": (lambda: proc.stat(pid), by_psutil),
        "command line": (lambda: proc.command_line(pid), lambda: psutil.Process(pid).cmdline()),
        "environment": (lambda: proc.environment(pid), lambda: psutil.Process(pid).environ()),
        "children": (lambda: proc.children(pid), lambda: psutil.Process(pid).children()),
    }


def main() -> None:
    """Print a line for each question."""
    print(f"{'':36}{'by hand':>12}{'psutil':>12}{'ratio':>8}")
    for question, (ours, theirs) in questions(os.getpid()).items():
        hand, library = microseconds(ours), microseconds(theirs)
        print(f"{question:36}{hand:9.1f} us{library:9.1f} us{library / hand:8.1f}")


if __name__ == "__main__":
    main()
