"""Finding a usable ``pynvml`` and a driver library."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pynvml
import pytest
from tests.collectors.nvml.conftest import ManualClock

from gpumon.collectors.nvml.driver import RefusedError, UnusableBindingError, call, checked, load_pynvml
from gpumon.collectors.nvml.source import Monitor

FIX = "pip uninstall pynvml nvidia-ml-py3; pip install --force-reinstall nvidia-ml-py"


@pytest.fixture
def no_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without a driver."""

    def missing(name: str) -> None:
        raise OSError(name)

    monkeypatch.setattr(pynvml, "nvmlLib", None)
    monkeypatch.setattr(pynvml, "_nvmlGetFunctionPointer_cache", {})
    monkeypatch.setattr(pynvml, "CDLL", missing)


def test_no_driver_library_is_absent_with_what_to_do(
    no_library: None, clock: ManualClock, tmp_path: Path
) -> None:
    health = Monitor(clock, lambda: pynvml, tmp_path, tmp_path).read().health
    assert (health.state, health.detail) == ("absent", "no NVIDIA driver: libnvidia-ml.so.1 not found")
    assert health.hint == "install the NVIDIA driver; in a container: --gpus all"


def test_the_current_binding_is_accepted() -> None:
    assert checked(pynvml) is pynvml


def test_a_foreign_binding_is_named_with_the_fix(clock: ManualClock, tmp_path: Path) -> None:
    foreign = SimpleNamespace(nvmlInit=lambda: None, NVMLError=RuntimeError)
    health = Monitor(clock, lambda: checked(foreign), tmp_path, tmp_path).read().health
    assert (health.state, health.detail) == ("failing", "another Python package named pynvml is in the way")
    assert health.hint == FIX


def test_a_missing_binding_is_named_with_the_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(UnusableBindingError) as caught:
        load_pynvml()
    assert caught.value.hint == "pip install nvidia-ml-py"


def test_a_function_that_the_binding_lacks_is_a_refusal() -> None:
    with pytest.raises(RefusedError):
        call(SimpleNamespace(NVMLError=RuntimeError), "nvmlDeviceGetNothing")


def test_the_source_is_imported_without_the_binding() -> None:
    """``pynvml`` takes 40 ms to import; the driver's thread does it."""
    code = "import sys, gpumon.collectors.nvml.source; sys.exit('pynvml' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": ".dev"}, check=True)
