from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from gpumon.collectors.servers.llama_server.pace import IdlePace

hints = st.lists(st.sampled_from([False, True]), max_size=800)
mixed = st.lists(st.sampled_from([None, False, True]), max_size=800)


def questions(hints: Sequence[bool | None]) -> list[float]:
    """Return when a server that has nothing to do is asked, four turns a second."""
    pace = IdlePace()
    asked: list[float] = []
    for turn, hint in enumerate(hints):
        if pace.due(now := turn / 4, hint):
            asked.append(now)
            pace.found_idle(now, hint, was_busy=False)
    return asked


def most_in_a_minute(times: list[float]) -> int:
    return max((sum(one <= other < one + 60 for other in times) for one in times), default=0)


@given(hints)
def test_false_alarms_ask_no_more_than_six_times_a_minute(hints: list[bool | None]) -> None:
    assert most_in_a_minute(questions(hints)) <= 6


@given(mixed)
def test_false_alarms_and_the_timer_together_ask_no_more_than_twice_that(hints: list[bool | None]) -> None:
    assert most_in_a_minute(questions(hints)) <= 12


def test_a_hint_that_is_always_wrong_costs_less_and_less() -> None:
    asked = questions([True] * 4 * 120)
    assert asked == [0, 2, 6, 14, 28, 48, 68, 88, 108]


def test_after_one_false_alarm_it_listens_again_within_two_seconds() -> None:
    pace = IdlePace()
    pace.found_idle(0.0, active=True, was_busy=False)
    assert not pace.due(1.75, active=True)
    assert pace.due(2.0, active=True)


def test_false_alarms_are_forgotten_once_work_is_found() -> None:
    pace = IdlePace()
    for now in (0.0, 10.0, 20.0):
        pace.found_idle(now, active=True, was_busy=False)
    assert not pace.due(27.75, active=True)
    pace.found_idle(28.0, active=True, was_busy=True)
    assert pace.due(30.0, active=True)


def test_false_alarms_are_forgotten_after_a_minute_of_rest() -> None:
    pace = IdlePace()
    for now in (0.0, 10.0, 20.0):
        pace.found_idle(now, active=True, was_busy=False)
    pace.due(25.0, active=False)
    pace.due(80.0, active=True)
    pace.found_idle(80.0, active=True, was_busy=False)
    assert pace.due(82.0, active=True), "as after the first"


def test_the_use_of_the_processor_by_a_load_is_no_false_alarm() -> None:
    pace = IdlePace()
    pace.found_idle(0.0, None, was_busy=False)
    pace.found_loaded(0.0)
    assert not pace.due(1.0, active=True), "the echo of the load"
    assert pace.due(2.0, active=True)


def test_what_was_taken_for_an_echo_is_looked_into_once_when_the_server_rests() -> None:
    pace = IdlePace()
    pace.found_idle(0.0, active=True, was_busy=True)
    assert not pace.due(1.0, active=True), "an echo, or a request of half a second"
    assert pace.due(2.0, active=False)
    pace.found_idle(2.0, active=False, was_busy=False)
    assert not any(pace.due(float(later), active=False) for later in range(3, 100))


def test_while_requests_follow_one_another_each_turn_asks() -> None:
    pace = IdlePace()
    for now in (0.0, 5.0):
        pace.found_idle(now, active=True, was_busy=True)
    assert all(pace.due(5.0 + later, active=True) for later in (0.25, 1.0, 4.0))
    assert not pace.due(5.25, active=False), "it rests: the next question would tell nothing"
    pace.found_idle(6.0, active=True, was_busy=False)
    assert pace.due(6.25, active=True), "between two of them it is idle, and that is no false alarm"


def test_requests_far_apart_do_not_follow_one_another() -> None:
    pace = IdlePace()
    for now in (0.0, 6.25):
        pace.found_idle(now, active=True, was_busy=True)
    assert not pace.due(7.0, active=True)


def test_without_a_hint_the_next_of_several_requests_is_awaited_for_four_seconds() -> None:
    pace = IdlePace()
    for now in (0.0, 5.0):
        pace.found_idle(now, None, was_busy=True)
    assert not pace.due(5.75, None)
    assert pace.due(6.0, None)
    assert not pace.due(9.25, None)


@given(st.floats(0, 1e6))
def test_a_hint_after_rest_is_followed_at_once(now: float) -> None:
    pace = IdlePace()
    pace.found_idle(now, active=True, was_busy=True)
    assert not pace.due(now + 0.25, active=True), "the echo of the request that has ended"
    assert not pace.due(now + 0.5, active=False)
    assert pace.due(now + 0.75, active=True)


def test_a_patient_pace_doubles_the_pause_while_nothing_happens() -> None:
    pace, now, pauses = IdlePace(patient=True), 0.0, []
    pace.found_idle(now, None, was_busy=False)
    for _ in range(9):
        asked = now
        while not pace.due(now, None):
            now += 1
        pauses.append(now - asked)
        pace.found_idle(now, None, was_busy=False)
    assert pauses == [10, 20, 40, 80, 160, 320, 640, 900, 900]


def test_a_patient_pace_starts_anew_after_a_request() -> None:
    pace = IdlePace(patient=True)
    for now in (0.0, 10.0, 30.0):
        pace.found_idle(now, None, was_busy=False)
    pace.found_idle(70.0, None, was_busy=True)
    assert pace.due(80.0, None)


def test_counters_alone_keep_no_model_awake_so_the_pause_stays() -> None:
    pace = IdlePace(patient=True)
    for now in (0.0, 10.0, 20.0):
        pace.found_idle(now, None, was_busy=False, slots_read=False)
    assert pace.due(30.0, None)
