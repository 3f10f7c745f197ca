"""Reads lines in order, where one line alone would be misread.

- Ollama and its llama-server both log the start and the end of one load; up to 0.24 the end is there twice.
- Ollama 0.11 to 0.24 with the llama engine logs an estimate in the words in which its own engine logs what it
  has allocated; what llama.cpp allocates is logged by llama.cpp right after.
- llama-server of 2025 names slot and task once, in a line in front of several timings.
"""

from __future__ import annotations

import msgspec
from msgspec import Struct

from gpumon.collectors.samples import LogEvent
from gpumon.collectors.server_log.lines import Line, split
from gpumon.collectors.server_log.llama_lines import slot_and_task
from gpumon.collectors.server_log.parse import LONGEST_LINE_BYTES, event_of

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
        """Tell whether this end was logged before; one that has a duration after one without is news."""
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
        """Take the next line and return its event, if it says something new that matters."""
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
