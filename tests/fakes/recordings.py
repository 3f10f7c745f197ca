"""Recordings for tests."""

from __future__ import annotations

from itertools import takewhile
from pathlib import Path

from gpumon.app.demo.scenarios import scenario_named
from gpumon.app.recording.lines import Header
from gpumon.app.recording.writer import Recorder
from gpumon.collectors.samples import AnySample

CREATED = 1_700_000_000.0
HEADER = Header(version="0.1.0", created=CREATED, host="box")


def scenario_samples(name: str, seconds: float) -> list[AnySample]:
    """Return the first ``seconds`` of a scenario."""
    samples = scenario_named(name).samples(CREATED)
    return list(takewhile(lambda sample: sample.time < CREATED + seconds, samples))


def write_recording(path: Path, samples: list[AnySample], header: Header = HEADER) -> None:
    """Record ``samples`` to ``path``."""
    recorder = Recorder(path, header)
    for sample in samples:
        recorder.write(sample)
    recorder.close()
    assert recorder.problem is None
