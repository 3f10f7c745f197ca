"""Follows one log: reads its lines in order and turns what is new in them into samples.

One line alone would be misread:

- Ollama and its llama-server both log the start and the end of one load; up to 0.24 the end is there twice.
- Ollama 0.11 to 0.24 with the llama engine logs an estimate in the words in which its own engine logs what it
  has allocated; what llama.cpp allocates is logged by llama.cpp right after.
- llama-server of 2025 names slot and task once, in a line in front of several timings.
"""

from __future__ import annotations

import contextlib
import grp
import stat
from collections import deque
from pathlib import Path

import msgspec
from msgspec import Struct

from gpumon.collectors.samples import LogEvent, LogSample, SourceHealth
from gpumon.collectors.server_log.lines import Line, split
from gpumon.collectors.server_log.llama_lines import parse_llama, slot_and_task
from gpumon.collectors.server_log.ollama_lines import parse_ollama
from gpumon.collectors.server_log.readers import LONGEST_LINE_BYTES, Entry, Reader
from gpumon.collectors.server_log.vllm_lines import parse_vllm


def event_of(line: Line) -> LogEvent | None:
    """Return what a line says by itself, ``None`` if it says nothing that matters. Never raises."""
    if line.slog:
        return parse_ollama(line.slog)
    event = parse_llama(line.body) or parse_vllm(line.body)
    if event is None or line.port is None:
        return event
    return msgspec.structs.replace(event, port=line.port)


_WRITER_LIMIT = 64
_OWN_ENGINES = ("--ollama-engine", "--mlx-engine", "--imagegen-engine")


class _Load(Struct):
    """The last load of one writer: a server, or a child of a router."""

    announced: bool = False
    """By Ollama, so that what its runner says of start and end is no news."""
    estimated: bool = False
    """Ollama's figures are estimates."""
    end: LogEvent | None = None

    def is_repeated(self, event: LogEvent) -> bool:
        """Return whether this end was logged before; one that has a duration after one without is news."""
        end = self.end
        return (
            end is not None and end.kind == event.kind and (event.seconds is None or end.seconds is not None)
        )


class Assembler:
    """Turns the lines of one log into events."""

    def __init__(self) -> None:
        self._loads: dict[int | None, _Load] = {}
        self._slot_and_task: tuple[int, int] | None = None
        self.lines = 0
        """Not empty, so far."""
        self.familiar = 0
        """Lines of a form that is known."""

    def feed(self, text: str) -> LogEvent | None:
        """Take in the next line and return its event, if it says something new that matters."""
        if not text.strip() or len(text) > LONGEST_LINE_BYTES:
            return None
        line = split(text)
        event = event_of(line)
        self.lines += 1
        self.familiar += line.familiar or event is not None
        if line.slog is None:
            event = self._with_slot(line, event)
        return event if event and self._is_news(line, event) else None

    def _with_slot(self, line: Line, event: LogEvent | None) -> LogEvent | None:
        if event is None:
            self._slot_and_task = slot_and_task(line.body) or self._slot_and_task
            return None
        is_timing = event.kind in ("request_prefill", "request_decode")
        if event.slot is not None or self._slot_and_task is None or not is_timing:
            return event
        slot, task = self._slot_and_task
        return msgspec.structs.replace(event, slot=slot, task=task)

    def _is_news(self, line: Line, event: LogEvent) -> bool:
        if event.kind == "load_started":
            return self._is_new_start(line, event)
        if event.kind in ("load_finished", "load_failed"):
            return self._is_new_end(line, event)
        is_figure = event.kind in ("buffer", "layers_offloaded")
        return not (is_figure and line.slog and self._load(_writer(line, event)).estimated)

    def _is_new_start(self, line: Line, event: LogEvent) -> bool:
        before = self._load(_writer(line, event))
        if line.slog is None and before.announced and before.end is None:
            return False
        self._loads[_writer(line, event)] = _Load(line.slog is not None, _is_estimating(line))
        return True

    def _is_new_end(self, line: Line, event: LogEvent) -> bool:
        load = self._load(_writer(line, event))
        awaits_ollama = line.slog is None and load.announced and load.end is None
        if awaits_ollama or load.is_repeated(event):
            return False
        load.end = event
        return True

    def _load(self, writer: int | None) -> _Load:
        while len(self._loads) > _WRITER_LIMIT:
            del self._loads[next(iter(self._loads))]
        return self._loads.setdefault(writer, _Load())


def _writer(line: Line, event: LogEvent) -> int | None:
    """Return what tells loads apart that go on at once: the port of a router's child or of an MLX runner."""
    is_mlx = line.slog is not None and line.slog.message.startswith(("starting mlx", "mlx"))
    return event.port if line.port is not None or is_mlx else None


def _is_estimating(line: Line) -> bool:
    command = line.slog.fields.get("cmd", "") if line.slog else ""
    return " runner " in command and not any(engine in command for engine in _OWN_ENGINES)


EVENTS_PER_SAMPLE = 500
ENOUGH_LINES = 20
"""So many lines of which none is familiar are another program's, or of a version to come."""
SETTLED_SECONDS = 10.0
"""And so are fewer, of a file that is not written to any more."""

