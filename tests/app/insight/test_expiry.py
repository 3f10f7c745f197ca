from __future__ import annotations

import pytest
from tests.scene import Model, loaded

from gpumon.app.insight.activity import from_now_words, seconds_left

HOUR, DAY, YEAR = 3600.0, 86400.0, 365 * 86400.0


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.4, "Less than a second from now"),
        (1.9, "1 second from now"),
        (59.9, "59 seconds from now"),
        (61, "About a minute from now"),
        (4.9 * 60, "4 minutes from now"),
        (HOUR, "About an hour from now"),
        (1.5 * HOUR, "2 hours from now"),
        (47 * HOUR, "47 hours from now"),
        (3 * DAY, "3 days from now"),
        (15 * DAY, "2 weeks from now"),
        (61 * DAY, "2 months from now"),
        (3 * YEAR, "3 years from now"),
        (20.9 * YEAR, "20 years from now"),
        (21 * YEAR, "Forever"),
        (292.3 * YEAR, "Forever"),
    ],
)
def test_time_left_is_written_as_ollama_ps_does(seconds: float, words: str) -> None:
    assert from_now_words(seconds) == words


@pytest.mark.parametrize(("offset", "left"), [(None, 300.0), (90.0, 210.0), (-90.0, 390.0)])
def test_time_left_is_counted_by_the_clock_of_the_server(offset: float | None, left: float) -> None:
    model = loaded(Model(expires_seconds=300))
    model.server.clock_offset_seconds = offset
    machine = model.machine.look("servers")
    assert seconds_left(model.record, machine.state) == left


def test_a_model_without_expiry_has_no_time_left() -> None:
    model = loaded()
    machine = model.machine.look("servers")
    assert seconds_left(model.record, machine.state) is None
