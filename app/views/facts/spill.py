"""Why a model spills and what would help, in a few words: on its row, and behind the verdict on the whole.

Apart from the page's lines: the dashboard's first frame does without the modules that diagnose.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gpumon.app.diagnosis.diagnosis import Diagnosis, Remedy


def spill_notes(found: Diagnosis | None) -> tuple[str, ...]:
    """Say why a model spills and what would help most, each in a few words."""
    if found is None or found.cause is None or found.cause.kind == "unknown":
        return ()
    return (found.cause.sentence, *map(_short, found.remedies[:1]))


def explanation(found: Diagnosis | None) -> str:
    """Write the same to follow a sentence on the spill: ``; its context is too large: …``."""
    return "".join(f"; {words}" for words in spill_notes(found))


def _short(remedy: Remedy) -> str:
    if remedy.command is None:
        return remedy.sentence
    return f"try {remedy.command}{f' {remedy.where}' if remedy.where else ''}"