_SERVING = SourceHealth(state="serving")
_NOT_UNDERSTOOD = SourceHealth(
    state="nonsense",
    detail="nothing in it is understood",
    hint="is it the log of Ollama or llama-server? If so, please report its version",
)


_OF_A_LAUNCHER = msgspec.structs.replace(_NOT_UNDERSTOOD, state="idle")
"""Nobody has named it, so nobody waits for what it tells."""


class Place(Struct, frozen=True):
    """A file, or the journal of Ollama's service."""

    path: Path | None = None
    """``None``: the journal."""
    since: float | None = None
    """From when on the journal is wanted, Unix seconds."""
    from_end: bool = False
    """What is in the file already may be of an earlier run."""
    named: bool = False
    """Whether the user has named it. A file that was found may hold what a launcher writes of its own."""
    pid: int | None = None
    """Of the process that writes it, where that holds a model itself."""

    @property
    def source(self) -> str:
        """The ``source`` of its samples."""
        return "log journal ollama" if self.path is None else f"log {self.path}"


class Follower:
    """One place, its reader and what is known of its lines so far."""

    def __init__(self, place: Place, reader: Reader) -> None:
        self.place = place
        self._reader = reader
        self._assembler = Assembler()
        self._events: deque[LogEvent] = deque()
        self._has_told_unknown = False
        self._changed_at: float | None = None

    def read(self, now: float) -> LogSample:
        """Read what is new; failure is data. What is too much for one sample is in the next ones."""
        try:
            entries = self._reader.read() if len(self._events) < EVENTS_PER_SAMPLE else []
        except OSError as error:
            self._reader.close()
            return self._sample(now, trouble(error, self.place))
        self._events.extend(event for entry in entries if (event := self._event(entry)))
        if entries or self._changed_at is None:
            self._changed_at = now
        if not self._is_unknown(now - self._changed_at):
            return self._sample(now, _SERVING)
        return self._sample(now, _NOT_UNDERSTOOD if self.place.named else _OF_A_LAUNCHER)

    def close(self) -> None:
        """Release the file or the journal."""
        self._reader.close()

    def _is_unknown(self, unchanged_seconds: float) -> bool:
        """Whether none of its lines is understood, and there are many of them or no more come."""
        lines = self._assembler.lines
        enough = lines >= ENOUGH_LINES or (lines > 0 and unchanged_seconds >= SETTLED_SECONDS)
        return enough and not self._assembler.familiar

    def _event(self, entry: Entry) -> LogEvent | None:
        event = self._assembler.feed(entry.text)
        if event is None or event.at is not None or entry.at is None:
            return event
        return msgspec.structs.replace(event, at=entry.at)

    def _sample(self, now: float, health: SourceHealth) -> LogSample:
        count = min(len(self._events), EVENTS_PER_SAMPLE)
        events = tuple(self._events.popleft() for _ in range(count))
        is_news = health is _NOT_UNDERSTOOD and not self._has_told_unknown
        self._has_told_unknown = self._has_told_unknown or is_news
        return LogSample(
            time=now,
            source=self.place.source,
            health=health,
            events=events,
            unknown_format=is_news,
            pid=self.place.pid,
        )


_SYSTEMD_GROUP = "systemd-journal"


def trouble(error: OSError, place: Place) -> SourceHealth:
    """Return the state of a place that could not be read."""
    return _file_trouble(error, place.path) if place.path else _journal_trouble(error)


def _file_trouble(error: OSError, path: Path) -> SourceHealth:
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return SourceHealth(state="absent", detail=f"no such file: {path}")
    if isinstance(error, PermissionError):
        return SourceHealth(state="forbidden", detail=f"permission denied: {path}", hint=_hint(path))
    return SourceHealth(state="failing", detail=f"{_reason(error)}: {path}")


def _journal_trouble(error: OSError) -> SourceHealth:
    if isinstance(error, PermissionError):
        detail = "permission denied: the journal of ollama.service"
        return SourceHealth(state="forbidden", detail=detail, hint=_join(_SYSTEMD_GROUP))
    if isinstance(error, FileNotFoundError):
        return SourceHealth(state="absent", detail="no system journal is kept here")
    return SourceHealth(
        state="absent",
        detail=f"the journal cannot be read: {_reason(error)}",
        hint="journalctl -fu ollama -o cat > FILE, and name FILE in log_files of the settings",
    )


def _reason(error: OSError) -> str:
    return error.strerror or "libsystemd.so.0 cannot be loaded"


def _hint(path: Path) -> str:
    """Name the group that may read the file, or enter the directory that is in its way."""
    group = _group_that_may(path)
    return _join(group) if group else "run gpumon as the user who runs the server"


def _join(group: str) -> str:
    return f"add yourself to group {group} (sudo usermod -aG {group} $USER) and log in again"


def _group_that_may(path: Path) -> str | None:
    """Return the group of the first thing in the way, ``None`` if its group may not either."""
    for part in (path, *path.parents):
        with contextlib.suppress(OSError, KeyError):
            status = part.stat()
            needed = stat.S_IRGRP if part == path else stat.S_IXGRP
            return grp.getgrgid(status.st_gid).gr_name if status.st_mode & needed else None
    return None
