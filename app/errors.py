"""The errors that end the program with one line for the user, and words that they share."""

from __future__ import annotations

from collections.abc import Iterable


class GpumonError(Exception):
    """Something the user can put right; its text is one line, ready for the terminal."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ``; did you mean "x"?`` for the known word that looks like ``word``, or nothing."""
    from difflib import get_close_matches  # noqa: PLC0415 - only where something is wrong

    close = get_close_matches(word, tuple(known), n=1)
    return f'; did you mean "{close[0]}"?' if close else ""
