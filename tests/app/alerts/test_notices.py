"""What a person hears of alerts: each once, its end, and of many at once a summary."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec
from tests.fakes.virtual_time import run

from gpumon.app.alerts.alert import Alert, AlertEvent, Severity
from gpumon.app.alerts.notices import AT_ONCE, LONGEST_SECONDS, QUIET_SECONDS, SPAN_SECONDS, Notice, Notifier


def alert(subject: str, severity: Severity = "bad") -> Alert:
    return Alert(
        kind="spill",
        subject_id=subject,
        subject=subject,
        severity=severity,
        since=1000.0,
        message=f"{subject} spilled: 5.5 GiB (38%) in RAM",
    )


def raised(subject: str, severity: Severity = "bad") -> AlertEvent:
    return AlertEvent("raised", alert(subject, severity))


def ended(subject: str, severity: Severity = "bad") -> AlertEvent:
    over = msgspec.structs.replace(alert(subject, severity), until=1252.0, ended="recovered")
    return AlertEvent("ended", over)


def heard(*steps: AlertEvent | float, level: Severity = "bad") -> list[Notice]:
    """Tell of events, with pauses in seconds between them; return what was sent until then."""
    sent: list[Notice] = []

    async def tell() -> None:
        notifier = Notifier(sent.append, "box", level)
        for step in steps:
            if isinstance(step, AlertEvent):
                notifier.tell(step)
            else:
                await asyncio.sleep(step)

    run(tell())
    return sent


def test_what_is_bad_is_told_with_the_machine_it_is_on() -> None:
    assert heard(raised("a")) == [Notice("gpumon on box", "a spilled: 5.5 GiB (38%) in RAM", "bad")]


def test_its_end_is_told_with_how_long_it_lasted() -> None:
    _, over = heard(raised("a"), ended("a"))
    assert over == Notice(
        "gpumon on box: over", "well again after 4m 12s: a spilled: 5.5 GiB (38%) in RAM", "over"
    )


def test_what_is_only_to_be_watched_is_told_where_that_is_wanted() -> None:
    assert heard(raised("a", "watch"), ended("a", "watch")) == []
    assert len(heard(raised("a", "watch"), ended("a", "watch"), level="watch")) == 2


def test_one_that_gets_worse_is_told_then() -> None:
    worse = AlertEvent("renewed", alert("a"))
    assert [notice.level for notice in heard(raised("a", "watch"), worse)] == ["bad"]


def test_the_end_of_what_nobody_heard_of_is_not_told() -> None:
    assert heard(ended("a")) == []


def test_what_has_happened_and_does_not_last_has_no_end() -> None:
    event = msgspec.structs.replace(alert("GPU 0"), until=1000.0, ended="event")
    assert len(heard(AlertEvent("raised", event), AlertEvent("ended", event))) == 1


def test_of_a_storm_the_first_are_told_and_the_others_once_it_is_over() -> None:
    storm = [raised(f"m{number}") for number in range(20)]
    during, after = heard(*storm), heard(*storm, QUIET_SECONDS + 1)
    assert len(during) == AT_ONCE
    assert after[AT_ONCE:] == [
        Notice(
            "gpumon on box",
            "17 more alerts: 17 go on\n"
            + "\n".join(f"m{number} spilled: 5.5 GiB (38%) in RAM" for number in (3, 4, 5))
            + "\nand 14 more",
            "bad",
        )
    ]


def test_what_has_come_and_gone_in_a_storm_is_one_that_is_over() -> None:
    storm = [raised(f"m{number}") for number in range(6)]
    over = [ended(f"m{number}") for number in range(6)]
    (*_, summary) = heard(*storm, *over, QUIET_SECONDS + 1)
    assert summary == Notice("gpumon on box", "6 more alerts: 6 are over", "over")


def test_a_storm_that_goes_on_is_told_of_now_and_then() -> None:
    storm: list[AlertEvent | float] = []
    for number in range(100):
        storm += [raised(f"m{number}"), QUIET_SECONDS / 2]
    told = heard(*storm, QUIET_SECONDS)
    assert len(told) <= AT_ONCE + 1000 / LONGEST_SECONDS + 1


def test_some_that_come_apart_are_told_one_by_one() -> None:
    apart: list[AlertEvent | float] = []
    for number in range(10):
        apart += [raised(f"m{number}"), SPAN_SECONDS]
    assert len(heard(*apart)) == 10


def test_several_machines_are_told_apart() -> None:
    sent: list[Notice] = []

    async def tell() -> None:
        notifier = Notifier(sent.append, "box")
        notifier.tell(raised("a"), "attic")
        notifier.tell(ended("a"), "rig")  # of another machine: nobody has heard of it
        notifier.tell(ended("a"), "attic")
        notifier.tell(raised("b"))
        notifier.tell(raised("c"), "attic")
        notifier.close()

    run(tell())
    assert [notice.title for notice in sent] == [
        "gpumon on attic",
        "gpumon on attic: over",
        "gpumon on box",
        "gpumon on box",
    ]
    assert sent[-1].body.endswith("\nattic: c spilled: 5.5 GiB (38%) in RAM")


def test_what_waits_is_told_at_the_end_of_the_run() -> None:
    sent: list[Notice] = []

    async def tell() -> None:
        notifier = Notifier(sent.append, "")
        for number in range(5):
            notifier.tell(raised(f"m{number}"))
        notifier.close()

    run(tell())
    assert [notice.title for notice in sent] == ["gpumon"] * 4
    assert sent[-1].body.startswith("2 more alerts: 2 go on\n")


def test_nothing_waits_for_who_sends() -> None:
    send: Callable[[Notice], None] = lambda _: None  # noqa: E731

    async def tell() -> None:
        Notifier(send, "box").tell(raised("a"))
        assert len(asyncio.all_tasks()) == 1

    run(tell())
