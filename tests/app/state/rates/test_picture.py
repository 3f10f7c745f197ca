"""How long a step of a picture takes: as it is stated, by two looks, and against earlier pictures."""

from __future__ import annotations

from typing import Any

import pytest

from gpumon.app.state.rates.picture import Drawing, PictureTrack
from gpumon.collectors.samples import PictureJob, WorkSample


def look(
    track: PictureTrack, at: float, step: int | None = None, *, received: float | None = None, **job: object
) -> Drawing | None:
    told: dict[str, Any] = {
        "job_id": "a",
        "step": step,
        "step_count": 20,
        "width": 1024,
        "height": 1024,
        **job,
    }
    is_over = told["job_id"] is None
    work = WorkSample("ready", job=None if is_over else PictureJob(**told), time=at, source="http://x")
    track.feed(work, "sdxl", received)
    return track.now


def drawn(track: PictureTrack, seconds_per_step: float, at: float = 0.0, job_id: str = "a") -> None:
    for step in range(1, 6):
        look(track, at + step, step, seconds_per_step=seconds_per_step, job_id=job_id)
    look(track, at + 6, job_id=None)


def test_what_is_stated_counts() -> None:
    now = look(PictureTrack(), 0.0, 7, seconds_per_step=1.4, seconds_left=18.0)
    assert now is not None
    assert (now.seconds_per_step, now.seconds_left, now.fraction) == (1.4, 18.0, 0.35)


def test_two_looks_tell_where_nothing_is_stated() -> None:
    track = PictureTrack()
    for second, step in enumerate((0, 0, 1, 1, 2, 2, 3)):
        now = look(track, float(second), step)
    assert now is not None
    assert now.seconds_per_step == 2.0
    assert now.seconds_left == 34.0


def test_one_look_tells_nothing() -> None:
    now = look(PictureTrack(), 0.0, 7)
    assert now is not None
    assert (now.seconds_per_step, now.seconds_left) == (None, None)


def test_steps_that_begin_again_are_another_part_of_the_job() -> None:
    track = PictureTrack()
    look(track, 0.0, 18)
    look(track, 1.0, 20)
    now = look(track, 2.0, 1)
    assert now is not None
    assert now.seconds_per_step is None


def test_a_job_that_has_ended_is_none_of_now() -> None:
    track = PictureTrack()
    look(track, 0.0, 7)
    assert look(track, 1.0, job_id=None) is None


def test_earlier_pictures_of_the_same_sort_are_the_measure() -> None:
    track = PictureTrack()
    drawn(track, 1.4)
    drawn(track, 1.6, at=10.0, job_id="b")
    now = look(track, 20.0, 1, job_id="c", seconds_per_step=5.2)
    assert now is not None
    assert now.best_seconds_per_step == 1.4


def test_pictures_of_another_size_are_no_measure() -> None:
    track = PictureTrack()
    drawn(track, 1.4)
    now = look(track, 20.0, 1, job_id="c", width=2048)
    assert now is not None
    assert now.best_seconds_per_step is None


@pytest.mark.parametrize(
    ("received", "told"),
    [
        pytest.param((9e9, 8e9, 9e9, 9e9), 8e9, id="at each look"),
        pytest.param((9e9, 1e6, 9e9, 9e9), 1e6, id="not at each"),
        pytest.param((9e9, 9e9, 9e9), None, id="at too few"),
        pytest.param((9e9, None, 9e9, 9e9), None, id="where one was not told"),
    ],
)
def test_traffic_counts_that_lasts(received: tuple[float | None, ...], told: float | None) -> None:
    track = PictureTrack()
    for second, rate in enumerate(received):
        now = look(track, float(second), second, received=rate)
    assert now is not None
    assert now.streamed_bytes_per_second == told
