"""Takes a line of a log apart: what other programs put in front of it, its writer, its fields and numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

import msgspec

_ROUTER_CHILD = re.compile(r"\[(\d{1,5})\] ", re.ASCII)
_STAMP = re.compile(r"\d+\.\d\d\.\d{3}\.\d{3} [A-Z] ", re.ASCII)
_OTHER_FAMILIAR = re.compile(
    r"\[GIN\] |(?:\([\w:]{1,40} pid=\d{1,10}\) )?(?:DEBUG|INFO|WARNING|ERROR) \d\d-\d\d \d\d:\d\d:\d\d "
    r"|(?:srv|slot|que|cmn) +\w+[:(]|(?:llama|ggml|gguf|load|common|sched|clip|print_info)\w*: ",
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
    """Take a line apart, without what other programs have put in front of it."""
    text = text.rstrip("\r\n")
    line = _apart(text)
    if line.familiar:
        return line
    bare = without_prefixes(text)
    return line if bare == text else _apart(bare)


_TERMINAL_CODES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)")
_CLOCK = r"\d{1,2}:\d\d:\d\d"
_ISO = rf"\d{{4}}-\d\d-\d\d[T ]{_CLOCK}(?:[.,]\d{{1,9}})?(?:Z|[+-]\d\d:?\d\d)?"
_TAG = r"[\w.@/()-]{1,64}"
_PREFIXES = tuple(
    re.compile(pattern, re.ASCII)
    for pattern in (
        # The journal and syslog, in any language, short to full, with or without host and zone; the longest
        # day and month are those of "Mon 2026-11-30", the tag is a program or a unit.
        rf"[^:=|]{{0,40}}{_CLOCK}[^\s=]*(?: [^\s:=|]{{1,64}}){{0,3}} {_TAG}\[\d{{1,10}}\]: ?",
        rf"[^:=|]{{0,40}}{_CLOCK}[^\s=]* [^\s:=|]{{1,64}} (?:ollama|llama-s)[\w.@-]{{0,32}}: ?",
        rf"(?:\[ *\d+\.\d{{6}}\]|\d{{9,12}}\.\d{{6}})(?: [^\s:=|]{{1,64}})? {_TAG}\[\d{{1,10}}\]: ?",
        # Container runtimes (kubelet's CRI), kubectl logs --prefix, docker compose, docker logs -t
        rf"{_ISO} (?:stdout|stderr) [FP] ?",
        r"\[pod/[^\]\s]{1,253}\] ",
        r"[\w.-]{1,64} +\| ?",
        rf"{_ISO} ",
        # A pasted listing with its numbers: cat -n, grep -n, nl
        r" *\d{1,7}(?:\t|[:|.)] ?| \| ?| {1,4}(?=\S))",
    )
)
_MOST_PREFIXES = 6
_MESSAGES: msgspec.json.Decoder[dict[str, object]] = msgspec.json.Decoder(dict[str, object])
_MESSAGE_KEYS = ("log", "MESSAGE", "message", "line")
"""Where a line of JSON holds the line that was written: Docker's json-file, journalctl, shippers."""


def without_prefixes(text: str) -> str:
    """Return a line as its program wrote it, before a journal, a container or a paste was put around it."""
    text = _TERMINAL_CODES.sub("", text)
    for _ in range(_MOST_PREFIXES):
        if _apart(text).familiar:
            break
        bare = _without_one(text)
        if bare == text:
            break
        text = bare
    return text


def _without_one(text: str) -> str:
    if text.startswith("{"):
        return _message_in(text) or text
    found = next((match for prefix in _PREFIXES if (match := prefix.match(text))), None)
    return text[found.end() :] if found else text


def _message_in(text: str) -> str | None:
    try:
        fields = _MESSAGES.decode(text)
    except (ValueError, RecursionError):
        return None
    said = next((value for key in _MESSAGE_KEYS if isinstance(value := fields.get(key), str)), None)
    return None if said is None else _TERMINAL_CODES.sub("", said.rstrip("\r\n"))


def _apart(text: str) -> Line:
    """Take a bare line apart: ``[port] M.SS.mmm.uuu L message`` of llama-server; only the message must be."""
    child = _ROUTER_CHILD.match(text)
    body = text[child.end() :] if child else text
    stamp = _STAMP.match(body)
    body = body[stamp.end() :] if stamp else body
    slog = parse_slog(body)
    familiar = bool(slog or stamp or _OTHER_FAMILIAR.match(body))
    return Line(body, int(child[1]) if child else None, slog, familiar)


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
        """Return whether it is shown with ``OLLAMA_DEBUG`` alone: drafts of a layout, mostly."""
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


_SCALES = {
    "B": 1,
    "KB": 1000,
    "MB": 1000**2,
    "GB": 1000**3,
    "TB": 1000**4,
    "KiB": 1024,
    "MiB": 1024**2,
    "GiB": 1024**3,
    "TiB": 1024**4,
}
_SIZE = re.compile(r"(\d{1,12}(?:\.\d{1,6})?) ?([KMGT]i?B|B)", re.ASCII)
_WHOLE = re.compile(r"\d{1,15}", re.ASCII)
_DECIMAL = re.compile(r"\d{1,15}(?:\.\d{1,9})?", re.ASCII)


def size_bytes(text: str) -> int | None:
    """Return bytes of ``15.5 GiB`` (ollama: ``format.HumanBytes2``) or ``512.00 MiB`` (llama.cpp)."""
    found = _SIZE.fullmatch(text.strip())
    return round(float(found[1]) * _SCALES[found[2]]) if found else None


def sum_of_sizes(text: str) -> int | None:
    """Return the sum of ``[17.8 GiB 22.1 GiB]``, one size for each GPU."""
    sizes = [round(float(number) * _SCALES[unit]) for number, unit in _SIZE.findall(text)]
    return sum(sizes) if sizes else None


def whole(text: str | None) -> int | None:
    """Return a count; ``None`` for anything else, a negative number too."""
    return int(text) if text is not None and _WHOLE.fullmatch(text) else None


def decimal(text: str | None) -> float | None:
    """Return a number without a sign; ``None`` for anything else."""
    return float(text) if text is not None and _DECIMAL.fullmatch(text) else None


def unix_seconds(text: str) -> float | None:
    """Return seconds since the epoch of an RFC 3339 time; ``None`` for one without a zone."""
    try:
        moment = datetime.fromisoformat(text)
        return moment.timestamp() if moment.tzinfo else None
    except (ValueError, OverflowError):
        return None
