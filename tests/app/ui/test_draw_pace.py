"""How often the screen is drawn."""

from __future__ import annotations

import pytest

from gpumon.app.ui.app import GATHER_SECONDS, DrawPace


def drawn_at(time: float) -> DrawPace:
    pace = DrawPace()
    pace.drew(time)
    return pace


def test_the_first_picture_comes_as_soon_as_samples_are_gathered() -> None:
    assert DrawPace().delay(0.0, 1.0, focused=True, urgent=False) == GATHER_SECONDS


def test_samples_within_one_interval_are_drawn_once() -> None:
    assert drawn_at(10.0).delay(10.25, 1.0, focused=True, urgent=False) == pytest.approx(0.65)


def test_an_alert_is_drawn_at_once() -> None:
    assert drawn_at(10.0).delay(10.0, 1.0, focused=True, urgent=True) == GATHER_SECONDS


def test_an_unfocused_terminal_is_drawn_half_as_often() -> None:
    assert drawn_at(10.0).delay(10.0, 1.0, focused=False, urgent=False) == pytest.approx(1.8)


def test_a_long_interval_does_not_hold_back_what_comes_from_other_sources() -> None:
    assert drawn_at(10.0).delay(10.0, 60.0, focused=True, urgent=False) == 3.0


def test_a_played_recording_is_drawn_five_times_a_second() -> None:
    assert drawn_at(10.0).delay(10.0, None, focused=True, urgent=False) == pytest.approx(0.2)
