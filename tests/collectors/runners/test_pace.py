from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gpumon.collectors.runners.pace import IDLE_SECONDS, IdlePace

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
