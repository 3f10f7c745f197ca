"""How quantities are written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpumon.text import units


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, "-"),
        (0.4, "0s"),
        (59.4, "59s"),
        (252, "4m 12s"),
        (7500, "2h 05m"),
        (3 * 86400 + 4 * 3600, "3d 04h"),
        (-3, "0s"),
    ],
)
def test_a_duration_is_written_in_at_most_two_units(seconds: float | None, words: str) -> None:
    assert units.duration(seconds) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(8, "8s"), (119, "1m 59s"), (120, "2m"), (241, "5m"), (300, "5m"), (3541, "1h 00m"), (7500, "2h 05m")],
)
def test_a_countdown_has_seconds_only_at_its_end(seconds: float, words: str) -> None:
    assert units.countdown(seconds) == words


@given(st.floats(120, 3540))
def test_a_countdown_of_minutes_changes_once_a_minute(seconds: float) -> None:
    assert int(units.countdown(seconds).removesuffix("m")) * 60 >= seconds
    assert (int(units.countdown(seconds).removesuffix("m")) - 1) * 60 < seconds
