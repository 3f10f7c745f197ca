from __future__ import annotations

import re

import pytest
from msgspec.structs import replace
from tests.app.diagnosis.scenes import (
    BLOB,
    LOADED,
    NAME,
    Scene,
    answering,
    decoding,
    diagnosed,
    verdict,
)
from tests.fakes.samples import GIB, START, system
from tests.scene import after

from gpumon.app.demo.scenarios import scenario_named
from gpumon.app.diagnosis.diagnose import diagnose, diagnoses
from gpumon.app.diagnosis.diagnosis import Diagnosis, Verdict
from gpumon.app.insight.health import RANKS
from gpumon.app.monitor import Store
from gpumon.app.state.records import FinishedLoad, RunnerKey, Thrash
from gpumon.app.state.state import State
from gpumon.collectors.samples import (
    AnySample,
    GpuFacts,
    GpuSlow,
    Learned,
    LogEvent,
    RateScale,
    RunnerSettings,
    Slot,
)

WHOLE = Scene(in_ram_gib=0.0)
SPILLED = Scene()
ON_CPU = Scene(on_gpu_gib=0.0, in_ram_gib=5.0)


def given(scene: Scene, kind: str, *more: AnySample) -> Verdict:
    found = verdict(diagnosed(scene, *more), kind)
    assert found is not None, f"no verdict {kind}"
    assert found.evidence, "a verdict rests on evidence"
    return found


def kinds(found: Diagnosis) -> list[str]:
    return [one.kind for one in found.verdicts]


def of_state(state: State) -> Diagnosis:
    return diagnose(next(one for one in state.models.values() if one.claim.name == NAME), state)


def finished(started: float, *, pid: int, vram_gib: float = 5.0, **more: object) -> FinishedLoad:
    values: dict[str, object] = {
        "key": RunnerKey(pid, started),
        "settings": RunnerSettings(blob=BLOB, model_path=f"/m/{BLOB}"),
        "name": NAME,
        "started": started,
        "ended": started + 8,
        "outcome": "loaded",
        "total_seconds": 8.0,
        "phase_seconds": {},
        "peak_vram_bytes": int(vram_gib * GIB),
        "vram_by_gpu": {},
    }
    return FinishedLoad(**{**values, **more})  # type: ignore[arg-type]


# Where it is


def test_a_model_that_spills_is_told_with_its_size_since_when_and_its_cost() -> None:
    found = given(SPILLED, "spilled", *decoding(5.0))
    pattern = r"llama3.1:8b spills 2.0 GiB \(25%\) to RAM since \d\d:\d\d: 5.0 tok/s, about \d+ if it fitted"
    assert re.fullmatch(pattern, found.sentence)
    assert found.severity == "bad"


def test_a_trace_in_ram_is_worth_watching() -> None:
    assert given(Scene(in_ram_gib=0.1), "spilled").severity == "watch"


def test_a_model_wholly_on_the_cpu_is_told_so() -> None:
    assert "runs wholly on the CPU, 5.0 GiB in RAM" in given(ON_CPU, "spilled").sentence


def test_the_cpu_by_choice_is_no_spill() -> None:
    found = diagnosed(Scene(on_gpu_gib=0.0, in_ram_gib=5.0, gpu_layers=0))
    assert kinds(found) == ["on_cpu_by_choice"]


def test_a_claim_that_the_driver_does_not_see_is_a_silent_fallback() -> None:
    found = given(Scene(in_ram_gib=0.0, measured_gib=0.0), "silent_fallback")
    assert found.sentence == (
        "llama3.1:8b is not on the GPU though 6.0 GiB are claimed there: the driver sees nothing"
    )


def test_a_claim_of_which_the_driver_sees_a_part_is_a_hidden_spill() -> None:
    assert (
        "the driver sees only 3.0 GiB"
        in given(Scene(in_ram_gib=0.0, measured_gib=3.0), "hidden_spill").sentence
    )


def test_memory_that_was_there_and_is_gone_is_a_lost_gpu() -> None:
    gone = Scene(in_ram_gib=0.0, measured_gib=0.0)
    state = after(*WHOLE.samples(0), *WHOLE.samples(1), *gone.samples(2), *gone.samples(3)).state
    found = of_state(state)
    assert kinds(found) == ["lost_gpu"]
    assert found.verdict.sentence == "llama3.1:8b has lost the GPU: it held 6.0 GiB"


