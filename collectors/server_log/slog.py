"""Lines of Go's ``slog.TextHandler``: ``time=… level=… msg="…" key=value``, as Ollama writes them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from gpumon.collectors.server_log.units import unix_seconds

_FIELD_LIMIT = 128
_PAIR = re.compile(r' *("(?:[^"\\]|\\.)*"|[^\s="]+)=("(?:[^"\\]|\\.)*"|\S*)')
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r"}


class Slog(NamedTuple):
    """One line, taken apart."""

    at: float | None
    """Unix seconds."""
    level: str
    message: str
    fields: Mapping[str, str]

    @property
    def is_debug(self) -> bool:
        """Tell whether it is shown with ``OLLAMA_DEBUG`` alone: drafts of a layout, mostly."""
        return self.level.startswith(("DEBUG", "TRACE"))


def parse_slog(line: str) -> Slog | None:
    """Take a line apart; ``None`` if it is none of these. Of a key given twice the first counts."""
    if not line.startswith("time="):
        return None
    fields = _pairs(line)
    if "msg" not in fields:
        return None
    return Slog(unix_seconds(fields["time"]), fields.get("level", ""), fields["msg"], fields)


def _pairs(line: str) -> dict[str, str]:
    """Return keys and values up to the first thing that is no pair."""
    fields: dict[str, str] = {}
    position = 0
    for _ in range(_FIELD_LIMIT):
        pair = _PAIR.match(line, position)
        if pair is None:
            break
        fields.setdefault(_unquoted(pair[1]), _unquoted(pair[2]))
        position = pair.end()
    return fields


def _unquoted(text: str) -> str:
    if not text.startswith('"'):
        return text
    return _ESCAPE.sub(lambda escape: _ESCAPED.get(escape[1], escape[1]), text[1:-1])
