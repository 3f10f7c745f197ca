"""Fixtures that more than one folder of tests needs."""

from __future__ import annotations

import ctypes
import logging
import os
import re
from collections.abc import Iterator
from functools import cache
from itertools import count
from pathlib import Path

import hypothesis
import pytest
from tests.fakes.nvml.driver import FakeDriver
from tests.fakes.processes.secluded import VARIABLE, seclude

_NUMBERS = count()
_OUTSIDE = re.compile(
    r"import (subprocess|tracemalloc|uvicorn|Actor)|create_subprocess|real_server\(|FakeDriver|fake_driver"
    r"|Fake(Ollama|LlamaServer|Router|Upstream)|asyncio\.start_server| run_test\(|\.run_test\("
    r"|tests\.(faults|e2e|fuzz)|fakes\.browser"
)
"""Said in files that start a process or a server, draw whole screens, or measure memory."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--quick", action="store_true", help="only tests that compute, and wait for nothing outside"
    )


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Return two workers for each processor: tests of processes and terminals wait more than they work."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return cores if config.getoption("--quick") else 2 * cores


def pytest_configure(config: pytest.Config) -> None:
    """Try, with ``--quick``, fewer of the endless inputs; profiles made later take this over."""
    if config.getoption("--quick"):
        for profile in ("quick", "unhurried"):
            hypothesis.settings.register_profile(profile, deadline=None, max_examples=20)
        hypothesis.settings.load_profile("quick")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Do not even import, with ``--quick``, what has to wait for the world outside."""
    return (config.getoption("--quick") and _is_outside(collection_path)) or None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out, with ``--quick``, what is handed such a thing by the conftest.py beside it."""
    if config.getoption("--quick"):
        outside = [item for item in items if any(map(_is_outside, _files_of_fixtures(item)))]
        config.hook.pytest_deselected(items=outside)
        items[:] = [item for item in items if item not in outside]


def _files_of_fixtures(item: pytest.Item) -> Iterator[Path]:
    if isinstance(item, pytest.Function):
        for fixtures in item._fixtureinfo.name2fixturedefs.values():
            yield from (Path(fixture.func.__code__.co_filename) for fixture in fixtures)


@cache
def _is_outside(path: Path) -> bool:
    is_ours = path.suffix == ".py" and path != Path(__file__) and path.is_file()
    return is_ours and bool(_OUTSIDE.search(path.read_text(encoding="utf-8")))


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
def secluded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a session in this process see no processes but those that the test starts."""
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    seclude(monkeypatch.setattr)


@pytest.fixture
def fake_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeDriver]:
    """A fake NVIDIA driver with one GPU, for pynvml in this process and, by its environment, in others.

    The library is loaded by its full path, so that a later load by its SONAME finds it.
    """
    with FakeDriver(tmp_path / "nvml-state") as driver:
        ctypes.CDLL(str(driver.library))
        monkeypatch.setenv("FAKE_NVML_STATE", str(driver.path))
        yield driver
