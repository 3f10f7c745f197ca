"""What happens in each scenario, as the dashboard takes it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from gpumon.app.alerts.limits import Limits
from gpumon.app.demo.scenarios import list_scenarios, scenario_named
from gpumon.app.demo.story import CAPTION_SECONDS, PRELUDE_SECONDS
from gpumon.app.errors import GpumonError
from gpumon.app.monitor import Monitor
from gpumon.app.state.rates.picture import Drawing
from gpumon.app.state.state import State
from gpumon.collectors.samples import ServerSample

START = 1_000_000.0


def seconds_of(name: str, until: int, monitor: Monitor | None = None) -> Iterator[tuple[int, State]]:
    """Yield each second of the story, counted from its opening, and the state in it."""
    monitor = monitor or Monitor(Limits())
    for sample in scenario_named(name).samples(START):
        second = round(sample.time - START) - PRELUDE_SECONDS
        if second > until:
            return
        monitor.feed(sample)
        if isinstance(sample, ServerSample):
            yield second, monitor.state


def alerts_of(name: str, until: int) -> set[str]:
    monitor = Monitor(Limits())
    list(seconds_of(name, until, monitor))
    return {alert.kind for alert in (*monitor.alerts.recent, *monitor.alerts.active)}


def spills(state: State) -> dict[str, float]:
    return {
        record.claim.name: round(record.split.spill_fraction or 0.0, 2) for record in state.models.values()
    }


def rate_of(state: State) -> float:
    runner = next(iter(state.runners.values()))
    return runner.rates.decode_tokens_per_second or 0.0


def clock_of(state: State) -> int:
    return next(iter(state.gpus.values())).reading.sm_clock_mhz or 0


def ram_gib_of(state: State) -> float:
    return (next(iter(state.models.values())).split.ram_bytes or 0) / 1024**3


def test_every_scenario_has_a_name_and_one_line() -> None:
    names = [scenario.name for scenario in list_scenarios()]
    assert names[:5] == ["fits", "spill", "evict", "70b", "fleet"]
    assert names[5:] == ["throttle", "gpu-lost", "restart", "full", "pictures"]
    assert all(scenario.description and "\n" not in scenario.description for scenario in list_scenarios())


def test_captions_come_in_order_and_fit_into_a_line_of_eighty_cells() -> None:
    for scenario in list_scenarios():
        times = [caption.at for caption in scenario.captions]
        assert times == sorted(set(times)), scenario.name
        assert times[0] == 0, "a stranger is told at once what this is"
        assert times[-1] + CAPTION_SECONDS < scenario.story_seconds
        for caption in scenario.captions:
            assert caption.words.isascii()
            assert 20 <= len(caption.words) <= 66, caption.words


def test_a_caption_stays_some_seconds_and_comes_again_with_the_story() -> None:
    scenario = scenario_named("spill")
    first = scenario.captions[0].words
    story = [scenario.caption(PRELUDE_SECONDS + second) for second in range(scenario.story_seconds)]
    assert story[:9] == [first] * 9
    assert story[9] == scenario.captions[1].words
    assert story[100] == ""
    assert scenario.caption(PRELUDE_SECONDS - 1) == ""
    assert scenario.caption(PRELUDE_SECONDS + scenario.story_seconds) == first


FIGURES = (
    ("spill", "45 tokens", -2, lambda state: rate_of(state) == pytest.approx(45, abs=1)),
    ("spill", "5.5 GiB", 20, lambda state: ram_gib_of(state) == pytest.approx(5.5, abs=0.05)),
    ("spill", "become 7", 30, lambda state: rate_of(state) == pytest.approx(7, abs=0.5)),
    ("70b", "2.5 tokens", 40, lambda state: rate_of(state) == pytest.approx(2.5, abs=0.3)),
    ("throttle", "39 tokens", 5, lambda state: rate_of(state) == pytest.approx(39.4, abs=0.7)),
    ("throttle", "2800 to 1700", 30, lambda state: clock_of(state) == pytest.approx(1710, abs=40)),
    ("throttle", "28 tokens", 40, lambda state: rate_of(state) == pytest.approx(28.4, abs=0.7)),
)


@pytest.mark.parametrize(("name", "words", "second", "holds"), FIGURES, ids=lambda value: str(value)[:20])
def test_what_a_caption_says_is_so(
    name: str, words: str, second: int, holds: Callable[[State], bool]
) -> None:
    scenario = scenario_named(name)
    caption = next(caption for caption in scenario.captions if words in caption.words)
    assert abs(second - caption.at) < CAPTION_SECONDS
    *_, (_, state) = seconds_of(name, second)
    assert holds(state)


def test_an_unknown_name_is_answered_with_the_nearest_one() -> None:
    with pytest.raises(GpumonError, match="no scenario 'gpulost': did you mean gpu-lost"):
        scenario_named("gpulost")


def test_a_name_like_none_is_answered_with_all() -> None:
    with pytest.raises(GpumonError, match="there are fits, spill, evict"):
        scenario_named("xyzzy")


def test_fits_loads_a_second_model_without_a_spill() -> None:
    states = [spills(state) for second, state in seconds_of("fits", 60) if second >= 0]
    assert states[0] == {"llama3.2:3b": 0.0}
    assert states[-1] == {"llama3.2:3b": 0.0, "qwen3:14b": 0.0}
    assert alerts_of("fits", 240) == set()


def test_vram_grows_for_seconds_before_the_server_lists_the_model() -> None:
    used, listed = {}, {}
    for second, state in seconds_of("fits", 30):
        gpu = next(iter(state.gpus.values()))
        used[second] = gpu.reading.memory.used_bytes if gpu.reading.memory else None
        listed[second] = "qwen3:14b" in spills(state)
    first = min(second for second, there in listed.items() if there)
    rise = [used[second] or 0 for second in range(first - 6, first)]
    assert rise == sorted(rise)
    assert rise[-1] - rise[0] > 5 * 1024**3


def test_spill_goes_from_none_to_38_percent_with_the_larger_context() -> None:
    seen = {second: dict(spills(state)) for second, state in seconds_of("spill", 40)}
    assert seen[0] == {"qwen2.5-coder:14b": 0.0}
    assert seen[10] == {}, "reloading"
    assert seen[40] == {"qwen2.5-coder:14b": 0.38}


def test_a_spilled_model_leaves_the_gpu_waiting_and_the_processor_busy() -> None:
    for second, state in seconds_of("spill", 60):
        if second >= 30:
            gpu, system = next(iter(state.gpus.values())).reading, state.system
            assert gpu.utilization_percent is not None
            assert gpu.utilization_percent < 35
            assert system is not None
            assert (system.sample.cpu_percent or 0) > 40


def test_spill_is_over_when_the_cure_that_it_named_is_taken() -> None:
    monitor = Monitor(Limits())
    commands = set()
    for second, state in seconds_of("spill", 128, monitor):
        if second in {40, 105}:
            picture = monitor.pictures.closely(next(iter(state.models)))
            assert picture is not None
            commands.add(picture.diagnosis.remedies[0].command)
    assert commands == {"/set parameter num_ctx 6400"}
    model = next(iter(state.models.values()))
    assert (model.claim.context_length, model.split.spill_fraction) == (6400, 0.0)
    assert rate_of(state) == pytest.approx(45, abs=1)
    assert not monitor.alerts.active, "no word of trouble is left over"


def test_evict_shows_two_models_by_turns() -> None:
    turns: list[str] = []
    for second, state in seconds_of("evict", 140):
        assert len(state.models) <= 1
        for name in spills(state):
            if second >= 0 and turns[-1:] != [name]:
                turns.append(name)
    assert turns == ["qwen3:32b", "mistral-small:24b"] * 2 + ["qwen3:32b"]


def test_evict_tells_that_they_evict_each_other_soon_after_it_opens() -> None:
    assert "thrash" not in alerts_of("evict", 0)
    assert "thrash" in alerts_of("evict", 25)


def test_a_model_is_as_large_in_each_of_its_loads() -> None:
    targets: dict[str, set[int | None]] = {}
    for _, state in seconds_of("evict", 140):
        for load in state.loads.values():
            targets.setdefault(load.name, set()).add(load.target_bytes)
    assert {name: len(seen) for name, seen in targets.items()} == {"qwen3:32b": 1, "mistral-small:24b": 1}


def test_70b_runs_half_from_ram_and_the_machine_swaps() -> None:
    *_, (_, state) = seconds_of("70b", 120)
    assert 0.4 < spills(state)["llama3.3:70b"] < 0.5
    assert {"spill", "ram_low", "swapping"} <= alerts_of("70b", 160)


def test_fleet_has_eight_gpus_and_twenty_models_when_it_opens() -> None:
    *_, (_, state) = seconds_of("fleet", 0)
    assert len(state.gpus) == 8
    assert len(state.models) == 20
    assert set(spills(state).values()) == {0.0}
    assert alerts_of("fleet", 400) == set()


def test_fleet_has_a_model_on_two_gpus() -> None:
    *_, (_, state) = seconds_of("fleet", 0)
    pids = [{process.pid for process in gpu.reading.processes or ()} for gpu in state.gpus.values()]
    shared = [
        pid for index, on_gpu in enumerate(pids) for pid in on_gpu if any(pid in o for o in pids[:index])
    ]
    assert len(shared) == 1


def test_throttle_heats_up_and_slows_down() -> None:
    reasons: set[str] = set()
    for _, state in seconds_of("throttle", 150):
        reasons.update(next(iter(state.gpus.values())).reading.throttle_reasons or ())
    assert reasons == {"thermal slowdown (software)"}
    assert {"too_hot", "throttling"} <= alerts_of("throttle", 150)


def test_throttle_costs_the_model_a_third_of_its_rate_and_gives_it_back() -> None:
    rates = {second: rate_of(state) for second, state in seconds_of("throttle", 200) if second >= 0}
    assert rates[20] == pytest.approx(39.5, abs=1)
    assert all(27 <= rates[second] <= 30 for second in (40, 90, 130)), "slow for as long as the fans are"
    assert rates[200] == pytest.approx(39.5, abs=1)


def test_throttle_says_what_the_heat_costs() -> None:
    monitor = Monitor(Limits())
    *_, (_, state) = seconds_of("throttle", 40, monitor)
    picture = monitor.pictures.closely(next(iter(state.models)))
    assert picture is not None
    assert picture.diagnosis.verdict.sentence == (
        "qwen3:32b is slowed down: GPU 0 is held back by thermal slowdown (software); "
        "28 tok/s instead of 39 tok/s"
    )
    slower = next(alert for alert in monitor.alerts.active if alert.kind == "slower")
    assert "28 tok/s instead of 39 tok/s" in slower.message
    assert "thermal slowdown" in slower.message


def test_throttle_is_over_without_a_word_of_no_reason() -> None:
    monitor = Monitor(Limits())
    said: list[str] = []
    for second, _ in seconds_of("throttle", 160, monitor):
        if second > 130:
            said += [alert.message for alert in monitor.alerts.active if alert.kind == "slower"]
    assert any(words.endswith("held back until a moment ago") for words in said)
    assert not any("no visible reason" in words for words in said)
    assert "slower" not in {alert.kind for alert in monitor.alerts.active}


def test_gpu_lost_takes_its_model_along_and_comes_back() -> None:
    seen = {
        second: [gpu.reading.state for gpu in state.gpus.values()]
        for second, state in seconds_of("gpu-lost", 60)
    }
    assert seen[0] == ["ok", "ok"]
    assert seen[20] == ["ok", "lost"]
    assert seen[60] == ["ok", "ok"]
    assert "gpu_lost" in alerts_of("gpu-lost", 60)


def test_a_lost_gpu_reads_nothing() -> None:
    for second, state in seconds_of("gpu-lost", 30):
        if second == 30:
            reading = list(state.gpus.values())[1].reading
            assert reading.memory is None
            assert reading.processes is None
            assert reading.power_watts is None


def test_restart_loses_the_models_and_says_how_to_start_the_server() -> None:
    seen = {}
    for second, state in seconds_of("restart", 90):
        health = state.sources["http://127.0.0.1:11434"].health
        seen[second] = (health.state, health.hint, len(state.models))
    assert seen[0] == ("serving", None, 2)
    assert seen[20] == ("not_running", "start it with: ollama serve", 0)
    assert seen[50][0] == "idle"
    assert seen[90] == ("serving", None, 2)
    assert "source" in alerts_of("restart", 90)


def test_full_ends_an_answer_where_its_context_is_full_and_not_with_a_larger_one() -> None:
    tokens: dict[int, list[int]] = {}
    for second, state in seconds_of("full", 185):
        slots = next(iter(state.runners.values())).rates.slots if state.runners else ()
        if second >= 0 and slots and slots[0].phase == "decode":
            tokens.setdefault(slots[0].context_length or 0, []).append(slots[0].context_tokens or 0)
    assert max(tokens[4096]) == 4096
    assert tokens[4096].count(4096) == 2, "seen once of each answer"
    assert 5000 < max(tokens[16384]) < 7000
    assert alerts_of("full", 185) == set()


def drawing_of(state: State) -> Drawing:
    found = next(one.pictures.now for one in state.models.values() if one.pictures is not None)
    assert found is not None
    return found


def test_pictures_tells_what_it_costs_that_a_part_stays_in_ram_and_that_it_is_over() -> None:
    *_, (_, state) = seconds_of("pictures", 80)
    assert spills(state)["flux1-dev-Q6_K"] == pytest.approx(0.29, abs=0.01)
    now = drawing_of(state)
    assert now.seconds_per_step == pytest.approx(2.9, abs=0.1)
    assert now.best_seconds_per_step == 2.0
    *_, (_, state) = seconds_of("pictures", 180)
    assert not any(spills(state).values())
    assert drawing_of(state).seconds_per_step == 2.0


def test_pictures_leaves_a_generator_without_a_model() -> None:
    *_, (_, state) = seconds_of("pictures", 245)
    assert {one.claim.name for one in state.models.values()} == {"ComfyUI", "qwen3:4b"}


def test_prelude_is_quiet() -> None:
    for scenario in list_scenarios():
        assert alerts_of(scenario.name, 0) == set(), scenario.name
