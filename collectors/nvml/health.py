"""What a failure of the driver means and what to do about it, in one line each."""

from __future__ import annotations

from gpumon.collectors.nvml.binding import UnusableBindingError
from gpumon.collectors.nvml.query import (
    DRIVER_NOT_LOADED,
    LIB_RM_VERSION_MISMATCH,
    LIBRARY_NOT_FOUND,
    NO_PERMISSION,
    DriverError,
)
from gpumon.collectors.samples import SourceHealth

SERVING = SourceHealth(state="serving")

ASLEEP = SourceHealth(
    state="asleep", detail="the GPU sleeps", hint="it is left alone until something else wakes it"
)

NO_GPU = SourceHealth(
    state="absent", detail="the NVIDIA driver finds no GPU", hint="check that it is seen: lspci -d 10de:"
)

_BY_CODE = {
    LIBRARY_NOT_FOUND: SourceHealth(
        state="absent",
        detail="no NVIDIA driver: libnvidia-ml.so.1 not found",
        hint="install the NVIDIA driver; in a container: --gpus all",
    ),
    DRIVER_NOT_LOADED: SourceHealth(
        state="failing", detail="the nvidia kernel module is not loaded", hint="load it: sudo modprobe nvidia"
    ),
    LIB_RM_VERSION_MISMATCH: SourceHealth(
        state="failing",
        detail="driver and library versions differ",
        hint="reboot, or reload the nvidia kernel module",
    ),
    NO_PERMISSION: SourceHealth(
        state="forbidden",
        detail="no permission to use the NVIDIA driver",
        hint="check who may open them: ls -l /dev/nvidia*",
    ),
}


def of_error(error: DriverError) -> SourceHealth:
    """Say why NVML could not be started."""
    known = _BY_CODE.get(error.code)
    return known or SourceHealth(
        state="failing", detail=f"the NVIDIA driver says: {error.words}", hint="look for NVRM in: sudo dmesg"
    )


def of_binding(error: UnusableBindingError) -> SourceHealth:
    """Say why ``pynvml`` cannot be used."""
    return SourceHealth(state="failing", detail=error.detail, hint=error.hint)


def of_unopened(unopened: dict[int, str]) -> SourceHealth:
    """Say which GPUs the driver lists but will not open, with its words by index."""
    if not unopened:
        return SERVING
    detail = "; ".join(f"GPU {index} cannot be opened: {words}" for index, words in unopened.items())
    return SourceHealth(state="serving", detail=detail, hint="look for NVRM in: sudo dmesg")
