"""Models that are loaded again and again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tests.fakes.process_samples import BLOB, OTHER_BLOB
from tests.scene.machine import Machine
from tests.scene.models import Model

LATER = 3600.0


def again(
    times: int,
    *,
    every: float = 60.0,
    expires: float | None = None,
    settings: Sequence[Mapping[str, Any]] = (),
    machine: Machine | None = None,
) -> Machine:
    """Load one model several times, each with its settings; it leaves half-way between.

    It ``expires`` so many seconds after its load began, or long after it has left.
    """
    machine = machine or Machine()
    server, before = machine.servers[0] if machine.servers else machine.ollama(), machine.now
    for number in range(times):
        at = before + 1 + every * number
        machine.now = at
        model = Model(
            "a",
            pid=1000 + int(at),
            expires_seconds=LATER if expires is None else at + expires,
            settings=dict(settings[number]) if settings else {},
        )
        server.drops(server.brings_up(model), at=at + every / 2)
    return machine


def taking_turns(loads: int) -> Machine:
    """Load two models in turn, each half a second after the other has left."""
    machine = Machine()
    server = machine.ollama()
    for number in range(loads):
        if server.models:
            server.drops(server.models[0], at=30 * number + 0.5)
        machine.now = 30 * number + 1
        blob = (BLOB, OTHER_BLOB)[number % 2]
        server.brings_up(Model("ab"[number % 2], pid=1000 + 30 * number, blob=blob, expires_seconds=LATER))
    return machine
