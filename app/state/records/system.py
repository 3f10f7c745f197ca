"""RAM, swap and CPU."""

from __future__ import annotations

from msgspec import Struct, field

from gpumon.app.state.series import Series
from gpumon.collectors.samples import (
    SystemSample,
)


class SystemRecord(Struct):
    """RAM, swap and CPU: the latest sample and the series."""

    sample: SystemSample
    seen: float
    """Time of the latest sample."""
    ram_used: Series = field(default_factory=Series)
    swap_used: Series = field(default_factory=Series)
    cpu: Series = field(default_factory=Series)
