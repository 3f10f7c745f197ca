"""What earlier runs have learned narrows the estimates of ``gpumon fit``."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpumon.app.cli.fit_learned import calibrated, learned, ram_bandwidth
from gpumon.app.learned.place import learned_path
from gpumon.app.physics.hardware import Card, Hardware
from gpumon.collectors.learned.document import Document
from gpumon.collectors.samples import RateScale

HARDWARE = Hardware((Card("x", 24, 20, 1e12, "nvidia_gddr6", uuid="GPU-1"),), 5e10)


def scale(value: float, *, is_split: bool = False, is_moe: bool = False, uuid: str = "GPU-1") -> RateScale:
    return RateScale(gpu_uuids=(uuid,), is_moe=is_moe, is_split=is_split, scale=value, observation_count=3)


def test_observed_scales_of_the_same_cards_are_taken() -> None:
    document = Document(scales=(scale(0.9), scale(0.7, is_split=True)))
    found = calibrated(HARDWARE, document, is_moe=False)
    assert (found.decode_scale, found.cpu_scale, found.is_calibrated) == (0.9, 0.7, True)


@pytest.mark.parametrize("other", [scale(0.5, is_moe=True), scale(0.5, uuid="GPU-2")], ids=["moe", "card"])
def test_scales_of_other_cards_and_other_kinds_of_models_say_nothing(other: RateScale) -> None:
    assert calibrated(HARDWARE, Document(scales=(other,)), is_moe=False) == HARDWARE


def test_cards_that_are_only_named_have_no_past() -> None:
    named = Hardware((Card("RTX 4090", 24, 20, 1e12, "nvidia_gddr6"),))
    assert calibrated(named, Document(scales=(scale(0.5),)), is_moe=False) == named


def test_a_measurement_comes_before_the_firmware() -> None:
    assert ram_bandwidth(Document(ram_bandwidth_bytes_per_second=42.5e9)) == pytest.approx(50e9)


def test_a_damaged_file_teaches_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    learned_path().parent.mkdir()
    learned_path().write_text("{", encoding="utf-8")
    assert learned() == Document()
