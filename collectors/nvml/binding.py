"""Finds a usable ``pynvml``: the module of the package nvidia-ml-py, not one of its namesakes."""

from __future__ import annotations

import importlib
import sys
import warnings
from _ctypes import dlclose

from gpumon.collectors.nvml.query import Nvml

_NEEDED = (
    "nvmlMemory_v2",
    "nvmlDeviceGetComputeRunningProcesses_v3",
    "nvmlDeviceGetFieldValues",
    "NVMLError",
)
"""Absent from the abandoned packages that share the name (gpustat#105, #153)."""


class UnusableBindingError(Exception):
    """``pynvml`` is missing or foreign; ``detail`` and ``hint`` are one line each."""

    def __init__(self, detail: str, hint: str) -> None:
        super().__init__(detail)
        self.detail = detail
        self.hint = hint


def load_pynvml() -> Nvml:
    """Import ``pynvml`` and check that it is the current one.

    Raises ``UnusableBindingError``.
    """
    try:
        with warnings.catch_warnings():
            # The deprecated package of that name warns on stderr, across the screen.
            warnings.simplefilter("ignore", FutureWarning)
            return checked(importlib.import_module("pynvml"))
    except ImportError as error:
        raise UnusableBindingError(
            "the Python package nvidia-ml-py is missing", "pip install nvidia-ml-py"
        ) from error


def checked(nvml: Nvml) -> Nvml:
    """Return ``nvml`` if it is nvidia-ml-py's module; raise ``UnusableBindingError`` if it is a namesake."""
    if all(hasattr(nvml, name) for name in _NEEDED):
        return nvml
    raise UnusableBindingError(
        "another Python package named pynvml is in the way",
        "pip uninstall pynvml nvidia-ml-py3; pip install --force-reinstall nvidia-ml-py",
    )


def unload(nvml: Nvml) -> None:
    """Let go of the driver library, so that the next start maps the file that an upgrade left on disk."""
    library = getattr(nvml, "nvmlLib", None)
    if library is not None:
        dlclose(library._handle)  # noqa: SLF001 - ctypes has no public way to unload a library
    sys.modules.pop("pynvml", None)
