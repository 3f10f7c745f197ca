"""The few series that are wanted of a Prometheus exposition (text format 0.0.4), read without trust.

A whole answer is hundreds of lines, most of them histograms, and is read once a second: a line of another
name costs no more than a look at its beginning. What is no number, or cannot be one, is left out.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from typing import NamedTuple

MOST_SERIES = 2000
"""Of the wanted names; more is no answer of a server of models."""
LONGEST_LINE = 8192
_NAME = re.compile(rb"[a-zA-Z_:][a-zA-Z0-9_:]{0,255}")
_LABEL = re.compile(r'\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*=\s*"((?:[^"\\]|\\.)*)"\s*,?')
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPED = {"n": "\n", "\\": "\\", '"': '"'}
_VALUE = re.compile(r"\s*([-+0-9.eE]{1,64})(?:\s|\Z)")


class Series(NamedTuple):
    """One line: a name, its labels and a finite number."""

    name: str
    labels: Mapping[str, str]
    value: float


def read_series(body: bytes, wanted: Collection[str]) -> list[Series]:
    """Return the series with one of the ``wanted`` names, in the order in which they stand; never raises."""
    found: list[Series] = []
    names = {name.encode(): name for name in wanted}
    for line in body.split(b"\n"):
        match = _NAME.match(line)
        name = names.get(match.group()) if match else None
        if match is None or name is None or len(line) > LONGEST_LINE:
            continue
        series = _series(name, line[match.end() :].decode("utf-8", "replace"))
        if series is not None:
            found.append(series)
        if len(found) >= MOST_SERIES:
            break
    return found


def _series(name: str, rest: str) -> Series | None:
    """Read labels and number; a time behind the number, or an exemplar, is not looked at."""
    labels: dict[str, str] = {}
    at = 0
    if rest.startswith("{"):
        at = 1
        while label := _LABEL.match(rest, at):
            labels[label[1]] = _ESCAPE.sub(_unescaped, label[2])
            at = label.end()
        closing = rest.find("}", at)
        if closing < 0 or rest[at:closing].strip():
            return None
        at = closing + 1
    number = _VALUE.match(rest, at)
    value = _finite(number[1]) if number else None
    return None if value is None else Series(name, labels, value)


def _unescaped(escape: re.Match[str]) -> str:
    return _ESCAPED.get(escape[1], escape[0])


def _finite(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
