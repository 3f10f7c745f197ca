"""Since when requests wait: what begins it, what ends it, what changes nothing."""

from __future__ import annotations

from gpumon.app.state.rates.waits import STANDS_SECONDS, WaitTrack
from gpumon.collectors.samples import WorkCounters, WorkSample


def look(at: float, waiting: int | None) -> WorkSample:
    counters = WorkCounters(requests_deferred=waiting)
    return WorkSample(time=at, source="runner 1", state="ready", counters=counters)


def fed(*looks: tuple[float, int | None]) -> WaitTrack:
    track = WaitTrack()
    for at, waiting in looks:
        track.feed(look(at, waiting))
    return track


def test_it_counts_once_somebody_has_waited_for_ten_seconds() -> None:
    assert fed((0, 1), (5, 2), (9.9, 1)).since(9.9) is None
    assert fed((0, 1), (5, 2), (10, 1)).since(10) == 0


def test_before_that_one_look_without_anybody_begins_it_anew() -> None:
    assert fed((0, 1), (5, 0), (6, 1), (15, 1)).since(15) is None


def test_after_that_a_moment_without_anybody_is_no_end() -> None:
    assert fed((0, 1), (10, 1), (12, 0), (14, 0)).since(14) == 0
    assert fed((0, 1), (10, 1), (12, 0), (15, 0)).since(15) is None


def test_a_look_that_does_not_say_who_waits_changes_nothing() -> None:
    assert fed((0, 1), (10, 1), (15, None)).since(15) == 0


def test_without_a_look_it_does_not_stand_for_ever() -> None:
    track = fed((0, 1), (10, 1))
    assert track.since(10 + STANDS_SECONDS) == 0
    assert track.since(11 + STANDS_SECONDS) is None


def test_after_such_a_gap_it_begins_anew() -> None:
    assert fed((0, 1), (10, 1), (60, 1)).since(60) is None
