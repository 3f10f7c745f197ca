"""The life of one alert, with times and findings made up."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

from hypothesis import given
from hypothesis import strategies as st

from gpumon.app.alerts.alert import CLEAR, UNKNOWN, Alert, AlertEvent, Finding
from gpumon.app.alerts.limits import Limits
from gpumon.app.alerts.watcher import Watcher

Level = Literal["clear", "unknown", "watch", "bad"]
LEVELS: dict[str, Level] = {"b": "bad", "w": "watch", ".": "clear", "?": "unknown"}
HOLD, CLEAR_AFTER = 3.0, 4.0


def finding(level: Level, measure: float | None = None, since: float | None = None) -> Finding:
    if level in {"clear", "unknown"}:
        return CLEAR if level == "clear" else UNKNOWN
    return Finding(
        level=level,
        subject="GPU 0",
        message=f"measured {measure}",
        further=f"grown to {measure}",
        hold_seconds=HOLD,
        measure=measure,
        step=5.0,
        since=since,
    )


class Life:
    """Feeds findings, one a second unless told otherwise, and keeps the events."""

    def __init__(self) -> None:
        self.events: list[AlertEvent] = []
        self.now = -1.0
        self._watcher: Watcher[str, Finding] = Watcher(
            "too_hot", lambda found, _limits, _active: found, Limits(), clear_seconds=CLEAR_AFTER
        )

    def take(self, found: Finding | None, after: float = 1.0) -> None:
        """Go on by ``after`` seconds; ``None`` is a subject that is no longer there."""
        self.now += after
        subjects = {} if found is None else {"GPU-0": found}
        self.events += self._watcher.observe(subjects, lambda _: self.now, self.now)

    def live(self, signs: str) -> Life:
        """Take one finding a second: ``b`` bad, ``w`` watch, ``.`` clear, ``?`` unknown."""
        for sign in signs:
            self.take(finding(LEVELS[sign]))
        return self

    @property
    def alert(self) -> Alert | None:
        return next(iter(self._watcher.active()), None)

    @property
    def changes(self) -> list[str]:
        return [event.change for event in self.events]


def test_trouble_shorter_than_its_hold_is_never_heard_of() -> None:
    assert Life().live("bbb.bbb.").changes == []


def test_lasting_trouble_is_raised_once_and_dated_from_its_first_sign() -> None:
    life = Life().live("bbbbbbbbbbbbbbbbbbbb")
    assert life.changes == ["raised"]
    assert life.alert is not None
    assert life.alert.since == 0.0


def test_trouble_that_began_before_it_was_seen_is_dated_from_then() -> None:
    life = Life()
    life.take(finding("bad", since=-10.0))
    assert life.alert is not None
    assert life.alert.since == -10.0


def test_an_alert_ends_after_its_clear_time_and_is_dated_from_the_first_good_sign() -> None:
    life = Life().live("bbbb.....")
    assert life.changes == ["raised", "ended"]
    assert (life.events[-1].alert.until, life.events[-1].alert.ended) == (4.0, "recovered")


def test_trouble_that_returns_while_clearing_is_the_same_alert() -> None:
    life = Life().live("bbbb....b....")
    assert life.changes == ["raised"]


def test_unknown_neither_raises_nor_clears() -> None:
    assert Life().live("b????????????????????").changes == []
    life = Life().live("bbbb.????????????????????")
    assert life.changes == ["raised"]


def test_a_subject_that_vanishes_ends_its_alert_at_once() -> None:
    life = Life().live("bbbb")
    life.take(None)
    assert [(event.change, event.alert.ended) for event in life.events[1:]] == [("ended", "gone")]


def test_a_subject_that_vanishes_while_pending_is_forgotten() -> None:
    life = Life().live("bb")
    life.take(None)
    assert life.live("bb").changes == []


def test_a_worse_level_renews_once_it_lasts() -> None:
    life = Life().live("wwwwbbbwbbbbbbbbbb")
    assert life.changes == ["raised", "renewed"]
    assert life.alert is not None
    assert (life.alert.severity, life.alert.renewed, life.alert.since) == ("bad", 11.0, 0.0)


def test_severity_stays_the_worst_it_has_been() -> None:
    life = Life().live("bbbbwwwwwwwwwwwwwwwwwwww")
    assert life.alert is not None
    assert life.alert.severity == "bad"


def test_growth_by_a_step_renews_and_says_so_until_it_shrinks_again() -> None:
    life = Life()
    for measure in (10, 10, 10, 10, 15, 16, 10):
        life.take(finding("bad", measure))
        messages = life.alert.message if life.alert else None
        if measure >= 15:
            assert messages == f"grown to {measure}"
    assert life.changes == ["raised", "renewed"]
    assert life.alert is not None
    assert (life.alert.message, life.alert.peak) == ("measured 10", 16)


signs = st.text("bw.?", max_size=120)
steps = st.lists(
    st.tuples(
        st.sampled_from([*LEVELS.values(), None]),
        st.floats(0, 10),
        st.integers(0, 100),
    ),
    max_size=80,
)


@given(signs, st.integers(1, 3))
def test_values_that_alternate_faster_than_the_hold_raise_at_most_once(found: str, spell: int) -> None:
    life = Life().live(found)
    before = life.changes.count("raised")
    for _ in range(20):
        life.live("b" * spell + "." * spell)
    assert life.changes.count("raised") <= before + 1


@given(signs)
def test_raises_are_bounded_by_time(found: str) -> None:
    life = Life().live(found)
    assert life.changes.count("raised") <= len(found) / (HOLD + CLEAR_AFTER) + 1


@given(steps)
def test_events_come_in_order_and_spans_of_one_subject_do_not_overlap(
    found: list[tuple[Level | None, float, int]],
) -> None:
    life = Life()
    for level, after, measure in found:
        life.take(None if level is None else finding(level, measure), after)
    open_or_shut = [change for change in life.changes if change != "renewed"]
    assert open_or_shut[::2] == ["raised"] * len(open_or_shut[::2])
    assert open_or_shut[1::2] == ["ended"] * len(open_or_shut[1::2])
    ended = [event.alert for event in life.events if event.change == "ended"]
    assert all(alert.until is not None and alert.since <= alert.until for alert in ended)
    assert all(a.until is not None and a.until <= b.since for a, b in pairwise(ended))
    assert sum(alert.duration_seconds(life.now) for alert in ended) <= life.now + 1
    assert (life.alert is not None) == (len(open_or_shut) % 2 == 1)


@given(steps)
def test_the_peak_is_the_highest_measure_while_active(found: list[tuple[Level | None, float, int]]) -> None:
    life, seen = Life(), 0
    for level, after, measure in found:
        life.take(None if level is None else finding(level, measure), after)
        if life.alert is None:
            seen = 0
        elif level in {"watch", "bad"}:
            seen = max(seen, measure)
            assert life.alert.peak == seen
