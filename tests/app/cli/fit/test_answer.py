"""What earlier runs have learned reaches ``gpumon fit``."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpumon.app.cli.fit.answer import learned, with_ram_bandwidth
from gpumon.app.learned import learned_path, save
from gpumon.app.state.records.learned import LearnedRecord
from gpumon.collectors.learned import Document
from gpumon.collectors.samples import RateScale

SCALE = RateScale(gpu_uuids=("GPU-1",), is_moe=False, is_split=False, scale=0.9, observation_count=3)


def test_what_was_kept_is_taken() -> None:
    save(learned_path(), Document(scales=(SCALE,)))
    assert list(learned().scales.values()) == [SCALE]


def test_a_bandwidth_that_the_user_names_stands_for_the_measured_one() -> None:
    measured = LearnedRecord(ram_bandwidth_bytes_per_second=5e10)
    assert with_ram_bandwidth(measured, 9e10).ram_bandwidth_bytes_per_second is None
    assert with_ram_bandwidth(measured, None) is measured


def test_a_damaged_file_teaches_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    learned_path().parent.mkdir()
    learned_path().write_text("{", encoding="utf-8")
    assert learned() == LearnedRecord()
