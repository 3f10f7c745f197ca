"""What can be wrong with a model's file."""

from __future__ import annotations


class GgufError(Exception):
    """A file that is no GGUF file, or a damaged one; its text says in one line what is wrong."""
