"""What is wrong with a setting, in one line."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

from gpumon.app.errors import GpumonError

_KINDS = {
    "bool": "true or false",
    "int": "a whole number",
    "float": "a number",
    "str": "text in quotes",
    "array": "a list",
    "object": "a table",
}
_BOUNDS = {">=": "at least", "<=": "at most"}


class ConfigError(GpumonError):
    """A setting that cannot be used; names its place and its key."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ``; did you mean "x"?`` for the known word that looks like ``word``, or nothing."""
    close = difflib.get_close_matches(word, tuple(known), n=1)
    return f'; did you mean "{close[0]}"?' if close else ""


def problem(said: str) -> str:
    """Say in plain words what msgspec's validation ``said`` about a value."""
    if found := re.match(r"Expected `([^`]+)`, got `(\w+)`", said):
        return f"expected {_kind(found[1])}, got {_kind(found[2])}"
    if found := re.match(r"Expected `\w+` (>=|<=) (\S+)", said):
        return f"must be {_BOUNDS[found[1]]} {found[2]}"
    if "of length" in said:
        return "must not be empty"
    return said.split(" - at ", maxsplit=1)[0]


def _kind(types: str) -> str:
    first = types.split(" | ", maxsplit=1)[0]
    return _KINDS.get(first, first)
