from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gpumon.collectors.servers.llama_server.conversation import IDLE_SECONDS, IdlePace

hints = st.lists(st.sampled_from([None, False, True]), max_size=200)


@given(hints)
def test_false_alarms_and_the_timer_ask_no_more_than_once_in_10_seconds(hints: list[bool | None]) -> None:
    pace = IdlePace()
    asked: list[float] = []
    for turn, hint in enumerate(hints):
        if pace.due(now := turn / 4, hint):
            asked.append(now)
            pace.found_idle(now, hint, was_busy=False)
    alarms = [later - earlier for earlier, later in zip(asked, asked[2:], strict=False)]
    assert all(gap >= IDLE_SECONDS for gap in alarms), "a hint may follow one turn of the timer"


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
