from __future__ import annotations

import pytest
from msgspec.structs import replace
from tests.fakes.process_samples import STARTED, facts, holding, processes, runner
from tests.fakes.samples import GIB, OLLAMA, START, claim, gpu, nvml, ollama
from tests.scene import after

from gpumon.app.state.holders.measured import measured_vram_bytes, unaccounted_bytes
from gpumon.app.state.records import ModelKey, RunnerRecord
from gpumon.app.state.state import State
from gpumon.collectors.samples import AnySample, GpuProcess

KEY = ModelKey(OLLAMA, "sha-llama3:70b")
JOINED = (processes(0, runner()), ollama(0, [claim()]), facts(0))


def the_runner(*samples: AnySample) -> RunnerRecord:
    (record,) = after(*samples).state.runners.values()
    return record


def of_model(*samples: AnySample) -> tuple[int | None, dict[str, int]]:
    state = after(*JOINED, *samples).state
    record = state.runner_of(state.models[KEY])
    return measured_vram_bytes(state.models[KEY], state), record.vram_by_gpu if record else {}


def test_bytes_are_told_per_gpu_and_together() -> None:
    sample = nvml(1, holding(gpu(0), {100: 3.0, 7: 1.0}), holding(gpu(1), {100: 2.0}))
    assert of_model(sample) == (5 * GIB, {"GPU-0": 3 * GIB, "GPU-1": 2 * GIB})


def test_a_process_on_no_gpu_holds_nothing() -> None:
    assert of_model(nvml(1, holding(gpu(), {7: 1.0}))) == (0, {})


def test_a_gpu_that_does_not_list_its_processes_makes_the_whole_unknown() -> None:
    assert of_model(nvml(1, holding(gpu(0), {100: 3.0}), gpu(1))) == (None, {"GPU-0": 3 * GIB})


def test_a_size_that_the_driver_does_not_say_makes_the_whole_unknown() -> None:
    assert of_model(nvml(1, holding(gpu(0), {100: 3.0}), holding(gpu(1), {100: None}))) == (
        None,
        {"GPU-0": 3 * GIB},
    )


def test_without_a_gpu_of_this_driver_nothing_is_measured() -> None:
    assert of_model(nvml(1)) == (None, {})
    assert of_model() == (None, {})


def test_a_driver_that_fails_measures_nothing_any_more() -> None:
    assert of_model(nvml(1, holding(gpu(), {100: 3.0})), nvml(2, state="failing"))[0] is None


def test_a_list_from_before_the_start_says_nothing_of_a_runner() -> None:
    state = after(nvml(0, holding(gpu(), {})), processes(1, runner(started=START + 0.5))).state
    assert [record.vram_complete for record in state.runners.values()] == [False]


def test_a_pid_of_another_namespace_may_be_the_runner() -> None:
    stranger = GpuProcess(pid=90001, vram_bytes=5 * GIB)
    assert of_model(nvml(1, replace(gpu(), processes=(stranger,)))) == (None, {})
    named = replace(stranger, name="python3")
    assert of_model(nvml(1, replace(gpu(), processes=(named,)))) == (0, {})


def test_a_runner_that_is_found_is_not_among_the_strangers() -> None:
    entries = (
        GpuProcess(pid=90001, vram_bytes=GIB),
        GpuProcess(pid=100, vram_bytes=GIB, started=STARTED + 0.4),
    )
    assert of_model(nvml(1, replace(gpu(), processes=entries)))[0] == GIB


def test_a_process_with_the_pid_of_an_ended_runner_is_another() -> None:
    entry = GpuProcess(pid=100, vram_bytes=GIB, name="x", started=STARTED + 30)
    assert of_model(nvml(1, replace(gpu(), processes=(entry,)))) == (0, {})


