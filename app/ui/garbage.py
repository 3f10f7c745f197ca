"""Garbage collection: none of what the start has made, as it lives as long as the program."""

from __future__ import annotations

import gc

SETTLED_SECONDS = 3.0
"""From then on all sources are imported and heard."""


def spare_what_lasts() -> None:
    """Let later collections pass over everything that there is now, and allow them.

    A full one would look at some 100,000 objects of modules, classes and widgets for 30 ms, to free none.
    """
    gc.freeze()
    gc.enable()
