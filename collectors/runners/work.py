"""Whether the same requests are at work as at the look before: then no counter of ``/metrics`` has moved."""

from __future__ import annotations

from typing import NamedTuple

from gpumon.collectors.samples import Slot


class SlotWork(NamedTuple):
    """What a slot does, as far as counters depend on it.

    They grow when a prompt has been read (``prompt_*``) and when an answer ends (``tokens_predicted_*``)
    (llama.cpp: tools/server/server-context.cpp, ``on_prompt_eval``, ``on_prediction``).
    """

    task_id: int | None
    """Kept by a slot that rests, so that a request between two looks shows."""
    processing: bool
    decoding: bool


class Work:
    """The slots of one server at the latest look."""

    def __init__(self) -> None:
        self._slots: tuple[Slot, ...] | None = None

    def forget(self) -> None:
        """Know nothing, as before the first look."""
        self._slots = None

    def goes_on(self, slots: tuple[Slot, ...] | None) -> bool:
        """Tell whether nothing has begun, got to its first token or ended since the latest look."""
        if slots is None or self._slots is None or _works(slots) != _works(self._slots):
            return False
        return all(map(_continues, self._slots, slots))

    def see(self, slots: tuple[Slot, ...] | None) -> None:
        """Take a look."""
        self._slots = slots


def _works(slots: tuple[Slot, ...]) -> list[tuple[int, SlotWork]]:
    return [
        (slot.slot_id, SlotWork(slot.task_id, slot.processing, bool(slot.decoded_tokens))) for slot in slots
    ]


def _continues(before: Slot, after: Slot) -> bool:
    """Tell of two looks at a slot with the same task; task numbers start again after a reload."""
    if not after.processing:
        return True
    return after.task_id is not None and (after.decoded_tokens or 0) >= (before.decoded_tokens or 0)
