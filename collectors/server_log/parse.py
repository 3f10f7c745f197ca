"""One line of a server's log to one event."""

from __future__ import annotations

import msgspec

from gpumon.collectors.samples import LogEvent
from gpumon.collectors.server_log.lines import Line
from gpumon.collectors.server_log.llama_lines import parse_llama
from gpumon.collectors.server_log.ollama_lines import parse_ollama

LONGEST_LINE_BYTES = 64 * 1024
"""A longer line is skipped."""


def event_of(line: Line) -> LogEvent | None:
    """Return what a line says by itself, ``None`` if it says nothing that matters. Never raises."""
    if line.slog:
        return parse_ollama(line.slog)
    event = parse_llama(line.body)
    if event is None or line.port is None:
        return event
    return msgspec.structs.replace(event, port=line.port)
