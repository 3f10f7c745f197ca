"""What keeping the history costs: ``python -m benchmarks.history [SCENARIO …] [--hours N]``.

Plays the stories of ``gpumon demo`` through a monitor, as fast as that goes, once without and once with a
history, and prints a table in Markdown: processor time of each, what was written to the disk, and by how much
the file and the memory have grown.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

from gpumon.app.alerts.limits import Limits
from gpumon.app.demo.scenarios import scenario_named
from gpumon.app.history.file import Bounds
from gpumon.app.history.gather import Clocks, Gatherer
from gpumon.app.history.keeper import HistoryKeeper
from gpumon.app.history.live import this_run
from gpumon.app.history.reader import History
from gpumon.app.history.rows import Span
from gpumon.app.monitor import Monitor

DAY_SECONDS = 86_400


class Cost(NamedTuple):
    cpu_seconds: float
    written_bytes: int
    file_bytes: int
    memory_bytes: int


def played_alone(name: str, hours: float, path: Path | None) -> Cost:
    """Play a story in a process of its own, whose memory nothing else has grown."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        return process.submit(played, name, hours, path).result()


def played(name: str, hours: float, path: Path | None) -> Cost:
    """Play a story, and keep its history where a path is given."""
    began = time.time() - hours * 3600
    now = began
    monitor, written = Monitor(Limits()), _written_bytes()
    clocks = Clocks(lambda: now, lambda: now)
    keeper = (
        HistoryKeeper(path, this_run("benchmark", clocks), Bounds(90 * DAY_SECONDS, 2**40)) if path else None
    )
    if keeper is not None:
        monitor.listen(Gatherer(monitor, keeper.put, clocks).on_sample)
    memory, cpu = _memory_bytes(), time.process_time()
    for sample in scenario_named(name).samples(began, {}):
        if sample.time > began + hours * 3600:
            break
        now = sample.time
        monitor.feed(sample)
    if keeper is not None:
        keeper.close()
        assert keeper.trouble() is None, keeper.trouble()
    spent, grown = time.process_time() - cpu, _memory_bytes() - memory
    size = sum(one.stat().st_size for one in path.parent.glob(f"{path.name}*")) if path else 0
    return Cost(spent, _written_bytes() - written, size, grown)


def _written_bytes() -> int:
    """Return what this process has had written to storage so far; tmpfs does not count."""
    lines = Path("/proc/self/io").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("write_bytes:"))


def _memory_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scenarios", nargs="*", default=["spill", "fleet", "pictures"])
    parser.add_argument("--hours", type=float, default=2.0)
    parser.add_argument("--keep", type=Path, help="leave the files in this folder")
    options = parser.parse_args()
    minutes = options.hours * 60
    print(f"{os.cpu_count()} processors, {options.hours:g} hours of each story\n")
    print(
        "| story | without, ms a minute | with | written, KiB a minute | file, KiB a minute | MiB of memory |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name in options.scenarios:
        bare = played_alone(name, options.hours, None)
        with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
            path = (options.keep or Path(folder)) / f"{name}.db"
            kept = played_alone(name, options.hours, path)
            rows = _rows(path)
        print(
            f"| {name} | {bare.cpu_seconds * 1000 / minutes:.0f} | {kept.cpu_seconds * 1000 / minutes:.0f} "
            f"| {kept.written_bytes / 1024 / minutes:.1f} | {kept.file_bytes / 1024 / minutes:.1f} "
            f"| {(kept.memory_bytes - bare.memory_bytes) / 2**20:.1f} | {rows} |"
        )


def _rows(path: Path) -> str:
    span = Span(0, float("inf"))
    with History.open(path) as history:
        counts = {
            "model minutes": len(history.model_minutes(span)),
            "GPU minutes": len(history.gpu_minutes(span)),
            "requests": len(history.requests(span)),
            "loads": len(history.loads(span)),
            "events": len(history.events(span)),
        }
    return ", ".join(f"{count} {what}" for what, count in counts.items())


if __name__ == "__main__":
    main()
