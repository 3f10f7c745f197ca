"""The verdict on a model that is slower than it usually is."""

from __future__ import annotations

from tests.scene import Model, loaded

from gpumon.app.diagnosis.diagnose import diagnose
from gpumon.app.diagnosis.diagnosis import Verdict


def found(desk: Model) -> list[Verdict]:
    verdicts = diagnose(desk.record, desk.monitor.state).verdicts
    return [verdict for verdict in verdicts if verdict.kind == "below_baseline"]


def usual_desk() -> Model:
    desk = loaded()
    desk.usual(40.0)
    return desk


def test_it_names_both_rates_and_says_on_how_much_it_rests() -> None:
    desk = usual_desk()
    desk.request(8.0, 10)
    [verdict] = found(desk)
    assert verdict.sentence == (
        "llama3:70b is slower than usual: 8.0 tok/s instead of 40 tok/s, for no visible reason"
    )
    assert [one.source for one in verdict.evidence] == ["/slots", "learned from 7 requests"]


def test_there_is_none_at_the_usual_rate() -> None:
    desk = usual_desk()
    desk.request(40.0, 10)
    assert found(desk) == []


def test_there_is_none_where_another_verdict_says_why() -> None:
    desk = usual_desk()
    desk.ram_gib = 7.5
    desk.request(8.0, 10)
    assert found(desk) == []
