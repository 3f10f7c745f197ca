"""Numbers, sizes and times as the logs write them."""

from __future__ import annotations

import re
from datetime import datetime

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
