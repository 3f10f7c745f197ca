"""Pictures of models of which some figures are others."""

from __future__ import annotations

from msgspec.structs import replace

from gpumon.app.picture.details import ModelDetails
from gpumon.app.picture.memory import ModelMemory


def changed(details: ModelDetails, **fields: object) -> ModelDetails:
    """Return ``details`` with other fields of the picture, or of its memory."""
    of_memory = {name: fields.pop(name) for name in ModelMemory.__struct_fields__ if name in fields}
    memory = replace(details.picture.memory, **of_memory)
    return replace(details, picture=replace(details.picture, memory=memory, **fields))
