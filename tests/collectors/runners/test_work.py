"""What of two looks at the slots shows that no counter has moved in between."""

from __future__ import annotations

import pytest

from gpumon.collectors.samples import Slot
from gpumon.collectors.servers.llama_server.conversation import Work


def slot(
    slot_id: int = 0, task: int | None = 7, decoded: int | None = None, *, processing: bool = True
) -> Slot:
    return Slot(slot_id=slot_id, task_id=task, decoded_tokens=decoded, processing=processing)


def goes_on(before: list[Slot], after: list[Slot]) -> bool:
    work = Work()
    work.see(tuple(before))
    return work.goes_on(tuple(after))


def test_before_a_first_look_nothing_is_known_to_go_on() -> None:
    assert not Work().goes_on((slot(),))


def test_a_request_that_generates_goes_on() -> None:
    assert goes_on([slot(decoded=5)], [slot(decoded=50)])


def test_a_prompt_that_is_read_goes_on() -> None:
    assert goes_on([slot(decoded=0)], [slot(decoded=None)])


def test_the_first_token_moves_the_counters_of_the_prompt() -> None:
    assert not goes_on([slot(decoded=0)], [slot(decoded=1)])


@pytest.mark.parametrize(
    "after",
    [
        [slot(task=7, decoded=5, processing=False)],
        [slot(task=8, decoded=5)],
        [slot(task=7, decoded=4)],
        [slot(slot_id=1, task=7, decoded=5)],
        [slot(task=7, decoded=5), slot(1, task=8)],
        [],
    ],
    ids=["ended", "another", "again after a reload", "in another slot", "one more", "no slots"],
)
def test_what_has_begun_or_ended_does_not_go_on(after: list[Slot]) -> None:
    assert not goes_on([slot(task=7, decoded=5)], after)


def test_a_request_that_came_and_went_between_two_looks_shows_in_its_slot() -> None:
    works = slot(0, task=7, decoded=5)
    before = [works, slot(1, task=3, processing=False)]
    assert goes_on(before, before)
    assert not goes_on(before, [works, slot(1, task=8, processing=False)])


def test_a_build_that_does_not_number_its_requests_cannot_tell() -> None:
    assert not goes_on([slot(task=None, decoded=5)], [slot(task=None, decoded=6)])


def test_slots_that_cannot_be_had_tell_nothing() -> None:
    work = Work()
    work.see((slot(),))
    assert not work.goes_on(None)
