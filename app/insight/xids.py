"""Xid errors in words, as NVIDIA's catalogue of them has it (docs.nvidia.com/deploy/xid-errors)."""

from __future__ import annotations

from typing import NamedTuple

from gpumon.app.state.records import XidError
from gpumon.text import units

OF_PROGRAMS = frozenset({8, 13, 31, 43, 45, 68, 69, 109})
"""Mostly the fault of a program, which ends; the GPU goes on (most as NVIDIA's device plugin takes them)."""

WORDS = {
    8: "stopped processing",
    13: "a program caused a graphics engine exception",
    31: "a program touched memory that is not its own (page fault)",
    32: "invalid or corrupted command stream",
    38: "driver firmware error",
    43: "a program's work was stopped",
    45: "a program's work was cleaned up after an error, or as it was killed",
    48: "double-bit ECC error in its memory",
    61: "internal microcontroller stopped",
    62: "internal microcontroller halted",
    63: "a bad part of its memory is retired or remapped",
    64: "a bad part of its memory could not be retired or remapped",
    69: "a program caused a graphics engine class error",
    74: "NVLink error",
    79: "has fallen off the bus",
    92: "many single-bit ECC errors",
    94: "contained memory error: the program that had it ends",
    95: "uncontained memory error",
    109: "a program took too long to switch (context switch timeout)",
    119: "its system processor (GSP) does not answer",
    120: "error of its system processor (GSP)",
    140: "ECC error that was not recovered from",
    154: "it needs a reset, or the machine a reboot",
}
"""What is known of the more frequent ones, without the name of the GPU."""


class XidWords(NamedTuple):
    """An Xid error, ready to draw."""

    short: str
    """``Xid 79``."""
    whole: str
    """``Xid 79: has fallen off the bus``; the number alone of one that is not known here."""


def xid_words(number: int) -> XidWords:
    """Put the number of an Xid error into words."""
    short, words = f"Xid {number}", WORDS.get(number)
    return XidWords(short, short if words is None else f"{short}: {words}")


def xid_line(error: XidError) -> str:
    """Say what was reported, when, and how often: ``Xid 31: …, 14:02:11, 3 times``."""
    often = f", {error.times} times" if error.times > 1 else ""
    return f"{xid_words(error.number).whole}, {units.clock(error.last)}{often}"
