"""What holds in every scenario, whatever its story."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import islice, takewhile

import pytest

from gpumon.app.demo.models import LIBRARY
from gpumon.app.demo.scenarios import list_scenarios
from gpumon.app.demo.story import PRELUDE_SECONDS, Scenario
from gpumon.collectors.samples import (
    AnySample,
    GpuReading,
    ModelFacts,
    NvmlSample,
    ProcessSample,
    ServerSample,
    Slot,
    SystemSample,
    WorkSample,
)

START = 1_000_000.0

every_scenario = pytest.mark.parametrize("scenario", list_scenarios(), ids=lambda scenario: scenario.name)


@cache
def samples_of(scenario: Scenario) -> tuple[AnySample, ...]:
    end = START + PRELUDE_SECONDS + scenario.story_seconds * 1.3
    return tuple(takewhile(lambda sample: sample.time < end, scenario.samples(START)))


def readings_of(scenario: Scenario) -> Iterator[tuple[float, GpuReading]]:
    for sample in samples_of(scenario):
        if isinstance(sample, NvmlSample):
            yield from ((sample.time, gpu) for gpu in sample.gpus)


@every_scenario
def test_it_is_the_same_in_every_run(scenario: Scenario) -> None:
    again = tuple(islice(scenario.samples(START), len(samples_of(scenario))))
    assert again == samples_of(scenario)


@every_scenario
def test_time_goes_on_by_seconds_for_ever(scenario: Scenario) -> None:
    times = sorted({sample.time for sample in samples_of(scenario)})
    assert times == [START + second for second in range(len(times))]
    assert len(times) > PRELUDE_SECONDS + scenario.story_seconds


@every_scenario
def test_each_second_gpu_system_and_server_are_read_once(scenario: Scenario) -> None:
    counts = [
        sum(isinstance(sample, kind) for sample in samples_of(scenario))
        for kind in (NvmlSample, SystemSample, ServerSample)
    ]
    assert len(set(counts)) == 1


@every_scenario
def test_memory_of_processes_reserve_and_free_add_up_to_the_whole(scenario: Scenario) -> None:
    for time, gpu in readings_of(scenario):
        if gpu.state == "lost":
            continue
        assert gpu.memory is not None
        assert gpu.processes is not None
        used, free, reserved = gpu.memory.used_bytes, gpu.memory.free_bytes, gpu.memory.reserved_bytes
        assert used is not None
        assert free is not None
        assert reserved is not None
        assert used == sum(process.vram_bytes or 0 for process in gpu.processes)
        assert used + free + reserved == gpu.memory.total_bytes
        assert free >= 0, f"GPU {gpu.index} at {time - START}"


@every_scenario
def test_power_stays_within_the_limit_and_follows_utilization(scenario: Scenario) -> None:
    for _, gpu in readings_of(scenario):
        if gpu.state == "lost":
            continue
        assert gpu.power_watts is not None
        assert gpu.power_limit_watts is not None
        assert gpu.utilization_percent is not None
        assert 0 <= gpu.utilization_percent <= 100
        assert gpu.power_watts <= gpu.power_limit_watts
        if gpu.utilization_percent == 0:
            assert gpu.power_watts < 0.2 * gpu.power_limit_watts


@every_scenario
def test_temperature_lags_behind_power(scenario: Scenario) -> None:
    before: dict[str, GpuReading] = {}
    for _, gpu in readings_of(scenario):
        last = before.get(gpu.uuid)
        if last is not None and last.temperature_celsius is not None and gpu.temperature_celsius is not None:
            assert abs(gpu.temperature_celsius - last.temperature_celsius) <= 3
        before[gpu.uuid] = gpu


@every_scenario
def test_facts_come_first_and_again_after_a_loss(scenario: Scenario) -> None:
    before: dict[str, GpuReading] = {}
    for _, gpu in readings_of(scenario):
        last = before.get(gpu.uuid)
        fresh = gpu.state == "ok" and (last is None or last.state == "lost")
        assert (gpu.facts is not None) == fresh
        before[gpu.uuid] = gpu


@every_scenario
def test_a_listed_model_has_its_memory_on_the_gpus(scenario: Scenario) -> None:
    gpus: tuple[GpuReading, ...] = ()
    for sample in samples_of(scenario):
        if isinstance(sample, NvmlSample):
            gpus = sample.gpus
        if isinstance(sample, ServerSample) and sample.models:
            claimed = sum(claim.size_vram_bytes or 0 for claim in sample.models)
            assert claimed <= sum(
                process.vram_bytes or 0
                for gpu in gpus
                for process in gpu.processes or ()
                if process.name == "llama-server"
            )


@every_scenario
def test_claims_make_sense(scenario: Scenario) -> None:
    for sample in samples_of(scenario):
        for claim in (isinstance(sample, ServerSample) and sample.models) or ():
            assert claim.size_bytes is not None
            assert claim.size_vram_bytes is not None
            assert claim.expires_at is not None
            assert 0 < claim.size_vram_bytes <= claim.size_bytes
            assert claim.digest is not None
            assert len(claim.digest) == 64


@every_scenario
def test_each_installed_model_is_described_once(scenario: Scenario) -> None:
    described = [sample.digest for sample in samples_of(scenario) if isinstance(sample, ModelFacts)]
    assert len(described) == len(set(described))
    assert set(described) == {llm.digest for llm in LIBRARY.values()}, (
        "or none can be looked at in the fit list"
    )


@every_scenario
def test_a_slot_at_work_gains_tokens_each_second(scenario: Scenario) -> None:
    before: dict[str, Slot] = {}
    for sample in samples_of(scenario):
        if not isinstance(sample, WorkSample):
            continue
        for slot in sample.slots or ():
            last = before.get(sample.source)
            if slot.processing and last is not None and last.task_id == slot.task_id:
                assert (slot.prompt_tokens or 0) > (last.prompt_tokens or 0), "stuck"
            assert (slot.prompt_tokens or 0) <= (slot.context_length or 0)
            before[sample.source] = slot


@every_scenario
def test_models_at_work_on_one_card_read_no_more_than_its_memory_can_give(scenario: Scenario) -> None:
    machine = scenario.build()
    bandwidths = {gpu.index: gpu.card.bandwidth_bytes_per_second for gpu in machine.gpus}
    sizes = {llm.blob: llm.file_bytes for llm in LIBRARY.values()}
    runners: dict[str, tuple[int, tuple[int, ...]]] = {}
    decoded: dict[str, tuple[int | None, float]] = {}
    read: dict[int, float] = {}
    for sample in samples_of(scenario):
        if isinstance(sample, NvmlSample):
            assert all(read.get(index, 0) <= bandwidths[index] for index in bandwidths), sample.time - START
            read = {}
            on = {gpu.index: {one.pid for one in gpu.processes or ()} for gpu in sample.gpus}
        elif isinstance(sample, ProcessSample):
            runners = {
                f"runner {one.pid}": (
                    sizes.get(one.settings.blob or "", 0),
                    tuple(index for index, pids in on.items() if one.pid in pids),
                )
                for one in sample.runners or ()
            }
        elif isinstance(sample, WorkSample) and sample.slots:
            slot = sample.slots[0]
            task, before = decoded.get(sample.source, (None, 0.0))
            tokens = float(slot.decoded_tokens or 0)
            decoded[sample.source] = (slot.task_id, tokens)
            size, cards = runners[sample.source]
            if task == slot.task_id and tokens > before:
                for index in cards:
                    tokens_read = tokens - before - 1  # whole tokens are counted
                    read[index] = read.get(index, 0.0) + max(0.0, tokens_read) * size / len(cards)


@every_scenario
def test_where_a_gpu_computes_some_slot_or_picture_is_at_work(scenario: Scenario) -> None:
    utilization = 0.0
    loading = at_work = False
    for sample in samples_of(scenario):
        if isinstance(sample, NvmlSample):
            utilization = max(gpu.utilization_percent or 0.0 for gpu in sample.gpus)
            loading = at_work = False
        elif isinstance(sample, WorkSample):
            loads_weights = sample.job is not None and sample.job.step is None
            loading = loading or sample.state != "ready" or loads_weights
            is_busy = sample.job is not None or any(slot.processing for slot in sample.slots or ())
            at_work = at_work or is_busy
        elif isinstance(sample, ServerSample) and not loading:
            assert at_work == (utilization > 5), sample.time - START


@every_scenario
def test_ram_stays_within_the_machine(scenario: Scenario) -> None:
    for sample in samples_of(scenario):
        if isinstance(sample, SystemSample):
            assert 0 < sample.ram_used_bytes < sample.ram_total_bytes
            assert sample.ram_used_bytes + sample.ram_available_bytes == sample.ram_total_bytes
            assert sample.cpu_percent_by_core is not None
            assert all(0 <= core <= 100 for core in sample.cpu_percent_by_core)


@every_scenario
def test_the_first_rates_of_the_system_are_unknown(scenario: Scenario) -> None:
    systems = [sample for sample in samples_of(scenario) if isinstance(sample, SystemSample)]
    assert systems[0].swap_out_bytes_per_second is None
    assert all(sample.swap_out_bytes_per_second is not None for sample in systems[1:])
