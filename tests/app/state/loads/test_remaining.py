"""The time left, against a simulated machine that loads in the order in which llama.cpp does."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.app.state.loading import Machine, Scenario, Seen
from tests.fakes.samples import GIB

COLD = Scenario()
CACHED = replace(COLD, cached=True, read_rate=9.0)
TWO_GPUS = replace(COLD, weights_gib=30.0, gpus=2, read_rate=2.4)
SPILLED = replace(COLD, gpu_share=0.5, free_gib=13.4)
NOT_MAPPED = replace(COLD, way="read")
CPU_ONLY = replace(COLD, way="read", gpu_share=0.0, cached=True, read_rate=2.5, io_readable=False)
STEPWISE = replace(COLD, way="stepwise", cached=True)
SAYS_PROGRESS = replace(NOT_MAPPED, cached=True, says_progress=True, kind="ollama_runner")
UNSEEN = replace(NOT_MAPPED, io_readable=False)
TINY = replace(COLD, weights_gib=0.3, kv_gib=0.2, read_rate=3.0, fit_seconds=0.5)

POLL_SECONDS = 1.0


def check_second_half(seen: list[Seen]) -> None:
    """From half-way on the time left is off by less than 25 % of what is true, or by less than one poll."""
    for look in seen:
        if look.true_left > look.at or look.true_left == 0:
            continue
        assert look.left is not None, f"nothing told at {look.at:.1f} s"
        allowed = max(0.25 * look.true_left, POLL_SECONDS)
        assert abs(look.left - look.true_left) < allowed, f"{look.left:.1f} told, {look.true_left:.1f} true"


OFFSETS = pytest.mark.parametrize("offset", [0.0, 0.25, 0.5, 0.75], ids="looks {} s later".format)
"""When the looks come, within the second."""


@OFFSETS
@pytest.mark.parametrize(
    "scenario",
    [COLD, CACHED, TWO_GPUS, SPILLED, NOT_MAPPED, CPU_ONLY, STEPWISE, SAYS_PROGRESS],
    ids=["cold", "cached", "two GPUs", "spilled", "not mapped", "CPU only", "stepwise", "says progress"],
)
def test_the_first_load_of_a_model_tells_the_time_left_from_half_way_on(
    scenario: Scenario, offset: float
) -> None:
    check_second_half(Machine(now=offset).load(scenario))


@OFFSETS
@pytest.mark.parametrize(
    ("first", "second"),
    [
        (COLD, CACHED),
        (CACHED, COLD),
        (COLD, replace(COLD, read_rate=0.4)),
        (replace(COLD, copy_rate=2.5), replace(CACHED, copy_rate=2.5)),
        (TWO_GPUS, replace(TWO_GPUS, cached=True, read_rate=8.0)),
        (SPILLED, replace(SPILLED, cached=True, read_rate=8.0)),
        (replace(COLD, context_seconds=6.0), replace(CACHED, context_seconds=6.0)),
        (UNSEEN, UNSEEN),
        (TINY, TINY),
    ],
    ids=["cached", "cold", "slow disk", "slow bus", "two GPUs", "spilled", "long context", "unseen", "tiny"],
)
def test_the_next_load_has_learned_from_the_one_before(
    first: Scenario, second: Scenario, offset: float
) -> None:
    machine = Machine(now=offset)
    machine.load(first)
    seen = machine.load(second)
    check_second_half(seen)
    assert not any(look.estimated for look in seen if look.left is not None), "no rule of thumb is needed"


def test_another_model_learns_how_fast_this_machine_copies() -> None:
    machine = Machine()
    machine.load(replace(COLD, copy_rate=2.5))
    (lesson,) = machine.store.state.lessons.values()
    assert lesson.copy_bytes_per_second == pytest.approx(2.5 * GIB, rel=0.15)


def test_the_first_load_of_a_model_marks_its_estimate() -> None:
    assert all(look.estimated for look in Machine().load(COLD))


def test_bytes_that_nobody_can_see_are_not_guessed() -> None:
    seen = Machine().load(UNSEEN)
    assert {look.fraction for look in seen} == {None}
    assert all(look.left is None for look in seen if look.phase == "weights")


def test_device_memory_that_is_taken_at_once_is_no_progress() -> None:
    seen = Machine().load(NOT_MAPPED)
    early = next(look for look in seen if look.phase == "weights")
    assert early.fraction is not None
    assert early.fraction < 0.1


@pytest.mark.parametrize("scenario", [COLD, NOT_MAPPED, SAYS_PROGRESS], ids=["mapped", "read", "progress"])
def test_the_rate_is_that_of_the_last_seconds(scenario: Scenario) -> None:
    rates = [look.rate / GIB for look in Machine().load(scenario)[5:-5] if look.rate]
    assert rates
    assert all(0.9 < rate < 1.4 for rate in rates), rates


def test_a_disk_that_stops_leaves_the_time_open() -> None:
    seen = Machine().load(replace(COLD, read_rate=0.0005, weights_gib=0.55))
    assert all(look.left is None or look.left > 0 for look in seen)


@pytest.mark.parametrize("scenario", [COLD, CACHED, SPILLED, NOT_MAPPED, STEPWISE, SAYS_PROGRESS, TINY])
def test_the_fraction_never_falls_and_is_one_only_when_ready(scenario: Scenario) -> None:
    machine = Machine()
    for seen in (machine.load(scenario), machine.load(scenario)):
        fractions = [look.fraction for look in seen if look.fraction is not None]
        assert fractions == sorted(fractions)
        assert all(0 <= fraction < 1 for fraction in fractions)


@pytest.mark.parametrize("scenario", [COLD, TWO_GPUS, SPILLED, NOT_MAPPED])
def test_the_phases_come_in_order_and_their_seconds_add_up(scenario: Scenario) -> None:
    machine = Machine()
    phases = list(dict.fromkeys(look.phase for look in machine.load(scenario)))
    assert phases == ["fitting", "weights", "context"]
    (load,) = machine.store.state.finished_loads
    assert sum(load.phase_seconds.values()) == pytest.approx(load.total_seconds)


def test_where_each_byte_went_is_kept() -> None:
    machine = Machine()
    machine.load(replace(TWO_GPUS, gpu_share=0.8))
    (load,) = machine.store.state.finished_loads
    assert load.outcome == "loaded"
    assert {uuid: round(size / GIB, 1) for uuid, size in load.vram_by_gpu.items()} == {
        "GPU-0": 13.4,
        "GPU-1": 13.4,
    }
    assert round((load.peak_vram_bytes or 0) / GIB, 1) == 26.8
    assert round((load.ram_bytes or 0) / GIB) == 6
