"""PCIe traffic from byte counters.

``nvmlDeviceGetPcieThroughput`` is not used: each call blocks for its 20 ms measuring window.
"""

from __future__ import annotations

from typing import NamedTuple

from gpumon.collectors.nvml.query import Answer, Query

_TRANSMIT, _RECEIVE = 197, 198  # nvml.h: NVML_FI_DEV_PCIE_COUNT_TX_BYTES, NVML_FI_DEV_PCIE_COUNT_RX_BYTES
_UNSIGNED_LONG, _UNSIGNED_LONG_LONG = 2, 3  # nvml.h: nvmlValueType_t
_SUCCESS = 0


class Counters(NamedTuple):
    """Bytes since some moment in the past, as of ``time`` (seconds)."""

    time: float
    transmit_bytes: int | None
    receive_bytes: int | None


def read_counters(query: Query, time: float) -> Counters | None:
    """Ask for both counters at once; ``None`` if the call is refused."""
    values = query.ask("nvmlDeviceGetFieldValues", (_TRANSMIT, _RECEIVE))
    return None if values is None else Counters(time, _counter(values[0]), _counter(values[1]))


def _counter(field: Answer) -> int | None:
    """Return a counter of 64 bits; one of 32 bits wraps several times a second and says nothing."""
    if field.nvmlReturn != _SUCCESS or field.valueType not in {_UNSIGNED_LONG, _UNSIGNED_LONG_LONG}:
        return None
    return int(field.value.ullVal)


def rates(before: Counters | None, now: Counters | None) -> tuple[float | None, float | None]:
    """Return transmitted and received bytes per second between two readings."""
    if before is None or now is None:
        return None, None
    seconds = now.time - before.time
    transmit = _rate(before.transmit_bytes, now.transmit_bytes, seconds)
    return transmit, _rate(before.receive_bytes, now.receive_bytes, seconds)


def _rate(before: int | None, now: int | None, seconds: float) -> float | None:
    """Divide; ``None`` after a counter went back, as a wrap and a reset look the same."""
    if before is None or now is None or now < before or seconds <= 0:
        return None
    return (now - before) / seconds