def test_a_model_that_was_loaded_onto_the_gpu_earlier_and_now_is_not_has_lost_it() -> None:
    state = ON_CPU.state()
    state.finished_loads.append(finished(LOADED - 900, pid=90))
    found = of_state(state)
    assert found.verdict.kind == "lost_gpu"
    assert [one.action for one in found.remedies] == ["restart_server"]


def test_a_server_that_found_no_gpu_though_the_driver_shows_one_is_told() -> None:
    found = given(Scene(on_gpu_gib=0.0, in_ram_gib=5.0, log=[LogEvent(kind="no_gpu_found")]), "no_gpu_found")
    assert found.sentence.endswith("its server found no GPU, the driver shows 1")


# What the machine does to it


def test_a_model_loaded_again_and_again_is_told_with_the_count() -> None:
    state = WHOLE.state()
    state.thrash[BLOB] = Thrash((NAME,), 4, "expired", (), START - 300, START + 300)
    found = verdict(of_state(state), "thrashing")
    assert found is not None
    assert found.sentence.endswith("because its keep_alive is too short: 4 loads in 10 min")


def test_two_models_that_evict_each_other_are_both_named() -> None:
    state = WHOLE.state()
    state.thrash["x"] = Thrash((NAME, "qwen3:8b"), 4, "memory", (), START - 300, START + 300)
    found = verdict(of_state(state), "thrashing")
    assert found is not None
    assert "llama3.1:8b and qwen3:8b evict each other" in found.sentence


def test_a_model_that_had_to_leave_is_told_with_whom_it_left_for() -> None:
    state = WHOLE.state()
    other = finished(LOADED - 100, pid=90, name="qwen3:8b", evicted=(NAME,))
    own = finished(LOADED, pid=100, reload_cause="memory")
    state.finished_loads.extend([other, own])
    found = verdict(of_state(state), "evicted")
    assert found is not None
    assert "had to leave for qwen3:8b" in found.sentence


def test_swapping_is_told_of_a_model_with_a_part_in_ram() -> None:
    assert "swaps 8 MiB/s" in given(SPILLED, "swapping", system(2, swap_in=8 * 1024**2)).sentence


def test_swapping_is_not_told_of_a_model_wholly_on_gpu() -> None:
    assert verdict(diagnosed(WHOLE, system(2, swap_in=8 * 1024**2)), "swapping") is None


@pytest.mark.parametrize(
    ("reasons", "severity"), [(("thermal slowdown (hardware)",), "bad"), (("power cap",), "watch")]
)
def test_a_gpu_that_is_held_back_is_told(reasons: tuple[str, ...], severity: str) -> None:
    scene = Scene(in_ram_gib=0.0, reading={"throttle_reasons": reasons})
    assert given(scene, "throttled").severity == severity


def test_a_power_limit_below_the_cards_own_is_advised_to_be_raised() -> None:
    reading = {"throttle_reasons": ("power cap",), "power_limit_watts": 150.0, "power_watts": 150.0}
    scene = Scene(in_ram_gib=0.0, reading=reading, facts={"power_limit_default_watts": 200.0})
    [remedy] = diagnosed(scene).remedies
    assert remedy.command == "sudo nvidia-smi -i 0 -pl 200"


def test_heat_is_advised_to_be_cooled_and_nothing_is_typed() -> None:
    reading = {"throttle_reasons": ("thermal slowdown (hardware)",), "temperature_celsius": 91}
    [remedy] = diagnosed(Scene(in_ram_gib=0.0, reading=reading)).remedies
    assert (remedy.action, remedy.command) == ("cool_or_power", None)


def test_a_link_below_its_best_is_told() -> None:
    scene = Scene(in_ram_gib=0.0, reading={"slow": GpuSlow(pcie_width=4)}, facts={"pcie_width_max": 16})
    assert given(scene, "link_degraded").sentence.endswith("GPU 0 width 4 of 16")


# How fast it is


def test_a_long_context_is_told_where_the_estimate_and_the_rate_say_so() -> None:
    scene = Scene(in_ram_gib=0.0, context=131072, total_gib=32.0, on_gpu_gib=21.0)
    found = given(scene, "long_context", *decoding(20.0, context_tokens=120_000))
    assert "20 tok/s at 117k tokens" in found.sentence


