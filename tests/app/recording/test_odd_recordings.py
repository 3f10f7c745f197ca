"""Recordings that no gpumon has written: what cannot be is said in one line, and the rest is read."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.fakes.samples import START, claim, gpu, nvml, ollama, ollama_down, system

from gpumon.app.recording.lines import TIME_LIMIT, decode_line, encode_header, encode_line, new_header
from gpumon.app.recording.writer import Recorder
from gpumon.collectors.samples import AnySample
from gpumon.text import units


def recorded(path: Path, samples: Iterable[AnySample]) -> Path:
    path.write_bytes(b"".join([encode_header(new_header(START)), *map(encode_line, samples)]))
    return path


def why(recording: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gpumon.app", "why", "--recording", str(recording)]
    environment = os.environ | {"XDG_CONFIG_HOME": str(recording.parent)}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def test_a_machine_sample_of_another_source_is_taken(tmp_path: Path) -> None:
    odd = replace(system(0), source="machine")
    done = why(recorded(tmp_path / "odd.jsonl", [odd, nvml(0, gpu()), ollama(1, [claim("b")])]))
    assert (done.returncode, done.stderr) == (0, "")
    assert "1 model on GPU" in done.stdout


@pytest.mark.parametrize("at", [1e300, -1e300, TIME_LIMIT])
def test_a_time_beyond_any_calendar_costs_its_line_and_is_said(tmp_path: Path, at: float) -> None:
    samples: list[AnySample] = [nvml(0, gpu()), replace(system(0), time=at), ollama(1, [claim("b")])]
    path = recorded(tmp_path / "odd.jsonl", samples)
    done = why(path)
    assert done.returncode == 0
    assert done.stderr == f"gpumon: {path}: 1 line damaged left out\n"
    assert "1 model on GPU" in done.stdout


def test_the_last_time_of_the_calendar_is_read() -> None:
    assert decode_line(encode_line(replace(system(0), time=TIME_LIMIT - 1))) != "damaged"


@pytest.mark.parametrize("at", [1e300, float("inf"), float("nan")])
def test_a_time_that_no_clock_shows_is_unknown(at: float) -> None:
    assert units.clock(at) == units.UNKNOWN


def test_many_sources_take_time_by_their_number_and_not_by_its_square(tmp_path: Path) -> None:
    def seconds(number: int) -> float:
        samples = [
            replace(ollama_down(place / 100, "failing", "x" * 300), source=f"http://host{place}:11434")
            for place in range(number)
        ]
        path = recorded(tmp_path / f"{number}.jsonl", samples)
        began = time.perf_counter()
        assert why(path).returncode == 2
        return time.perf_counter() - began

    few, many = seconds(750), seconds(3000)
    assert many < max(6 * few, 10.0), "four times as many; squared it was sixteen times, and a minute"


@pytest.mark.parametrize("umask", [0o000, 0o022])
def test_a_recording_is_the_owners_alone(tmp_path: Path, umask: int) -> None:
    path, before = tmp_path / "new.jsonl", os.umask(umask)
    try:
        Recorder(path, new_header(START)).close()
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
