from __future__ import annotations

import pytest

from gpumon.collectors.nvml.device import throttle_words


@pytest.mark.parametrize(
    ("bits", "words"),
    [
        (0x2, "application clocks"),
        (0x4, "power cap"),
        (0x8, "hardware slowdown"),
        (0x10, "sync boost"),
        (0x20, "thermal slowdown (software)"),
        (0x40, "thermal slowdown (hardware)"),
        (0x80, "power brake"),
        (0x100, "display clocks"),
        (0x200, "board limit"),
        (0x400, "reliability"),
    ],
)
def test_each_bit_has_words(bits: int, words: str) -> None:
    assert throttle_words(bits) == (words,)


def test_idle_holds_nothing_down() -> None:
    assert throttle_words(0x1) == ()


def test_a_bit_without_a_name_is_given_as_a_number() -> None:
    assert throttle_words(1 << 40) == ("reason 0x10000000000",)


def test_unknown_stays_unknown() -> None:
    assert throttle_words(None) is None
