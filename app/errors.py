"""The errors that end the program with one line for the user."""

from __future__ import annotations


class GpumonError(Exception):
    """Something the user can put right; its text is one line, ready for the terminal."""
