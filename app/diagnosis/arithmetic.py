"""What fits: one model's need against the memory of the GPUs, by the arithmetic of ``app.physics``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from gpumon.app.diagnosis.room import Occupant, Room, room_of
from gpumon.app.insight.hardware import hardware_of
from gpumon.app.insight.learning.baselines import gpus_in_use
from gpumon.app.insight.learning.predictions import memory_correction
from gpumon.app.insight.loaded import Loaded
from gpumon.app.insight.shapes import load_options
from gpumon.app.physics.efficiency import SERVER_COST
from gpumon.app.physics.geometry import Geometry, LoadOptions, NoGeometry
from gpumon.app.physics.hardware import Hardware
from gpumon.app.physics.memory import memory_need
from gpumon.app.physics.placement import place
from gpumon.app.state.holders.addresses import server_of
from gpumon.app.state.state import State
from gpumon.text.units import MIB

FIT_MARGIN_BYTES = 1024 * MIB
"""What llama-server leaves free of each GPU when it chooses the layers (llama.cpp: ``--fit-target``)."""
TIGHT_MARGIN_BYTES = 128 * MIB
"""What must stay free where the user chooses the layers: nine of ten predictions of the need are closer."""
LOOK_SECONDS = 2.0
"""A runtime looks at what is free at the start of its process; the driver is asked once a second."""
SPARE_BYTES = 512 * MIB
"""Free memory below which a card with experts in RAM slows down by half and more."""


class NoArithmetic(NamedTuple):
    """Why it cannot be computed, one line."""

    reason: str


class Arithmetic(Struct, frozen=True):
    """A model as it is loaded, and the room that it has."""

    geometry: Geometry
    options: LoadOptions
    room: Room
    hardware: Hardware
    margin_bytes: int
    """What the runtime leaves free of each GPU."""
    started: float | None
    """When its process began."""
    correction_bytes: int = 0
    """What earlier loads on these GPUs took beyond the prediction."""
    engine_cost: float = SERVER_COST
    """Time for a token over that of a benchmark."""

    def fits(
        self,
        free_bytes: Sequence[int],
        options: LoadOptions | None = None,
        geometry: Geometry | None = None,
        margin_bytes: int | None = None,
    ) -> bool:
        """Return whether all of it would be on the GPUs if the runtime chose the layers."""
        wanted = replace(options or self.options, gpu_layers=None)
        margin = self.margin_bytes if margin_bytes is None else margin_bytes
        return place(geometry or self.geometry, wanted, self.usable(free_bytes), margin).fits

    def usable(self, free_bytes: Sequence[int]) -> list[int]:
        """Return free memory less what earlier loads took beyond the prediction."""
        return usable_bytes(free_bytes, self.correction_bytes)

    def need_bytes(self, options: LoadOptions | None = None, geometry: Geometry | None = None) -> int:
        """Return what it takes when all of it is on the GPUs."""
        need = memory_need(geometry or self.geometry, options or self.options, len(self.room.uuids))
        return max(0, need.total_bytes + self.correction_bytes)

    @property
    def layer_count(self) -> int:
        """Blocks and the output: what ``num_gpu`` counts up to."""
        return len(self.geometry.layers) + 1

    @property
    def earlier(self) -> tuple[Occupant, ...]:
        """Who held memory before the model was loaded, with what they held then.

        Of what nobody saw being taken it is assumed, unless its process has started since.
        """
        before = (one for one in self.room.occupants if not self._is_later(one))
        held = [one for one in map(self._at_load, before) if one.vram_bytes > 0]
        return tuple(sorted(held, key=lambda one: (-one.vram_bytes, one.name)))

    @property
    def free_at_load_bytes(self) -> tuple[int, ...]:
        """Return what was free for it at its load, if nothing has gone since."""
        return self.room.without([*map(self._since_load, self.room.occupants)])

    @property
    def looked_at(self) -> float | None:
        """When the runtime had looked at what is free, and decided."""
        return None if self.started is None else self.started + LOOK_SECONDS

    def _at_load(self, occupant: Occupant) -> Occupant:
        return occupant if self.looked_at is None else occupant.of_time(self.looked_at, math.inf)

    def _since_load(self, occupant: Occupant) -> Occupant:
        """Return an occupant with what it has taken since the load alone."""
        if self.looked_at is None or self._is_later(occupant):
            return occupant if self._is_later(occupant) else occupant._replace(vram_by_gpu={})
        return occupant._replace(vram_by_gpu=occupant.taken(self.looked_at, math.inf))

    def _is_later(self, occupant: Occupant) -> bool:
        began = occupant.started
        return began is not None and self.started is not None and began > self.started


def usable_bytes(free_bytes: Sequence[int], correction_bytes: int) -> list[int]:
    """Return free memory less what loads take beyond the prediction, on the GPU with the most."""
    usable = list(free_bytes)
    largest = max(range(len(usable)), key=usable.__getitem__)
    usable[largest] = max(0, usable[largest] - correction_bytes)
    return usable


def arithmetic_of(loaded: Loaded, state: State, geometry: Geometry | NoGeometry) -> Arithmetic | NoArithmetic:
    """Return the arithmetic of a loaded model, or what is missing for it."""
    if isinstance(geometry, NoGeometry):
        return NoArithmetic(geometry.reason)
    options = load_options(loaded.model, loaded.runner, state)
    if options is None:
        return NoArithmetic("its context or the type of its cache is not known")
    room = room_of(loaded.model, loaded.runner, state)
    if room is None:
        return NoArithmetic("the free memory of its GPUs is not known")
    used = gpus_in_use(state, loaded.model, loaded.runner) if loaded.runner else None
    hardware = hardware_of(state, used or (), is_moe=geometry.is_moe)
    cards = {card.uuid: card for card in hardware.cards}
    if not cards.keys() >= set(room.uuids):
        return NoArithmetic("the free memory of its GPUs is not known")
    return Arithmetic(
        geometry=geometry,
        options=options,
        room=room,
        hardware=replace(hardware, cards=tuple(cards[uuid] for uuid in room.uuids)),
        margin_bytes=_margin_bytes(loaded, state),
        started=loaded.runner.key.started if loaded.runner else None,
        engine_cost=loaded.model.kind.engine_cost or SERVER_COST,
        correction_bytes=memory_correction(state.learned, loaded.model.key.digest, used or ()),
    )


def _margin_bytes(loaded: Loaded, state: State) -> int:
    """Return what the process leaves free of each GPU: as told, else as its kind does."""
    runner = loaded.runner
    if runner is None:
        return FIT_MARGIN_BYTES
    told = runner.process.settings.orders.fit_target_bytes
    if told:
        return max(told)
    server = server_of(state, runner)
    reserved = loaded.model.kind.reserved_bytes(server.settings) if server else 0
    return runner.kind.margin_bytes + (0 if runner.kind.layers_are_asked else reserved)
