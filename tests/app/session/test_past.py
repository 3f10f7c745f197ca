"""The instant that the screen shows, and the keys that move it, without a screen."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from tests.app.feeds.test_ring import story
from tests.fakes.playing import START

from gpumon.app.alerts.limits import Limits
from gpumon.app.monitor import Monitor
from gpumon.app.session.past import Past, ago_words

UNTIL = 430


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


class Looking:
    """A monitor that has seen the model spill and come right again, and what looks back on it."""

    def __init__(self) -> None:
        self.live = Monitor(Limits())
        self.past = Past(self.live)
        self._fed = 0
        self.go_on(UNTIL)

    def go_on(self, seconds: float) -> None:
        """Feed what comes until a second of the story."""
        until = len(story("spill", int(seconds)))
        for sample in story("spill")[self._fed : until]:
            self.live.feed(sample)
        self._fed = until

    @property
    def second(self) -> float:
        """The second of the story that is shown."""
        return round(self.past.shown.state.now - START, 3)

    @property
    def told(self) -> int:
        """How many events are told where it is."""
        feed = self.past.shown.events.feed
        return len(feed.ongoing) + len(feed.past)


@pytest.fixture
def looking() -> Looking:
    return Looking()


def test_it_begins_now(looking: Looking) -> None:
    assert looking.past.shown is looking.live
    assert looking.past.mark == ""


def test_back_and_on_by_so_much(looking: Looking) -> None:
    looking.past.seek_by(-60)
    assert looking.second == pytest.approx(UNTIL - 60, abs=1.5)
    looking.past.seek_by(10)
    assert looking.second == pytest.approx(UNTIL - 50, abs=1.5)


def test_the_mark_says_how_long_ago_and_when(looking: Looking) -> None:
    looking.past.seek(START + 320)
    assert looking.past.mark == "1 min ago · 13:52:00"


def test_what_is_shown_stands_still_while_samples_come(looking: Looking) -> None:
    looking.past.seek(START + 320)
    shown, revision = looking.past.shown, looking.past.shown.revision
    looking.go_on(UNTIL + 20)
    assert looking.past.shown is shown
    assert shown.revision == revision
    assert looking.live.state.now > START + UNTIL + 15
    assert looking.past.mark == "2 min ago · 13:52:00"


def test_past_the_newest_sample_is_now(looking: Looking) -> None:
    looking.past.seek_by(-5)
    looking.past.seek_by(60)
    assert looking.past.shown is looking.live
    assert looking.past.seek_by(1) == "this is now"


def test_the_oldest_says_why_there_is_nothing_before(looking: Looking) -> None:
    words = looking.past.to_oldest()
    assert words == "no further: watching since 13:46:40"
    assert looking.second == 0
    assert looking.past.seek_by(-1) == words


def test_from_event_to_event_back_to_now(looking: Looking) -> None:
    newest = looking.told
    seen = []
    while not looking.past.to_event(-1):
        seen.append((looking.second, looking.told))
    assert [told for _, told in seen] == [newest, newest - 1, 3, 1]
    assert seen == sorted(seen, reverse=True)
    assert looking.past.to_event(-1) == "no event before this: watching since 13:46:40"
    for second, _ in reversed(seen[:-1]):
        looking.past.to_event(1)
        assert looking.second == second
    looking.past.to_event(1)
    assert looking.past.at is None


def test_of_an_event_the_screen_is_shown_on_which_it_is_told(looking: Looking) -> None:
    looking.past.to_oldest()
    looking.past.to_event(1)
    assert looking.told == 1
    looking.past.seek_by(-1)
    assert looking.told == 0


@pytest.mark.internal_errors
def test_what_cannot_be_reached_is_no_trap(looking: Looking, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: object, __: bytes) -> None:
        raise ValueError

    monkeypatch.setattr(Monitor, "thaw", broken)
    looking.past.seek(START + 320)
    assert looking.past.shown is looking.live
    assert looking.past.at is None
    assert "looking back" in looking.live.fuses.places


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.4, "0 s"), (59, "59 s"), (60, "1 min"), (3599, "59 min"), (3840, "1 h 04 min")]
)
def test_how_long_ago(seconds: float, words: str) -> None:
    assert ago_words(seconds) == words
