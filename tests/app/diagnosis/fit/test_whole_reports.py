"""All that a fit report says, kept as text. ``GPUMON_UPDATE_GOLDEN=1`` keeps what is said now."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.app.physics.published import GIB, LLAMA3_8B, LLAMA3_70B, QWEN2_14B, QWEN35_27B

from gpumon.app.diagnosis.fit.report import FitReport, Resident, fit_of_geometry, with_freed
from gpumon.app.diagnosis.fit.text import fit_lines
from gpumon.app.physics.geometry import Geometry, LoadOptions
from gpumon.app.physics.hardware import Card, Hardware
from gpumon.app.physics.placement import RUNTIME_MARGIN_BYTES

GOLDEN = Path(__file__).parent / "golden"
MIB = 1024**2
OTHERS = (Resident("qwen3:8b", 6 * GIB), Resident("phi4:14b", 9 * GIB), Resident("gemma3:4b", 3 * GIB))


def card(free_gib: float, total_gib: float = 24.0, name: str = "NVIDIA GeForce RTX 4090") -> Card:
    return Card(name, round(total_gib * GIB), round(free_gib * GIB), 1008e9, "nvidia_gddr6")


UNNAMED = replace(card(20), bandwidth_bytes_per_second=None)


def report(
    geometry: Geometry,
    *cards: Card,
    options: LoadOptions | None = None,
    ram: float | None = 51.2e9,
    loaded: tuple[Resident, ...] = (),
    correction_bytes: int = 0,
) -> FitReport:
    wanted = options or LoadOptions(4096)
    return fit_of_geometry("llama3:x", geometry, wanted, Hardware(cards, ram), loaded, correction_bytes)


def need_gib(geometry: Geometry) -> float:
    return (report(geometry, card(99, 99)).required_vram_bytes + RUNTIME_MARGIN_BYTES) / GIB


REPORTS = {
    "fits": report(LLAMA3_8B, card(23)),
    "fits-on-the-emptier": report(LLAMA3_8B, card(9), card(12, name="RTX 3090")),
    "fits-on-both": report(LLAMA3_70B, card(23), card(23), options=LoadOptions(2048)),
    "close": report(LLAMA3_8B, card(need_gib(LLAMA3_8B) + 0.1)),
    "spills": report(LLAMA3_70B, card(23)),
    "spills-over-two": report(LLAMA3_70B, card(12), card(10)),
    "nothing-on-the-gpu": report(LLAMA3_70B, card(0.5)),
    "no-gpu": report(LLAMA3_8B),
    "by-hand": report(LLAMA3_8B, card(23), options=LoadOptions(4096, gpu_layers=20)),
    "slots-and-types": report(
        QWEN35_27B, card(23), options=LoadOptions(8192, 3, cache_type_k="q8_0", cache_type_v="q4_0")
    ),
    "one-to-unload": report(QWEN2_14B, card(2), loaded=OTHERS),
    "several-to-unload": report(QWEN2_14B, card(0.5, 20.0), loaded=(OTHERS[0], OTHERS[2])),
    "learned-more": report(LLAMA3_8B, card(23), correction_bytes=300 * MIB),
    "learned-less": report(LLAMA3_8B, card(23), correction_bytes=-300 * MIB),
    "bandwidth-of-the-gpu-unknown": report(LLAMA3_8B, UNNAMED),
    "bandwidth-of-the-ram-unknown": report(LLAMA3_70B, card(23), ram=None),
}


@pytest.mark.parametrize("name", REPORTS)
def test_every_line_is_as_kept(name: str) -> None:
    said = "\n".join(fit_lines(REPORTS[name])) + "\n"
    kept = GOLDEN / f"{name}.txt"
    if os.environ.get("GPUMON_UPDATE_GOLDEN"):
        kept.write_text(said, encoding="utf-8")
    assert said == kept.read_text(encoding="utf-8")


def test_every_kept_text_is_of_a_report() -> None:
    assert {path.stem for path in GOLDEN.iterdir()} == set(REPORTS)


def test_a_close_fit_may_be_split_up_to_a_gib_of_margin() -> None:
    need = need_gib(LLAMA3_8B) - RUNTIME_MARGIN_BYTES / GIB
    assert report(LLAMA3_8B, card(need + 0.9999)).may_be_split
    assert not report(LLAMA3_8B, card(need + 1.0001)).may_be_split


def test_layers_chosen_by_hand_are_not_split_by_the_runtime() -> None:
    close = card(need_gib(LLAMA3_8B) + 0.1)
    assert not report(LLAMA3_8B, close, options=LoadOptions(4096, gpu_layers=33)).may_be_split


@pytest.mark.parametrize(("size_mib", "is_shown"), [(4.99, False), (5.0, True)])
def test_a_part_has_a_line_from_five_mib_on(size_mib: float, is_shown: bool) -> None:
    found = report(LLAMA3_8B, card(23))
    need = replace(found.need, projector_bytes=round(size_mib * MIB))
    lines = fit_lines(replace(found, need=need))
    assert any(line.strip().startswith("projector") for line in lines) is is_shown


def test_memory_comes_back_on_the_fullest_card_and_then_on_the_next() -> None:
    cards = card(20), card(4), card(12)
    freed = with_freed(cards, 24 * GIB)
    assert [one.vram_free_bytes / GIB for one in freed] == [20.0, 24.0, 16.0]
    assert [one.vram_free_bytes / GIB for one in with_freed(cards, 0)] == [20.0, 4.0, 12.0]
