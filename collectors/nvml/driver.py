"""The one place where the driver is called: a value, ``None`` where it refuses, or two exceptions.

Error codes are ``nvmlReturn_t`` of nvml.h. Three kinds matter: the whole driver went away, one GPU went
away, or one question was refused. A refusal that says "this GPU cannot" is remembered, so that it is not
asked every second; any other refusal is trouble, and trouble without a single answer means a failing GPU.

``load_pynvml`` finds a usable ``pynvml``: the module of the package nvidia-ml-py, not one of its namesakes.
"""

from __future__ import annotations

import importlib
import sys
import warnings
from _ctypes import dlclose
from typing import Any, TypeAlias

Nvml: TypeAlias = Any
"""The module ``pynvml`` (it has no types)."""
Handle: TypeAlias = Any
"""An ``nvmlDevice_t``."""
Answer: TypeAlias = Any
"""What one function of ``pynvml`` returns, or ``None``."""

ALL_ONES = 2**64 - 1
"""What drivers hand out for a size or count that they do not know (nvml.h: ``NVML_VALUE_NOT_AVAILABLE``)."""
_ALL_ONES_32 = 2**32 - 1

NOT_SUPPORTED = 3
LIBRARY_NOT_FOUND = 12
DRIVER_NOT_LOADED = 9
NO_PERMISSION = 4
FUNCTION_NOT_FOUND = 13
LIB_RM_VERSION_MISMATCH = 18
ARGUMENT_VERSION_MISMATCH = 25

_UNINITIALIZED = 1
_NOT_FOUND = 6
_GPU_IS_LOST = 15
_RESET_REQUIRED = 16
_NO_DATA = 21
_DEPRECATED = 26

_DRIVER_GONE = {_UNINITIALIZED, DRIVER_NOT_LOADED, LIBRARY_NOT_FOUND, LIB_RM_VERSION_MISMATCH}
_GPU_GONE = {_GPU_IS_LOST, _RESET_REQUIRED}
_LASTING = {NOT_SUPPORTED, FUNCTION_NOT_FOUND, ARGUMENT_VERSION_MISMATCH, _DEPRECATED}
_HARMLESS = _LASTING | {_NOT_FOUND, _NO_DATA}


class DriverError(Exception):
    """The driver answered with an error ``code``; ``words`` are its own."""

    def __init__(self, code: int, words: str) -> None:
        super().__init__(words)
        self.code = code
        self.words = words


class DriverGoneError(DriverError):
    """NVML must be started again before anything can be asked."""


class GpuLostError(DriverError):
    """One GPU is off the bus or needs a reset; others may be well."""


class RefusedError(DriverError):
    """One question was not answered."""


def call(nvml: Nvml, function: str, *arguments: object) -> Answer:
    """Call one function of ``pynvml``.

    Raises ``DriverGoneError``, ``GpuLostError`` or ``RefusedError``, never an exception of ``pynvml``.
    """
    method = getattr(nvml, function, None)
    if method is None:
        raise RefusedError(FUNCTION_NOT_FOUND, f"this pynvml has no {function}")
    try:
        return method(*arguments)
    except nvml.NVMLError as error:
        raise _typed(error.value, str(error).rstrip(".")) from error
    except UnicodeDecodeError as error:
        raise RefusedError(_NO_DATA, "text that is not UTF-8") from error


def _typed(code: int, words: str) -> DriverError:
    if code in _DRIVER_GONE:
        return DriverGoneError(code, words)
    return GpuLostError(code, words) if code in _GPU_GONE else RefusedError(code, words)


def is_all_ones(answer: Answer) -> bool:
    """Whether an answer is the number with which a driver says that it does not know."""
    return isinstance(answer, int) and answer in {ALL_ONES, _ALL_ONES_32}


class Query:
    """Questions about one device, and how they were taken since ``begin``."""

    def __init__(self, nvml: Nvml, handle: Handle) -> None:
        self.nvml = nvml
        self.answers = 0
        self.trouble: str | None = None
        """The driver's words at the first refusal that is not simply "this GPU cannot"."""
        self.handle = handle
        self._refused: dict[tuple[object, ...], int] = {}

    def begin(self, *, ask_again: bool) -> None:
        """Start a new round; ``ask_again`` forgets what the device could not do."""
        self.answers = 0
        self.trouble = None
        if ask_again:
            self._refused.clear()

    def ask(self, function: str, *arguments: object) -> Answer:
        """Return the driver's answer about this device, ``None`` if it refuses or gives a number of all ones.

        Raises ``DriverGoneError`` and ``GpuLostError``.
        """
        question = (function, *arguments)
        if question in self._refused:
            return None
        try:
            answer = call(self.nvml, function, self.handle, *arguments)
        except RefusedError as error:
            self._note(question, error)
            return None
        self.answers += 1
        return None if is_all_ones(answer) else answer

    def ask_newest(self, *functions: str) -> Answer:
        """Ask by the first of several names, newest first, that this driver knows."""
        for function in functions:
            answer = self.ask(function)
            if answer is not None or self.refusal(function) != FUNCTION_NOT_FOUND:
                return answer
        return None

    def refusal(self, function: str, *arguments: object) -> int | None:
        """Return the error code with which the device said that it cannot answer this at all."""
        return self._refused.get((function, *arguments))

    def _note(self, question: tuple[object, ...], error: RefusedError) -> None:
        if error.code in _LASTING:
            self._refused[question] = error.code
        elif error.code not in _HARMLESS:
            self.trouble = self.trouble or error.words


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
