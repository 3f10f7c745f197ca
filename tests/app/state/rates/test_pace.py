"""How fast one request is, over seconds."""

from __future__ import annotations

import pytest

from gpumon.app.state.rates.figures import FinishedRequest, Phase, RunnerRates, SlotRates
from gpumon.app.state.rates.pace import PaceTrack, is_telling


def rates(*decode: float | None, phase: Phase = "decode") -> RunnerRates:
    slots = tuple(
        SlotRates(
            slot_id=number, task_id=number, phase=phase, decode_tokens_per_second=rate, context_tokens=100
        )
        for number, rate in enumerate(decode)
    )
    return RunnerRates(slots=slots)


def seen(*points: tuple[float, RunnerRates]) -> PaceTrack:
    track = PaceTrack()
    for time, found in points:
        track.see(time, found)
    return track


def request(tokens: int = 200, rate: float = 40.0) -> FinishedRequest:
    return FinishedRequest(
        slot_id=0,
        task_id=1,
        started=0.0,
        ended=9.0,
        decoded_tokens=tokens,
        decode_tokens_per_second=rate,
        context_tokens=700,
        parallel=1,
    )


def test_it_takes_five_seconds_of_one_kind() -> None:
    assert seen(*((time, rates(40.0)) for time in range(5))).latest is None
    pace = seen(*((time, rates(40.0)) for time in range(6))).latest
    assert pace is not None
    assert (pace.tokens_per_second, pace.parallel, pace.context_tokens) == (40.0, 1, 100)


def test_it_is_the_rate_of_one_request() -> None:
    pace = seen(*((time, rates(30.0, 20.0)) for time in range(6))).latest
    assert pace is not None
    assert (pace.tokens_per_second, pace.parallel) == (25.0, 2)


def test_a_pause_of_a_moment_does_not_matter() -> None:
    pace = seen(*((time, rates(0.5 if time == 3 else 40.0)) for time in range(6))).latest
    assert pace is not None
    assert pace.tokens_per_second == 40.0


@pytest.mark.parametrize(
    "between",
    [rates(), rates(20.0, 20.0), rates(40.0, None), rates(None, phase="prefill")],
    ids=["rest", "another request", "one that has just begun", "a prompt"],
)
def test_it_is_measured_anew_after_something_else(between: RunnerRates) -> None:
    points = [(time, rates(40.0) if time != 3 else between) for time in range(7)]
    assert seen(*points).latest is None


def test_it_is_measured_anew_after_a_silence() -> None:
    assert seen((0, rates(40.0)), (1, rates(40.0)), (9, rates(40.0)), (10, rates(40.0))).latest is None


def test_rates_that_are_held_while_nothing_is_measured_count_once() -> None:
    held = rates(40.0)
    assert seen(*((time, held) for time in range(9))).latest is None


def test_the_latest_stays_at_rest() -> None:
    track = seen(*((time, rates(40.0)) for time in range(6)), (6, rates()))
    assert track.latest is not None


def test_a_request_that_ends_counts_by_itself() -> None:
    track = PaceTrack()
    track.end(request())
    assert track.latest is not None
    assert (track.latest.time, track.latest.tokens_per_second) == (9.0, 40.0)


@pytest.mark.parametrize(
    ("tokens", "rate", "tells"), [(49, 4.0, False), (50, 4.0, True), (300, 400.0, False), (300, 0.0, False)]
)
def test_a_request_tells_something_from_50_tokens_and_a_second_on(
    tokens: int, rate: float, tells: bool
) -> None:
    assert is_telling(request(tokens, rate)) is tells
