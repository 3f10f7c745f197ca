"""Takes the prefix off a line and tells which program's it is."""

from __future__ import annotations

import re
from typing import NamedTuple

from gpumon.collectors.server_log.slog import Slog, parse_slog

_ROUTER_CHILD = re.compile(r"\[(\d{1,5})\] ", re.ASCII)
_STAMP = re.compile(r"\d+\.\d\d\.\d{3}\.\d{3} [A-Z] ", re.ASCII)
_OTHER_FAMILIAR = re.compile(
    r"\[GIN\] |(?:srv|slot|que|cmn) +\w+[:(]|(?:llama|ggml|gguf|load|common|sched|clip|print_info)\w*: ",
    re.ASCII,
)


class Line(NamedTuple):
    """One line without its prefix."""

    body: str
    port: int | None
    """Of the router's child that wrote it."""
    slog: Slog | None
    """Set if Ollama wrote it, or one of its own engines."""
    familiar: bool
    """It has a form that is known, whether or not it says something that matters."""


def split(text: str) -> Line:
    """Take a line apart: ``[port] M.SS.mmm.uuu L message`` of llama-server, all but the message optional."""
    text = text.rstrip("\r\n")
    child = _ROUTER_CHILD.match(text)
    body = text[child.end() :] if child else text
    stamp = _STAMP.match(body)
    body = body[stamp.end() :] if stamp else body
    slog = parse_slog(body)
    familiar = bool(slog or stamp or _OTHER_FAMILIAR.match(body))
    return Line(body, int(child[1]) if child else None, slog, familiar)
