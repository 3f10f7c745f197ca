"""Names from outside, in fewer words."""

from __future__ import annotations


def short_gpu_name(name: str) -> str:
    """Leave out the words that every card of the maker bears: ``RTX 4090``."""
    return name.removeprefix("NVIDIA ").removeprefix("GeForce ")