def test_a_long_context_is_not_blamed_of_a_model_that_is_fast() -> None:
    scene = Scene(in_ram_gib=0.0, context=131072, total_gib=32.0, on_gpu_gib=21.0)
    assert "long_context" not in kinds(diagnosed(scene, *decoding(150.0, context_tokens=120_000)))


@pytest.mark.parametrize("slots", [1, 4])
def test_requests_that_stand_still_are_not_called_slow(slots: int) -> None:
    scene = Scene(in_ram_gib=0.0, context=131072, total_gib=32.0, on_gpu_gib=21.0, parallel=slots)
    found = kinds(diagnosed(scene, *decoding(0.0, context_tokens=120_000, slots=slots)))
    assert not {"long_context", "parallel_requests"} & set(found)


def test_requests_at_once_are_told_where_each_is_slow() -> None:
    found = given(Scene(in_ram_gib=0.0, parallel=4), "parallel_requests", *decoding(15.0, slots=4))
    assert found.sentence.endswith("works on 4 requests at once: 15 tok/s each, 60 tok/s together")


def test_requests_at_once_are_not_blamed_where_each_is_fast() -> None:
    found = diagnosed(Scene(in_ram_gib=0.0, parallel=4), *decoding(70.0, slots=4))
    assert "parallel_requests" not in kinds(found)


def test_a_model_that_is_not_ready_is_loading_and_nothing_else() -> None:
    loading = replace(answering(2.0, Slot(slot_id=0)), state="loading", slots=None)
    assert kinds(diagnosed(SPILLED, loading)) == ["loading"]


def test_a_healthy_model_is_told_with_its_share_of_the_estimate() -> None:
    found = given(WHOLE, "healthy", *decoding(70.0))
    assert re.search(r"6.0 GiB on GPU, 70 tok/s, about \d+ expected \(\d\d%\)$", found.sentence)


def test_a_model_faster_than_the_estimate_is_told_with_no_share_of_it() -> None:
    found = given(WHOLE, "healthy", *decoding(90.0))
    assert re.search(r"6.0 GiB on GPU, 90 tok/s, about \d+ expected$", found.sentence)


def test_the_share_is_of_the_data_sheet_and_not_of_what_was_observed() -> None:
    slow = RateScale(gpu_uuids=("GPU-0",), is_moe=False, is_split=False, scale=0.5, observation_count=9)
    learned = Learned(time=START, source="learned", scales=(slow,))
    plain, observed = diagnosed(WHOLE, *decoding(70.0)), diagnosed(WHOLE, learned, *decoding(70.0))
    assert observed.verdict.sentence == plain.verdict.sentence
    assert observed.expected_now is not None
    assert plain.expected_now is not None
    assert observed.expected_now.expected == pytest.approx(plain.expected_now.expected / 2)


def test_without_a_known_bandwidth_no_share_is_told() -> None:
    scene = Scene(in_ram_gib=0.0, reading={"facts": GpuFacts()})
    assert given(scene, "healthy", *decoding(70.0)).sentence.endswith("on GPU, 70 tok/s")


def test_a_model_of_which_nothing_is_known_is_unknown() -> None:
    state = WHOLE.state()
    model = next(iter(state.models.values()))
    model.claim = replace(model.claim, size_bytes=None)
    assert kinds(of_state(state)) == ["unknown"]


# Together


def test_the_most_severe_comes_first() -> None:
    scene = Scene(reading={"throttle_reasons": ("power cap",)})
    found = diagnosed(scene, system(2, swap_in=8 * 1024**2))
    assert kinds(found) == ["spilled", "swapping", "throttled"]
    ranks = [RANKS[one.severity] for one in found.verdicts]
    assert ranks == sorted(ranks)


@pytest.mark.parametrize("name", ["spill", "evict", "gpu-lost", "throttle"])
def test_nothing_is_said_without_evidence_at_any_moment_of_a_scenario(name: str) -> None:
    store, looked = Store(), START
    for sample in scenario_named(name).samples(START):
        if sample.time - START > 560:
            break
        store.apply(sample)
        if sample.time - looked < 20:
            continue
        looked = sample.time
        for found in diagnoses(store.state).values():
            assert all(one.evidence for one in found.verdicts)
            assert found.cause is None or found.cause.evidence
            assert all(one.arithmetic for one in found.remedies)
