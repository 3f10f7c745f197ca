"""What a file and the journal have in common: lines, read a bounded number of bytes at a time."""

from __future__ import annotations

from typing import NamedTuple, Protocol

BYTES_PER_READ = 256 * 1024
"""So that a poll is short, however much was written since the last one."""


class Entry(NamedTuple):
    """One line."""

    text: str
    at: float | None = None
    """When it was written, Unix seconds, where the place knows it apart from the line."""


class Reader(Protocol):
    """Reads what is new in one place; used from one thread."""

    def read(self) -> list[Entry]:
        """Return lines that are new and whole; raise ``OSError`` where they cannot be read."""
        ...

    def close(self) -> None:
        """Release what is held."""
        ...
