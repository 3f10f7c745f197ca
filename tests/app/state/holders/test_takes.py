"""Who took how much of a GPU, and when."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.fakes.samples import GIB, START
from tests.scene import Gpu, Machine, Program

from gpumon.app.state.holders.takes import STEPS_KEPT
from gpumon.app.state.records import Hold

PID = 700


def machine(gib: float = 0.0, *, seconds: int = 3) -> tuple[Machine, Program]:
    """Return a machine with a program that held so much before anybody looked."""
    one = Machine(Gpu(gib=24))
    program = one.starts(Program("blender", gib, PID))
    one.goes_on(seconds)
    return one, program


def held(one: Machine) -> Hold:
    [gpu] = one.state.gpus.values()
    return gpu.holds[PID]


def steps(one: Machine) -> list[tuple[float | None, float]]:
    """Return the time of each step since the start, and its GiB."""
    return [
        (None if step.time is None else step.time - START, round(step.vram_bytes / GIB, 1))
        for step in held(one).steps
    ]


def test_what_was_there_before_anybody_looked_was_taken_at_no_known_time() -> None:
    one, _ = machine(2.0)
    assert steps(one) == [(None, 2.0)]
    assert held(one).since is None


def test_a_program_that_comes_while_somebody_looks_took_its_memory_then() -> None:
    one, program = machine()
    program.gib = 2.0
    one.goes_on(1)
    assert steps(one) == [(4.0, 2.0)]


def test_a_rise_of_several_seconds_is_one_step_from_its_beginning() -> None:
    one, program = machine(0.5)
    for gib in (3.0, 6.0, 6.0, 9.0):
        program.gib = gib
        one.goes_on(1)
    assert steps(one) == [(None, 0.5), (4.0, 8.5)]


def test_a_rise_after_a_pause_is_another_step() -> None:
    one, program = machine()
    program.gib = 2.0
    one.goes_on(60)
    program.gib = 5.0
    one.goes_on(1)
    assert steps(one) == [(4.0, 2.0), (64.0, 3.0)]


def test_a_slow_rise_is_seen_too() -> None:
    one, program = machine(1.0)
    for _ in range(20):
        program.gib += 0.05
        one.goes_on(1)
    assert steps(one) == [(None, 1.0), (5.0, 1.0)]


def test_what_is_given_back_is_taken_from_the_latest_step() -> None:
    one, program = machine(1.0)
    program.gib = 4.0
    one.goes_on(60)
    program.gib = 9.0
    one.goes_on(60)
    program.gib = 3.0
    one.goes_on(1)
    assert steps(one) == [(None, 1.0), (4.0, 2.0)]


def test_a_process_of_the_same_number_that_was_started_later_took_its_memory_anew() -> None:
    one, _ = machine(2.0)
    card = one.gpus[0].reading(0, {PID: 3.0})
    assert card.processes is not None
    for started in (START - 60.0, START + 3.5):
        entry = replace(card.processes[0], started=started)
        one.retouch = lambda _, entry=entry: replace(card, processes=(entry,))  # type: ignore[misc]
        one.goes_on(1)
    assert steps(one) == [(5.0, 3.0)]


def test_after_a_time_without_a_list_nobody_knows_when_it_was_taken() -> None:
    one, program = machine(1.0)
    one.gpus[0].lists_processes = False
    one.goes_on(120)
    one.gpus[0].lists_processes, program.gib = True, 9.0
    one.goes_on(1)
    assert steps(one) == [(None, 1.0), (None, 8.0)]


def test_no_more_than_so_many_steps_are_kept_and_the_larger_of_two_lends_its_time() -> None:
    one, program = machine()
    for gib in (0.5, 4.0, *(4.0 + number for number in range(1, STEPS_KEPT))):
        program.gib = gib
        one.goes_on(60)
    assert len(steps(one)) == STEPS_KEPT
    assert steps(one)[0] == (64.0, 4.0)


def given_back(one: Machine) -> list[tuple[float, float]]:
    return [(back.time - START, round(back.vram_bytes / GIB, 1)) for back in one.state.given_back]


def test_what_was_given_back_over_some_seconds_is_told_as_one() -> None:
    one, program = machine(9.0)
    for gib in (6.0, 2.0, 1.0, 1.0, 1.0):
        program.gib = gib
        one.goes_on(1)
    assert given_back(one) == [(7.0, 8.0)]


def test_a_process_that_ends_gives_back_all_that_it_held() -> None:
    one, _ = machine(9.0)
    one.programs.clear()
    one.goes_on(1)
    assert given_back(one) == [(4.0, 9.0)]
    assert one.state.given_back[-1].name == "blender"


def test_a_process_that_is_gone_with_a_lost_card_gave_nothing_back() -> None:
    one, _ = machine(9.0)
    one.gpus[0].state = "lost"
    one.goes_on(3)
    one.gpus[0].state = "ok"
    one.programs.clear()
    one.goes_on(2)
    assert given_back(one) == []


@given(st.lists(st.tuples(st.integers(1, 90), st.floats(0.0, 20.0)), max_size=30))
def test_the_steps_are_what_is_held_whatever_was_taken_and_given_back(
    changes: Sequence[tuple[int, float]],
) -> None:
    one, program = machine(1.0)
    for seconds, gib in changes:
        program.gib = gib
        one.now += seconds - 1
        one.goes_on(1)
        found = one.state.gpus[next(iter(one.state.gpus))].holds.get(PID)
        if found is not None:
            assert len(found.steps) <= STEPS_KEPT
            assert abs(sum(step.vram_bytes for step in found.steps) - found.vram_bytes) <= 64 * 1024**2
            assert found.taken(None, one.state.now) <= found.vram_bytes
