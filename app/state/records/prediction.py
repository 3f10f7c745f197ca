"""What was reckoned of one load, and what came of it."""

from __future__ import annotations

from msgspec import Struct

from gpumon.app.physics.geometry import Geometry, LoadOptions
from gpumon.app.physics.hardware import Band


class Prediction(Struct):
    """The memory of a model when all of it is on the GPUs that it uses."""

    geometry: Geometry
    options: LoadOptions
    gpu_uuids: tuple[str, ...]
    uncorrected_vram_bytes: int
    vram: Band
    """Bytes on all GPUs, with what earlier loads have taught."""
    measured_vram_bytes: int | None = None
    """What the driver measured when the load was over; ``None`` until then, and where a part is in RAM."""

    @property
    def error_fraction(self) -> float | None:
        """How far the prediction was from the measurement: 0.02 is 2 % too much."""
        if not self.measured_vram_bytes:
            return None
        return self.vram.expected / self.measured_vram_bytes - 1
