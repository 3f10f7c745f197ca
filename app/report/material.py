"""The rows that a report is made of: out of the history, or out of a recording."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path

from msgspec import Struct

from gpumon.app.alerts.limits import Limits
from gpumon.app.history.file import HistoryFile, NewRow, Run
from gpumon.app.history.gather import Clocks, Gatherer
from gpumon.app.history.printed import redacted
from gpumon.app.history.reader import History
from gpumon.app.history.rows import (
    GpuMinute,
    Load,
    MachineMinute,
    ModelMinute,
    Request,
    Row,
    Span,
    Trouble,
)
from gpumon.app.monitor import Monitor
from gpumon.app.recording.lines import Header
from gpumon.app.recording.reader import Recording

BATCH_ROWS = 5000


class Material(Struct, frozen=True, kw_only=True):
    """What is known of a span."""

    span: Span
    machine_minutes: Sequence[MachineMinute] = ()
    model_minutes: Sequence[ModelMinute] = ()
    gpu_minutes: Sequence[GpuMinute] = ()
    requests: Sequence[Request] = ()
    loads: Sequence[Load] = ()
    troubles: Sequence[Trouble] = ()

    @property
    def is_empty(self) -> bool:
        """Whether nobody watched."""
        return not (self.machine_minutes or self.model_minutes or self.gpu_minutes or self.requests)


def from_history(history: History, spans: Sequence[Span], *, redact: bool = False) -> list[Material]:
    """Read spans of the history; a name has the same stand-in in each."""
    kept = [[*_rows(history, span)] for span in spans]
    rows = chain.from_iterable(kept)
    shown = redacted(rows, history) if redact else rows
    return [_material(span, [*islice(shown, len(own))]) for span, own in zip(spans, kept, strict=True)]


def _rows(history: History, span: Span) -> Iterator[Row]:
    """Yield all that is kept of a span."""
    yield from history.machine_minutes(span)
    yield from history.model_minutes(span)
    yield from history.gpu_minutes(span)
    yield from history.requests(span)
    yield from history.loads(span)
    yield from history.troubles(span)


def _material(span: Span, rows: Sequence[Row]) -> Material:
    return Material(
        span=span,
        machine_minutes=[row for row in rows if isinstance(row, MachineMinute)],
        model_minutes=[row for row in rows if isinstance(row, ModelMinute)],
        gpu_minutes=[row for row in rows if isinstance(row, GpuMinute)],
        requests=[row for row in rows if isinstance(row, Request)],
        loads=[row for row in rows if isinstance(row, Load)],
        troubles=[row for row in rows if isinstance(row, Trouble)],
    )


Tell = Callable[[float], None]
"""Is told how much is done, 0 to 1."""


class Replay:
    """What a recording would have left in the history of whoever made it.

    Only our own process sees the file that it is kept in, and it goes when this is closed.
    """

    def __init__(self, recording: Recording, limits: Limits) -> None:
        self._recording = recording
        self._limits = limits
        self._folder = tempfile.TemporaryDirectory(prefix="gpumon-")
        self.path = Path(self._folder.name) / "history.db"

    def __enter__(self) -> Replay:
        return self

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()

    def gather(self, span: Span, tell: Tell) -> None:
        """Play a span of the recording, from what was known where it begins."""
        landing = self._recording.landing(span.start, 0)
        items = self._recording.items() if landing is None else self._recording.items(landing.place)
        run = _PlayedRun(self.path, self._limits, self._recording.header, 0)
        for sample in landing.samples if landing else ():
            run.monitor.feed(sample)
        runs = 1
        for item in items:
            if isinstance(item, Header):
                run.close()
                run, runs = _PlayedRun(self.path, self._limits, item, runs), runs + 1
            elif item.time >= span.end:
                break
            else:
                run.monitor.feed(item)
                tell(items.done)
        run.close()


class _PlayedRun:
    """One run of a recording, gathered as a live one is."""

    def __init__(self, path: Path, limits: Limits, header: Header, number: int) -> None:
        self.monitor = Monitor(limits)
        self._rows: list[NewRow] = []
        self._file = HistoryFile(
            path,
            Run(
                session_id=f"recording {number}",
                boot_id=None,
                host=header.host,
                gpumon_version=header.version or None,
                command="record",
                started=header.created,
                started_monotonic=header.created,
            ),
        )
        self._gatherer = Gatherer(self.monitor, self._put, Clocks(self._now, self._now))
        self.monitor.listen(self._gatherer.on_sample, "report")

    def close(self) -> None:
        """Write what is left."""
        if self.monitor.revision:
            self._gatherer.close()
        self._write()
        self._file.close()

    def _now(self) -> float:
        return self.monitor.state.now

    def _put(self, rows: Sequence[NewRow]) -> None:
        self._rows += rows
        if len(self._rows) >= BATCH_ROWS:
            self._write()

    def _write(self) -> None:
        self._file.write(self._rows, self._now())
        self._rows = []
