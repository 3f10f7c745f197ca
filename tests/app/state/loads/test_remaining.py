"""The time left, against a simulated machine that loads in the order in which llama.cpp does."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import pytest
from tests.fakes.samples import GIB
from tests.scene import Gpu, Loading, Machine, Model

COLD = Loading()
CACHED = replace(COLD, cached=True, read_rate=9.0)
TWO_GPUS = replace(COLD, weights_gib=30.0, gpus=2, read_rate=2.4)
SPILLED = replace(COLD, gpu_share=0.5)
NOT_MAPPED = replace(COLD, way="read")
CPU_ONLY = replace(COLD, way="read", gpu_share=0.0, cached=True, read_rate=2.5, io_readable=False)
STEPWISE = replace(COLD, way="stepwise", cached=True)
SAYS_PROGRESS = replace(NOT_MAPPED, cached=True, says_progress=True)
UNSEEN = replace(NOT_MAPPED, io_readable=False)
TINY = replace(COLD, weights_gib=0.3, kv_gib=0.2, read_rate=3.0, fit_seconds=0.5)

POLL_SECONDS = 1.0


class Seen(NamedTuple):
    """What the state said at one look, and what was true."""

    at: float
    true_left: float
    left: float | None
    fraction: float | None
    phase: str
    rate: float | None
    estimated: bool


def a_machine(loading: Loading, offset: float = 0.0) -> Machine:
    """Return a machine with room for a load, whose looks come at this part of each second."""
    used_gib = 10.1 if loading is SPILLED else 4.0
    machine = Machine(*(Gpu(gib=24.0, unowned_gib=used_gib) for _ in range(loading.gpus)))
    machine.ollama()
    machine.now, machine.spread_seconds = offset, 0.1
    return machine


def load(machine: Machine, loading: Loading) -> list[Seen]:
    """Play one load to its end and a claim; return what was seen each second until it was ready."""
    [server] = machine.servers
    kind = "ollama_runner" if loading.says_progress else "llama_server"
    pid = 101 + len(machine.state.finished_loads)
    model = server.starts(Model(pid=pid, kind=kind, loading=loading, file_gib=loading.weights_gib), after=0.6)
    machine.look("servers", "driver")
    seen: list[Seen] = []
    while model.is_loading:
        machine.look("processes", "driver", "ports", at=machine.now + 1)
        if model.is_loading:
            found, left = machine.only_load(), loading.seconds - model.age
            rate = found.bytes_per_second
            seen.append(
                Seen(model.age, left, found.seconds_left, found.fraction, found.phase, rate, found.estimated)
            )
    model.is_claimed, model.gpu_gib = True, loading.after(model.age).vram
    machine.look("servers", at=machine.now + 0.5)
    machine.look("processes", "driver", "ports", at=machine.now + 1.5)
    server.unload(model)
    machine.look(at=machine.now + 60)
    return seen


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
    "loading",
    [COLD, CACHED, TWO_GPUS, SPILLED, NOT_MAPPED, CPU_ONLY, STEPWISE, SAYS_PROGRESS],
    ids=["cold", "cached", "two GPUs", "spilled", "not mapped", "CPU only", "stepwise", "says progress"],
)
def test_the_first_load_of_a_model_tells_the_time_left_from_half_way_on(
    loading: Loading, offset: float
) -> None:
    check_second_half(load(a_machine(loading, offset), loading))


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
    first: Loading, second: Loading, offset: float
) -> None:
    machine = a_machine(first, offset)
    load(machine, first)
    seen = load(machine, second)
    check_second_half(seen)
    assert not any(look.estimated for look in seen if look.left is not None), "no rule of thumb is needed"


def test_another_model_learns_how_fast_this_machine_copies() -> None:
    machine = a_machine(COLD)
    load(machine, replace(COLD, copy_rate=2.5))
    (lesson,) = machine.state.lessons.values()
    assert lesson.copy_bytes_per_second == pytest.approx(2.5 * GIB, rel=0.15)


def test_the_first_load_of_a_model_marks_its_estimate() -> None:
    assert all(look.estimated for look in load(a_machine(COLD), COLD))


def test_bytes_that_nobody_can_see_are_not_guessed() -> None:
    seen = load(a_machine(UNSEEN), UNSEEN)
    assert {look.fraction for look in seen} == {None}
    assert all(look.left is None for look in seen if look.phase == "weights")


def test_device_memory_that_is_taken_at_once_is_no_progress() -> None:
    seen = load(a_machine(NOT_MAPPED), NOT_MAPPED)
    early = next(look for look in seen if look.phase == "weights")
    assert early.fraction is not None
    assert early.fraction < 0.1


@pytest.mark.parametrize("loading", [COLD, NOT_MAPPED, SAYS_PROGRESS], ids=["mapped", "read", "progress"])
def test_the_rate_is_that_of_the_last_seconds(loading: Loading) -> None:
    rates = [look.rate / GIB for look in load(a_machine(loading), loading)[5:-5] if look.rate]
    assert rates
    assert all(0.9 < rate < 1.4 for rate in rates), rates


def test_a_disk_that_stops_leaves_the_time_open() -> None:
    seen = load(a_machine(COLD), replace(COLD, read_rate=0.0005, weights_gib=0.55))
    assert all(look.left is None or look.left > 0 for look in seen)


@pytest.mark.parametrize("loading", [COLD, CACHED, SPILLED, NOT_MAPPED, STEPWISE, SAYS_PROGRESS, TINY])
def test_the_fraction_never_falls_and_is_one_only_when_ready(loading: Loading) -> None:
    machine = a_machine(loading)
    for seen in (load(machine, loading), load(machine, loading)):
        fractions = [look.fraction for look in seen if look.fraction is not None]
        assert fractions == sorted(fractions)
        assert all(0 <= fraction < 1 for fraction in fractions)


@pytest.mark.parametrize("loading", [COLD, TWO_GPUS, SPILLED, NOT_MAPPED])
def test_the_phases_come_in_order_and_their_seconds_add_up(loading: Loading) -> None:
    machine = a_machine(loading)
    phases = list(dict.fromkeys(look.phase for look in load(machine, loading)))
    assert phases == ["fitting", "weights", "context"]
    (finished,) = machine.state.finished_loads
    assert sum(finished.phase_seconds.values()) == pytest.approx(finished.total_seconds)


def test_where_each_byte_went_is_kept() -> None:
    machine = a_machine(TWO_GPUS)
    load(machine, replace(TWO_GPUS, gpu_share=0.8))
    (finished,) = machine.state.finished_loads
    assert finished.outcome == "loaded"
    assert {uuid: round(size / GIB, 1) for uuid, size in finished.vram_by_gpu.items()} == {
        "GPU-0": 13.4,
        "GPU-1": 13.4,
    }
    assert round((finished.peak_vram_bytes or 0) / GIB, 1) == 26.8
    assert round((finished.ram_bytes or 0) / GIB) == 6
