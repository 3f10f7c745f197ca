"""When alerts are raised and when they end: what a user may set."""

from __future__ import annotations

from typing import Annotated

import msgspec

from gpumon.app.insight.falls import LINK_BUSY_PERCENT, SLOWER_PERCENT
from gpumon.app.insight.health import SPILL_BAD_PERCENT
from gpumon.app.insight.loaded import UNSURE_LOAD_SECONDS
from gpumon.app.state.work import SWAPPING_BYTES_PER_SECOND

Percent = Annotated[float, msgspec.Meta(ge=0, le=100)]
Seconds = Annotated[float, msgspec.Meta(ge=0)]
Amount = Annotated[float, msgspec.Meta(ge=0)]


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When an alert is raised and when it ends. A pair of raise and clear limits keeps it from flapping."""

    spill_bad_percent: Percent = SPILL_BAD_PERCENT
    """Share of a model in RAM from which a spill is bad; below it is worth watching."""
    spill_further_percent: Percent = 5.0
    """Points by which a spill must grow for its alert to be renewed."""
    vram_nearly_full_percent: Percent = 97.0
    """Used and reserved share of a GPU's memory, from which a driver that can will page to RAM."""
    vram_nearly_full_clear_percent: Percent = 95.0
    ram_low_percent: Percent = 8.0
    """Available share of RAM."""
    ram_low_clear_percent: Percent = 10.0
    swap_bytes_per_second: Amount = SWAPPING_BYTES_PER_SECOND
    """Swapped in and out together."""
    swap_clear_bytes_per_second: Amount = 1.0 * 1024**2
    temperature_margin_celsius: Amount = 3.0
    """Degrees below the card's own slowdown limit."""
    temperature_clear_margin_celsius: Amount = 6.0
    temperature_seconds: Seconds = 3.0
    throttling_seconds: Seconds = 3.0
    """For heat and hardware slowdowns."""
    power_cap_seconds: Seconds = 10.0
    pcie_busy_percent: Percent = LINK_BUSY_PERCENT
    """GPU utilisation from which the PCIe link must be at its best; idle links run slower on purpose."""
    pcie_link_seconds: Seconds = 10.0
    unsure_load_seconds: Seconds = UNSURE_LOAD_SECONDS
    """How long memory must stay below the claim where a model may still be loading, for all that is told."""
    not_returned_seconds: Seconds = 60.0
    """How long the memory of a process that has ended may take to come back."""
    slower_percent: Percent = SLOWER_PERCENT
    """By how much a decode rate must be below the model's usual one."""
    slower_seconds: Seconds = 5.0
    source_seconds: Seconds = 3.0
    hold_seconds: Seconds = 5.0
    """How long full VRAM, low RAM or swapping must last."""
    clear_seconds: Seconds = 10.0
    """How long what is measured (memory, heat, clocks) must be well again before its alert ends."""
    settled_seconds: Seconds = 3.0
    """The same for what is plainly so or not: a spill, a lost GPU, a source that does not answer."""
