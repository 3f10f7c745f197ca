"""A healthy model is never called a fallback or a spill, however its load goes and whoever speaks first."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.fakes.process_samples import answer, blob_names, facts, holding, processes, runner
from tests.fakes.samples import GIB, START, claim, gpu, nvml, ollama
from tests.scene import after

from gpumon.app.state.holders.measured import tolerance_bytes
from gpumon.collectors.samples import AnySample, GpuProcess, NvmlSample

CLAIMED_AT_START: frozenset[str] = frozenset({"legacy_runner", "ollama_runner", "mlx_runner"})


@dataclass(frozen=True)
class Life:
    """One load of a model, from the start of its process."""

    kind: str
    load_seconds: int
    stays_seconds: int
    claimed_gib: float
    held_gib: float
    """What the driver measures in the end."""
    speaks: bool
    """Whether its own port is read."""

    def held_at(self, age: float) -> float:
        return self.held_gib * min(1.0, age / self.load_seconds) if self.load_seconds else self.held_gib

    def is_claimed(self, age: float) -> bool:
        return self.kind in CLAIMED_AT_START or age > self.load_seconds


@st.composite
def lives(draw: st.DrawFn) -> Life:
    claimed_gib = draw(st.floats(0.1, 20.0))
    slack_gib = tolerance_bytes(int(claimed_gib * GIB)) / GIB
    return Life(
        kind=draw(st.sampled_from(["llama_server", "ollama_runner", "mlx_runner"])),
        load_seconds=draw(st.integers(0, 25)),
        stays_seconds=draw(st.integers(1, 8)),
        claimed_gib=claimed_gib,
        held_gib=max(0.0, claimed_gib + draw(st.floats(-0.95, 3.0)) * slack_gib),
        speaks=draw(st.booleans()),
    )


def gpu_sample(at: float, lists: str, pid: int, held_gib: float) -> AnySample:
    """Return a reading whose list is whole or refused, or, in a container, of the host's PIDs or empty."""
    reading = gpu(used_gib=held_gib + 0.3)
    if lists == "refused":
        return nvml(at, reading)
    if lists == "strangers":
        entry = GpuProcess(pid=99_000 + pid, vram_bytes=int(held_gib * GIB))
        return nvml(at, replace(reading, processes=(entry,)))
    return nvml(at, holding(reading, {pid: held_gib} if lists == "whole" and held_gib else {}))


def second(at: float, age: float, life: Life, lists: str, pid: int) -> list[AnySample]:
    """Return what the sources say in one second of a life."""
    born = at - age + START
    process = runner(pid, kind=life.kind, started=born, cpu_percent=150.0)
    is_loading = age <= life.load_seconds
    said: list[AnySample] = [
        processes(at, process),
        gpu_sample(at, lists, pid, life.held_at(age)),
        ollama(at, [claim(gpu_gib=life.claimed_gib)] if life.is_claimed(age) else []),
    ]
    if life.speaks:
        said.append(answer(at, "loading" if is_loading else "ready", pid=pid, started=born))
    return said


@given(
    st.lists(lives(), min_size=1, max_size=3),
    st.sampled_from(["whole", "whole", "refused", "strangers", "empty"]),
    st.randoms(use_true_random=False),
    st.booleans(),
)
def test_a_healthy_model_never_raises(lives: list[Life], lists: str, order: Random, is_shown: bool) -> None:
    machine, at = after(facts(0) if is_shown else blob_names(0, {})), 0.0
    for number, life in enumerate(lives):
        for age in range(life.load_seconds + life.stays_seconds + 1):
            said = second(at, age, life, lists, 100 + number)
            order.shuffle(said)
            machine.say(*(sample for sample in said if order.random() > 0.1))
            events = machine.monitor.alerts.fresh()
            assert [
                e.alert.message for e in events if e.alert.kind in {"silent_fallback", "hidden_spill"}
            ] == []
            at += 1.0


def test_a_list_without_a_process_that_has_just_ended_says_nothing_of_its_claim() -> None:
    """Of one load only its first second was measured; then the next process is listed before it is seen."""
    first = Life("mlx_runner", 19, 8, claimed_gib=1.0, held_gib=1.0, speaks=True)
    lost = [sample for age in range(28) for sample in second(age, age, first, "whole", 100)]
    kept = [sample for sample in lost if not isinstance(sample, NvmlSample) or sample.time == START + 1]
    machine = after(facts(0), *kept)
    machine.say(*(gpu_sample(at, "whole", 101, 1.0) for at in (28.0, 29.0, 30.0)))
    assert [one.message for one in machine.alerts()] == []
