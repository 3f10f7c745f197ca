"""Fuses: what fails costs its own part, is named while it lasts, is logged once, and mends itself."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from gpumon.app.fuses import FORGOTTEN_SECONDS, LOGGED_AT_MOST, UNFUSED, Fuses

pytestmark = pytest.mark.internal_errors


def fail(error: Exception) -> None:
    raise error


def blow(
    fuses: Fuses, place: str = "rule spill", part: object = None, error: Exception | None = None
) -> None:
    with fuses.guard(place, part):
        fail(error or KeyError("x"))


def work(fuses: Fuses, place: str = "rule spill", part: object = None) -> None:
    with fuses.guard(place, part):
        pass


def test_while_all_is_well_nothing_is_said() -> None:
    fuses = Fuses()
    work(fuses)
    assert (fuses.words(), fuses.places, fuses.revision) == (None, (), 0)


def test_what_fails_is_named_and_raises_nothing() -> None:
    fuses = Fuses()
    blow(fuses)
    assert fuses.words() == "internal error in rule spill"
    assert fuses.revision == 1


def test_of_several_that_fail_the_first_is_named_and_the_others_are_counted() -> None:
    fuses = Fuses()
    for place in ("rule spill", "panel gpus", "diagnosis"):
        blow(fuses, place)
    assert fuses.words() == "internal error in rule spill and 2 more"


def test_it_mends_itself_when_it_works_again() -> None:
    fuses = Fuses()
    blow(fuses)
    work(fuses)
    assert (fuses.words(), fuses.revision) == (None, 2)


def test_another_place_that_works_mends_nothing() -> None:
    fuses = Fuses()
    blow(fuses)
    work(fuses, "rule stuck")
    assert fuses.places == ("rule spill",)


def test_a_place_has_failed_as_long_as_one_of_its_parts_has() -> None:
    fuses = Fuses()
    for part in ("a", "b"):
        blow(fuses, part=part)
    work(fuses, part="a")
    assert fuses.places == ("rule spill",)
    work(fuses, part="b")
    assert fuses.words() is None


@pytest.mark.parametrize(("later", "is_told"), [(FORGOTTEN_SECONDS - 0.1, True), (FORGOTTEN_SECONDS, False)])
def test_what_is_tried_no_more_is_forgotten_after_a_while(later: float, is_told: bool) -> None:
    fuses = Fuses()
    fuses.pass_time(1000.0)
    blow(fuses)
    fuses.pass_time(1000.0 + later)
    assert (fuses.words() is not None) == is_told


@pytest.mark.parametrize("leaving", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_what_ends_the_program_on_purpose_passes(leaving: type[BaseException]) -> None:
    with pytest.raises(leaving), Fuses().guard("rule spill"):
        raise leaving


def test_without_fuses_an_exception_is_raised() -> None:
    with pytest.raises(KeyError), UNFUSED.guard("rule spill"):
        raise KeyError("x")


def records(caplog: pytest.LogCaptureFixture, level: int) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == level]


def one(fuses: Fuses) -> None:
    blow(fuses, error=KeyError("a"))


def other_type(fuses: Fuses) -> None:
    blow(fuses, error=ValueError("b"))


def other_place(fuses: Fuses) -> None:
    blow(fuses, "rule stuck", error=KeyError("c"))


def other_line(fuses: Fuses) -> None:
    with fuses.guard("rule spill"):
        raise KeyError("d")


@pytest.mark.parametrize(
    ("second", "times"),
    [(one, 1), (other_type, 2), (other_place, 2), (other_line, 2)],
    ids=["same", "type", "place", "line"],
)
def test_the_same_failure_is_logged_once(
    caplog: pytest.LogCaptureFixture, second: Callable[[Fuses], None], times: int
) -> None:
    fuses = Fuses()
    one(fuses)
    for _ in range(3):
        second(fuses)
    found = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(found) == times
    assert all(record.exc_info is not None for record in found), "with its traceback"


def test_a_recovery_is_logged_once_however_often_it_comes_and_goes(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    fuses = Fuses()
    for _ in range(5):
        blow(fuses)
        work(fuses)
    assert records(caplog, logging.INFO) == ["rule spill has recovered"]
    assert records(caplog, logging.ERROR) == ["internal error in rule spill"]


def test_failures_without_end_do_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    fuses = Fuses()
    for number in range(LOGGED_AT_MOST + 50):
        blow(fuses, f"rule {number}")
    assert len(records(caplog, logging.ERROR)) == LOGGED_AT_MOST
