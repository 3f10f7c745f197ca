"""The waits of the live program cut to fractions of a second: a matrix of hundreds of cells runs in a minute.

Changes modules for good: for a process of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from tests.fakes.processes.tree import FakeProc

from gpumon.app.feeds import live
from gpumon.app.ui import app
from gpumon.collectors import source as sources
from gpumon.collectors.http import client
from gpumon.collectors.nvml import device
from gpumon.collectors.nvml import source as nvml_source
from gpumon.collectors.processes.proc import Proc
from gpumon.collectors.samples import AnySample
from gpumon.collectors.servers import conversation
from gpumon.collectors.servers.ollama import pace, server
from gpumon.collectors.source import Clock, Emit, Source

POLLS: Counter[str] = Counter()
"""Polls that were begun, by source."""
INTERVAL_SECONDS = 0.05
LATE_SECONDS = 0.2
"""A poll that takes longer is reported."""
REQUEST_SECONDS = 0.8
"""After so long a request gives up: long enough for a fake that shares this process with all else."""
DRAW_SECONDS = 1.0
"""Between two pictures but those that are asked for: with 1,000 models one takes a third of a second."""


def alone(folder: Path) -> None:
    """Let no process of this machine be seen: tests beside this one start servers, too."""
    root, begin = FakeProc(folder / "proc").root, Proc.__init__

    def elsewhere(proc: Proc, _root: Path = root) -> None:
        begin(proc, root)

    Proc.__init__ = elsewhere  # type: ignore[method-assign, assignment]


def hurry() -> None:
    """Shorten every wait that a fault would otherwise have to outlast."""
    sources.SILENT_AFTER_SECONDS = LATE_SECONDS
    sources.Cadence.MINIMUM = INTERVAL_SECONDS
    live.QUIET_INTERVAL_SECONDS = INTERVAL_SECONDS
    live.HEAD_START_SECONDS = 0.0
    live.PAUSE_SECONDS = INTERVAL_SECONDS
    conversation.FORBIDDEN_SECONDS = conversation.KEYLESS_SECONDS = INTERVAL_SECONDS
    pace.LOOPBACK_CAP_SECONDS = pace.IDLE_MINIMUM_SECONDS = INTERVAL_SECONDS
    pace.IDLE_FACTOR = 1.0
    server.VERSION_SECONDS = INTERVAL_SECONDS
    device.SELDOM_SECONDS = device.SLOW_SECONDS = INTERVAL_SECONDS
    nvml_source._RETRY_FIRST_SECONDS = nvml_source._RETRY_MOST_SECONDS = INTERVAL_SECONDS
    app.SHORTEST_SECONDS = app.GATHER_SECONDS = DRAW_SECONDS
    brief = partial(client.TimeLimits, connect=LATE_SECONDS, total=REQUEST_SECONDS, probe=REQUEST_SECONDS)
    client.TimeLimits = brief  # type: ignore[assignment, misc]
    sources._watched_poll = _counted


_watched_poll = sources._watched_poll


async def _counted(source: Source, emit: Emit, clock: Clock) -> Sequence[AnySample]:
    POLLS[source.name] += 1
    return await _watched_poll(source, emit, clock)
