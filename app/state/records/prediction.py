"""What was estimated of one load, and what came of it."""

from __future__ import annotations

from msgspec import Struct


class Prediction(Struct):
    """The memory of a model when all of it is on the GPUs that it uses."""

    gpu_uuids: tuple[str, ...]
    uncorrected_vram_bytes: int
    expected_vram_bytes: float
    """On all GPUs together, corrected by what earlier loads have taught. An estimate."""
    measured_vram_bytes: int | None = None
    """What the driver measured when the load was over; ``None`` until then, and where a part is in RAM."""

    @property
    def error_fraction(self) -> float | None:
        """How far the prediction was from the measurement: 0.02 is 2 % too much."""
        if not self.measured_vram_bytes:
            return None
        return self.expected_vram_bytes / self.measured_vram_bytes - 1
