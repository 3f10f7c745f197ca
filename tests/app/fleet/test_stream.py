"""The lines of one host, and what may stand between them."""

from __future__ import annotations

import msgspec
import pytest
from tests.fakes.hosts import recording

from gpumon.app.alerts.limits import Limits
from gpumon.app.fleet.stream import MOST_NOISE_LINES, CannotReadError, Stream
from gpumon.app.monitor import Monitor
from gpumon.app.recording.lines import FORMAT, Header, encode_header

NOW = 1_790_000_000.0


class Scene:
    """A stream, with both clocks of this machine in the hands of the test."""

    def __init__(self) -> None:
        self.monitor = Monitor(Limits())
        self.now, self.wall = 100.0, NOW
        self.stream = Stream(self.monitor, lambda: self.now, lambda: self.wall)
        self.stream.begin()

    def take(self, *lines: bytes) -> None:
        for line in lines:
            self.stream.take(line)


LINES = recording("fits", NOW, 10)


def test_samples_reach_the_monitor_with_the_times_of_their_host() -> None:
    scene = Scene()
    scene.take(*LINES)
    assert scene.stream.samples == len(LINES) - 1
    assert NOW - 5 < scene.monitor.state.now < NOW
    assert scene.stream.arrived == 100.0


def test_what_a_shell_prints_before_is_left_out() -> None:
    scene = Scene()
    scene.take(b"Welcome to box!\n", b"\x1b[31m3 updates\n", *LINES)
    assert scene.stream.samples == len(LINES) - 1
    assert scene.stream.noise == "Welcome to box!"
    assert scene.stream.damaged == 0


def test_a_header_behind_a_line_without_an_end_is_found() -> None:
    scene = Scene()
    scene.take(b"\x1b]0;box\x07" + LINES[0], *LINES[1:])
    assert scene.stream.samples == len(LINES) - 1


def test_a_shell_that_prints_for_ever_is_told_by_its_first_line() -> None:
    scene = Scene()
    with pytest.raises(CannotReadError) as caught:
        scene.take(*[b"Welcome to \x1b[2J box!\n"] * (MOST_NOISE_LINES + 1))
    assert "Welcome to" in caught.value.cause.words
    assert "\x1b" not in caught.value.cause.words


@pytest.mark.parametrize(
    ("other", "hint"), [(FORMAT + 1, "update this one"), (FORMAT - 1, "update it there")]
)
def test_another_format_says_which_one_is_to_be_updated(other: int, hint: str) -> None:
    with pytest.raises(CannotReadError) as caught:
        Scene().take(encode_header(Header(gpumon_recording=other, version="9.0")))
    assert caught.value.cause.hint == hint
    assert "gpumon 9.0 there" in caught.value.cause.words


def test_types_and_fields_of_a_newer_version_are_left_out_and_counted() -> None:
    scene = Scene()
    newer = {**msgspec.json.decode(LINES[1]), "colour": "mauve"}
    scene.take(LINES[0], b'{"type":"of_tomorrow","time":1}\n', msgspec.json.encode(newer), b"{nonsense\n")
    assert (scene.stream.samples, scene.stream.unknown, scene.stream.damaged) == (1, 1, 1)


def test_another_version_there_is_known() -> None:
    scene = Scene()
    scene.take(encode_header(Header(version="0.0.1")))
    assert scene.stream.other_version == "0.0.1"


def test_what_was_known_before_a_new_run_is_void() -> None:
    scene = Scene()
    scene.take(*LINES)
    assert scene.monitor.state.models
    scene.stream.begin()
    scene.take(LINES[0])
    assert not scene.monitor.state.models


@pytest.mark.parametrize("ahead", [14.0, -14.0])
def test_clocks_that_differ_are_told_of_once_it_is_certain(ahead: float) -> None:
    scene = Scene()
    scene.take(LINES[0])
    for at, line in enumerate(recording("fits", NOW, 10)[-200:]):
        scene.now, scene.wall = 100.0 + at / 20, msgspec.json.decode(line)["time"] - ahead
        scene.take(line)
        if at == 0:
            assert scene.stream.clock_ahead_seconds is None
    assert scene.stream.clock_ahead_seconds == pytest.approx(ahead)


def test_a_difference_of_a_second_is_no_news() -> None:
    scene = Scene()
    scene.take(LINES[0])
    for at, line in enumerate(LINES[-200:]):
        scene.now, scene.wall = 100.0 + at / 20, msgspec.json.decode(line)["time"] - 1
        scene.take(line)
    assert scene.stream.clock_ahead_seconds is None


def test_what_has_waited_on_its_way_is_no_clock_that_is_behind() -> None:
    scene = Scene()
    scene.take(LINES[0])
    for at, line in enumerate(LINES[-200:]):
        late = max(0.0, 60.0 - at / 2)
        scene.now, scene.wall = 100.0 + at / 20, msgspec.json.decode(line)["time"] + late
        scene.take(line)
        assert scene.stream.clock_ahead_seconds is None
