"""What polling costs a real llama-server: ``python -m benchmarks.polling_cost``.

Requests of equal length follow each other in groups of four: unpolled, polled, polled, unpolled. Each group
gives one ratio of decode rates by the server's own timings, so that what else the machine does in a minute
falls on both alike. The server's CPU time per token depends less on what else runs, and is given as well.
Polling fifty times as often as the dashboard makes the cost large enough to be told from noise; the last
column brings it back to one poll a second. Prints tables in Markdown. Needs the dependency group ``real``.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import statistics
import tempfile
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import NamedTuple

import psutil
from tests.fakes.llama_server.running import RealServer, assembled_model, completed, real_server

from gpumon.collectors.runners.source import RunnersSource
from gpumon.collectors.runners.target import RunnerTarget
from gpumon.collectors.source import Clock, SystemClock

GROUP = (False, True, True, False)
RESAMPLES = 5000
IDLE_MINUTES = 10
LOG_SECONDS = 0.5
"""The server writes its log from a thread of its own."""


class Run(NamedTuple):
    """One request."""

    tokens_per_second: float
    cpu_seconds_per_token: float
    log_lines: int


class Spread(NamedTuple):
    """A median, and where it would be in 95 of 100 repetitions."""

    median: float
    low: float
    high: float


class Skipping:
    """A clock that is put forward by hand, so that minutes of idling take no minutes."""

    def __init__(self) -> None:
        self.seconds = 1_800_000_000.0

    def now(self) -> float:
        return self.seconds


def main() -> None:
    options = _parser().parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model = assembled_model(Path(folder))
        with real_server(model, "--parallel", "1") as server:
            print(
                "| polled every | groups | decode rate, polled / unpolled | CPU per token, polled / unpolled"
                " | CPU cost of one poll a second |"
            )
            print("|---|---|---|---|---|", flush=True)
            for interval in options.intervals:
                groups = asyncio.run(_groups(server, interval, options))
                print(_row(interval, groups), flush=True)
        with real_server(model, "--parallel", "1") as server:
            print(asyncio.run(_log_table(server, options.tokens)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.polling_cost", description=__doc__)
    parser.add_argument("--groups", type=int, default=15, help="of four requests, for each interval")
    parser.add_argument("--tokens", type=int, default=100, help="of each request")
    parser.add_argument("--intervals", type=float, nargs="+", default=[1.0, 0.02], metavar="SECONDS")
    return parser


async def _groups(server: RealServer, interval: float, options: argparse.Namespace) -> list[list[Run]]:
    source = _source(server, SystemClock())
    await source.poll()
    await completed(server.url, options.tokens)  # warm
    groups = [
        [await _run(server, options.tokens, source if polled else None, interval) for polled in GROUP]
        for _ in range(options.groups)
    ]
    await source.close()
    return groups


async def _run(server: RealServer, tokens: int, source: RunnersSource | None, interval: float) -> Run:
    process, lines = psutil.Process(server.pid), server.log_lines()
    before = process.cpu_times()
    async with _polled(source, interval):
        timings = await completed(server.url, tokens)
    after = process.cpu_times()
    cpu_seconds = after.user + after.system - before.user - before.system
    await asyncio.sleep(LOG_SECONDS)
    return Run(timings["predicted_per_second"], cpu_seconds / tokens, server.log_lines() - lines)


@contextlib.asynccontextmanager
async def _polled(source: RunnersSource | None, interval: float) -> AsyncIterator[None]:
    """Poll from before the context begins to its end; not at all for ``None``."""
    polling = None if source is None else asyncio.create_task(_poll(source, interval))
    try:
        yield
    finally:
        if polling is not None:
            polling.cancel()
            await asyncio.wait({polling})


async def _poll(source: RunnersSource, interval: float) -> None:
    while True:
        await source.poll()
        await asyncio.sleep(interval)


def _source(server: RealServer, clock: Clock) -> RunnersSource:
    """Return what the dashboard polls with; its hint says that the process is at work."""
    target = RunnerTarget(server.pid, 1.0, "llama_server", "127.0.0.1", server.port)
    return RunnersSource(clock, lambda: [target], lambda _pid: True)


def _row(interval: float, groups: Sequence[Sequence[Run]]) -> str:
    rates = [_ratio([run.tokens_per_second for run in group]) for group in groups]
    cpu = [_ratio([run.cpu_seconds_per_token for run in group]) for group in groups]
    cells = [_words(_median(rates)), _words(_median(cpu)), _words(_once_a_second(cpu, interval), " %")]
    return f"| {interval:g} s | {len(groups)} | {' | '.join(cells)} |"


def _once_a_second(ratios: Sequence[float], interval: float) -> Spread:
    """Return the cost of one poll a second in percent, of polls that came every ``interval`` seconds."""
    found = _median(ratios)
    return Spread(*((ratio - 1) * interval * 100 for ratio in found))


def _ratio(figures: Sequence[float]) -> float:
    """Return polled over unpolled within one group."""
    unpolled, polled = _means(figures)
    return polled / unpolled


def _means(figures: Sequence[float]) -> tuple[float, float]:
    """Return the means of the unpolled and of the polled requests of a group."""
    polled = [figure for figure, is_polled in zip(figures, GROUP, strict=True) if is_polled]
    unpolled = [figure for figure, is_polled in zip(figures, GROUP, strict=True) if not is_polled]
    return statistics.mean(unpolled), statistics.mean(polled)


def _median(ratios: Sequence[float]) -> Spread:
    """Return the median and its spread (bootstrap)."""
    draw = random.Random(1)
    medians = sorted(statistics.median(draw.choices(ratios, k=len(ratios))) for _ in range(RESAMPLES))
    low, high = medians[int(0.025 * RESAMPLES)], medians[int(0.975 * RESAMPLES)]
    return Spread(statistics.median(ratios), low, high)


def _words(spread: Spread, unit: str = "") -> str:
    digits = 2 if unit else 4
    return f"{spread.median:.{digits}f}{unit} ({spread.low:.{digits}f} to {spread.high:.{digits}f})"


async def _log_table(server: RealServer, tokens: int) -> str:
    source = _source(server, SystemClock())
    await source.poll()
    await completed(server.url, tokens)
    # Each request adds lines about its prompt cache: in a group this falls on both alike.
    runs = [await _run(server, tokens, source if polled else None, 1.0) for polled in GROUP]
    await source.close()
    unpolled, polled = _means([run.log_lines for run in runs])
    idle = await _idle_lines_per_minute(server)
    return "\n".join(
        [
            "",
            "| lines in the server's log | unpolled | polled every second |",
            "|---|---|---|",
            f"| of one request of {tokens} tokens | {unpolled:.1f} | {polled:.1f} |",
            f"| idle, a minute | 0 | {idle:.1f} |",
        ]
    )


async def _idle_lines_per_minute(server: RealServer) -> float:
    """Return the lines that polling an idle server writes, without any hint: the most that it can be."""
    clock = Skipping()
    target = RunnerTarget(server.pid, 1.0, "llama_server", "127.0.0.1", server.port)
    source = RunnersSource(clock, lambda: [target])
    await source.poll()
    before = server.log_lines()
    for _ in range(IDLE_MINUTES * 60):
        clock.seconds += 1.0
        await source.poll()
    await source.close()
    await asyncio.sleep(LOG_SECONDS)
    return (server.log_lines() - before) / IDLE_MINUTES


if __name__ == "__main__":
    main()