def test_a_model_without_runner_is_not_measured() -> None:
    state = after(ollama(0, [claim()]), nvml(1, holding(gpu(), {100: 1.0}))).state
    assert measured_vram_bytes(state.models[KEY], state) is None
    assert state.models[KEY].history.measured_vram.last is None


def test_each_poll_of_the_driver_adds_to_the_series_of_runner_and_model() -> None:
    state = after(*JOINED, nvml(1, holding(gpu(), {100: 1.0})), nvml(2, holding(gpu(), {100: 2.0}))).state
    (record,) = state.runners.values()
    for series in (record.vram, state.models[KEY].history.measured_vram):
        assert (series.last, series.last_time) == (2 * GIB, START + 2)
        assert series.window(START + 2, 2, 2)[0] is not None


class TestConfirmation:
    def test_a_figure_is_confirmed_by_the_poll_after_it(self) -> None:
        polls = [nvml(at, holding(gpu(), {100: gib})) for at, gib in enumerate((1.0, 4.0, 4.01, 4.02))]
        assert the_runner(*JOINED, *polls[:2]).vram_confirmed is None
        assert the_runner(*JOINED, *polls[:3]).vram_confirmed == START + 1
        assert the_runner(*JOINED, *polls).vram_confirmed == START + 2

    def test_slow_growth_is_soon_another_figure(self) -> None:
        polls = [nvml(at, holding(gpu(), {100: at * 0.04})) for at in range(1, 4)]
        assert the_runner(*JOINED, *polls).vram_confirmed is None

    def test_looking_at_the_processes_again_confirms_nothing(self) -> None:
        poll = nvml(1, holding(gpu(), {100: 4.0}))
        assert (
            the_runner(*JOINED, poll, processes(2, runner()), processes(3, runner())).vram_confirmed is None
        )

    def test_what_is_not_measured_is_not_confirmed(self) -> None:
        polls = (nvml(1, holding(gpu(), {100: 4.0})), nvml(2, holding(gpu(), {100: 4.0})), nvml(3, gpu()))
        assert the_runner(*JOINED, *polls).vram_confirmed is None


class TestClaimOfTheProcess:
    def test_it_begins_with_the_poll_that_joins_them(self) -> None:
        polls = [ollama(at, [claim()]) for at in (1, 2)]
        assert the_runner(processes(0, runner()), *polls).claimed_since == START + 1

    def test_a_claim_from_before_the_process_counts_from_when_it_is_repeated(self) -> None:
        early = (ollama(0, [claim()]), processes(1, runner()))
        assert the_runner(*early).claimed_since is None
        assert the_runner(*early, ollama(2, [claim()]), ollama(3, [claim()])).claimed_since == START + 2

    def test_another_size_is_another_claim(self) -> None:
        polls = [ollama(at, [claim(gpu_gib=gib)]) for at, gib in ((1, 5.0), (2, 5.01), (3, 9.0))]
        assert the_runner(processes(0, runner()), *polls[:2]).claimed_since == START + 1
        assert the_runner(processes(0, runner()), *polls).claimed_since == START + 3

    def test_it_ends_with_the_join(self) -> None:
        assert the_runner(*JOINED, ollama(1)).claimed_since is None


@pytest.mark.parametrize(
    ("used", "held", "left"), [(4.0, {1: 1.0, 2: None}, 3.0), (1.0, {1: 2.0}, 0.0), (None, {1: 1.0}, None)]
)
def test_memory_that_no_process_is_said_to_hold(
    used: float | None, held: dict[int, float | None], left: float | None
) -> None:
    state: State = after(nvml(0, holding(gpu(used_gib=used), held))).state
    assert unaccounted_bytes(state.gpus["GPU-0"].reading) == (None if left is None else left * GIB)


def test_shared_memory_and_a_missing_list_leave_it_open() -> None:
    state = after(nvml(0, holding(gpu(0, unified=True), {}), gpu(1))).state
    assert [unaccounted_bytes(record.reading) for record in state.gpus.values()] == [None, None]
