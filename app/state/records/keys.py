"""Identities: of a loaded model, and of a process."""

from __future__ import annotations

from typing import NamedTuple


class ModelKey(NamedTuple):
    """Identity of a loaded model: the server, and the manifest's digest (the name where there is none)."""

    source: str
    """The server's URL; ``process PID`` of a llama-server in a container, whose URL is not known."""
    digest: str


class RunnerKey(NamedTuple):
    """Identity of a process: the PID alone is used again."""

    pid: int
    started: float
