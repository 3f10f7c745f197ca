"""Xid errors that the driver reports: events, the words of a lost card, its page and the snapshot."""

from __future__ import annotations

import pytest
from tests.fakes.samples import START
from tests.scene import Gpu, Machine

from gpumon.app.insight.xids import OF_PROGRAMS, WORDS, xid_words
from gpumon.app.snapshot.build import build_snapshot
from gpumon.app.views.gpu_page import gpu_page

FALLEN = "Xid 79: has fallen off the bus"


def reports(*xids: int, state: str = "ok") -> Gpu:
    return Gpu(state=state, more={"xids": xids})  # type: ignore[arg-type]


def told(machine: Machine) -> list[tuple[str, str | None]]:
    return [(one.words, one.level) for one in machine.monitor.events.feed.past]


def page(machine: Machine) -> dict[str, list[str]]:
    [gpu] = machine.pictures.gpus()
    sections = gpu_page(gpu.uuid, machine.pictures, 300.0).sections
    return {one.title: [fact.value for fact in one.facts] for one in sections}


def test_a_fault_of_a_program_is_an_event_worth_a_look() -> None:
    machine = Machine(Gpu()).look().goes_on(1, reports(31))
    assert told(machine) == [(f"GPU 0: {xid_words(31).whole}", "watch")]
    assert machine.alerts() == [], "it does not last"


def test_what_is_no_programs_fault_is_bad() -> None:
    assert told(Machine(Gpu()).look().goes_on(1, reports(48)))[0][1] == "bad"


def test_the_same_again_is_counted_and_no_news() -> None:
    machine = Machine(Gpu()).look().goes_on(1, reports(13, 13)).goes_on(1, reports(13)).goes_on(1, Gpu())
    assert len(told(machine)) == 1
    [line] = page(machine)["XID ERRORS"]
    assert line.startswith(f"{xid_words(13).whole}, ")
    assert line.endswith(", 3 times")


def test_the_same_after_a_while_is_news() -> None:
    machine = Machine(Gpu()).look().goes_on(1, reports(13)).goes_on(70, Gpu()).goes_on(1, reports(13))
    assert len(told(machine)) == 2


def test_the_loss_of_a_card_names_what_it_was_lost_by_once() -> None:
    machine = Machine(Gpu()).look().goes_on(1, reports(79, state="lost"))
    assert machine.raised("gpu_lost").message == f"GPU 0 is lost: {FALLEN}"
    assert told(machine) == []
    assert "what has happened" not in str(page(machine))


def test_a_programs_fault_is_not_what_a_card_is_lost_by() -> None:
    machine = Machine(Gpu()).look().goes_on(1, reports(31)).goes_on(1, reports(state="lost"))
    assert machine.raised("gpu_lost").message == "GPU 0 is lost"


def test_where_the_driver_tells_nothing_the_kernels_log_is_named() -> None:
    machine = Machine(Gpu()).look().goes_on(1, reports(state="lost"))
    assert "sudo dmesg | grep -i xid" in page(machine)["LOST"]


def test_the_snapshot_lists_them() -> None:
    machine = Machine(Gpu()).look().goes_on(1, reports(79, state="lost"))
    [entry] = build_snapshot(machine.pictures).gpus
    [error] = entry.xid_errors
    assert (error.number, error.words, error.count) == (79, FALLEN, 1)
    assert error.last >= START


@pytest.mark.parametrize("number", sorted(WORDS))
def test_each_is_put_into_words_that_fit_a_line(number: int) -> None:
    assert xid_words(number).whole.startswith(f"Xid {number}: ")
    assert len(xid_words(number).whole) <= 80


def test_one_that_is_not_known_is_its_number() -> None:
    assert xid_words(999).whole == "Xid 999"
    assert 79 not in OF_PROGRAMS
