"""``gpumon calibrate``."""

from __future__ import annotations

import fcntl
import math
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from gpumon.app import learned
from gpumon.app.cli.main import main
from gpumon.app.learned import learned_path
from gpumon.collectors.learned import read
from gpumon.collectors.system.ram_bandwidth import CannotMeasureError

MEASURE = "gpumon.collectors.system.ram_bandwidth.measure_ram_bandwidth"


@pytest.fixture(autouse=True)
def state_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))


def test_it_says_what_it_does_and_what_it_found(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(MEASURE, lambda: 42.5e9)
    assert main(["calibrate"]) == 0
    first, second, _ = capsys.readouterr().out.splitlines()
    assert first.startswith("Reading up to 1 GiB of RAM with ")
    assert second == "RAM is read at 42.5 GB/s, which stands for a nominal 50.0 GB/s."


def test_what_it_found_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MEASURE, lambda: 42.5e9)
    main(["calibrate"])
    assert read(learned_path()).ram_bandwidth_bytes_per_second == 42.5e9


class Clock:
    """Time that passes where the lock is waited for, and what happens after some of it."""

    def __init__(self) -> None:
        self.now = 0.0
        self.release_at = math.inf
        folder = learned_path().parent
        folder.mkdir(parents=True)
        self.held = os.open(folder, os.O_RDONLY)
        fcntl.flock(self.held, fcntl.LOCK_EX)

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        if self.now >= self.release_at:
            self.release()

    def release(self) -> None:
        fcntl.flock(self.held, fcntl.LOCK_UN)


@pytest.fixture
def locked(state_directory: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    clock = Clock()
    monkeypatch.setattr(learned, "time", clock)
    monkeypatch.setattr(MEASURE, lambda: 42.5e9)
    yield clock
    os.close(clock.held)


def test_a_lock_that_another_process_keeps_is_one_line_after_two_seconds(
    locked: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["calibrate"]) == 2
    assert locked.now == pytest.approx(2.0, abs=0.05)
    folder = learned_path().parent
    assert capsys.readouterr().err == f"gpumon: another process holds {folder} locked; nothing is kept\n"
    locked.release()
    assert main(["calibrate"]) == 0


def test_a_lock_that_is_given_back_in_time_is_waited_for(locked: Clock) -> None:
    locked.release_at = 1.9
    assert main(["calibrate"]) == 0
    assert read(learned_path()).ram_bandwidth_bytes_per_second == 42.5e9


def test_what_cannot_be_measured_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse() -> float:
        raise CannotMeasureError("too little free RAM")

    monkeypatch.setattr(MEASURE, refuse)
    assert main(["calibrate"]) == 2
    assert capsys.readouterr().err == "gpumon: too little free RAM\n"


def test_where_nothing_can_be_kept_nothing_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def measure() -> float:
        raise AssertionError("three seconds for nothing")

    monkeypatch.setattr(MEASURE, measure)
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    assert main(["calibrate"]) == 2
    printed = capsys.readouterr()
    assert printed.err == f"gpumon: cannot write {learned_path()}: not a directory\n"
    assert printed.out == ""


def test_the_attempt_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MEASURE, lambda: 42.5e9)
    main(["calibrate"])
    assert [file.name for file in learned_path().parent.iterdir()] == ["learned.json"]
