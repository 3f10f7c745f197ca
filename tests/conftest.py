"""Fixtures that more than one folder of tests needs."""

from __future__ import annotations

import ctypes
import logging
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from tests.fakes.nvml.driver import FakeDriver

_NUMBERS = count()


@pytest.fixture(autouse=True)
def _own_state_directory(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep what a test learns from other tests, and from the machine."""
    directory = tmp_path_factory.getbasetemp() / f"state-{next(_NUMBERS)}"
    monkeypatch.setenv("XDG_STATE_HOME", str(directory))


class _Faults(logging.Handler):
    """Keeps what gpumon logs as its own fault."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        self.said.append(f"{record.getMessage()}: {error!r}")


@pytest.fixture(autouse=True)
def _no_internal_errors(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test in which a fuse has blown unseen, unless it is marked ``internal_errors``."""
    faults, log = _Faults(), logging.getLogger("gpumon")
    log.addHandler(faults)
    yield
    log.removeHandler(faults)
    if request.node.get_closest_marker("internal_errors") is None:
        assert faults.said == []


@pytest.fixture
def fake_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeDriver]:
    """A fake NVIDIA driver with one GPU, for pynvml in this process and, by its environment, in others.

    The library is loaded by its full path, so that a later load by its SONAME finds it.
    """
    with FakeDriver(tmp_path / "nvml-state") as driver:
        ctypes.CDLL(str(driver.library))
        monkeypatch.setenv("FAKE_NVML_STATE", str(driver.path))
        yield driver
