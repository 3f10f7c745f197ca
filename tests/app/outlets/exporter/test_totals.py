"""Counters that only grow: whatever begins anew, whoever counts, and however long nobody looked."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.app.diagnosis.test_prompt_reread import Watched
from tests.app.outlets.exporter.telling import told, told_by, values
from tests.fakes.samples import gpu, nvml, silent
from tests.scene import Gpu, Machine, Model, after
from tests.scene.engine import NAME, Engine

from gpumon.app.alerts.limits import Limits
from gpumon.app.monitor import Monitor
from gpumon.app.outlets.exporter.collect import Collector
from gpumon.app.outlets.exporter.totals import GAP_SECONDS, Counter, Origin

FIRST, SECOND = Origin("process 1"), Origin("process 2", is_whole=True)


def followed(*steps: tuple[float | None, Origin, bool]) -> float | None:
    counter = Counter()
    for value, origin, from_zero in steps:
        counter.follow(value, origin, from_zero=from_zero)
    return counter.total


def test_what_was_counted_before_anybody_looked_is_left_out() -> None:
    assert followed((5000.0, FIRST, False)) == 0.0
    assert followed((5000.0, FIRST, False), (5040.0, FIRST, False)) == 40.0


def test_a_process_that_starts_while_it_is_watched_counts_from_its_first_token() -> None:
    assert followed((5000.0, FIRST, False), (5040.0, FIRST, False), (7.0, SECOND, True)) == 47.0


def test_a_count_that_falls_has_begun_anew() -> None:
    assert followed((100.0, FIRST, False), (150.0, FIRST, False), (20.0, FIRST, False)) == 70.0


def test_nothing_known_is_no_zero_and_changes_nothing() -> None:
    assert followed((None, FIRST, False)) is None
    assert followed((10.0, FIRST, True), (None, FIRST, True), (12.0, FIRST, True)) == 12.0


def test_who_counts_otherwise_from_now_on_adds_nothing_that_was_before() -> None:
    seen, counted = FIRST._replace(footing="slots"), FIRST._replace(footing="counters")
    assert followed((30.0, seen, True), (90_000.0, counted, False), (90_010.0, counted, False)) == 40.0
    whole = [one._replace(is_whole=True) for one in (seen, counted)]
    assert followed((30.0, whole[0], True), (50.0, whole[1], True)) == 50.0


@given(st.lists(st.tuples(st.floats(0, 1e9), st.sampled_from((FIRST, SECOND)), st.booleans())))
def test_a_total_never_falls(steps: list[tuple[float, Origin, bool]]) -> None:
    counter, before = Counter(), 0.0
    for value, origin, from_zero in steps:
        counter.follow(value, origin, from_zero=from_zero)
        assert counter.total is not None
        assert counter.total >= before
        before = counter.total


def test_tokens_go_on_over_a_reload() -> None:
    machine = Machine(Gpu(gib=12))
    server = machine.ollama()
    machine.run(1)
    collector = Collector(machine.monitor, "1")

    def tokens() -> float:
        return values(told_by(collector, machine.monitor)["gpumon_model_tokens_total"])[0]

    first = server.brings_up(Model("qwen3:14b", gpu_gib=6, pid=100))
    first.request(40.0, 6.0)
    machine.run(1)
    before = tokens()
    assert before == pytest.approx(240, rel=0.1)
    server.unload(first)
    machine.run(5)
    again = server.brings_up(Model("qwen3:14b", gpu_gib=6, pid=101))
    again.request(40.0, 6.0)
    machine.run(1)
    assert tokens() == pytest.approx(2 * before, rel=0.1)


def test_the_counters_of_a_server_that_ran_before_begin_at_nothing() -> None:
    engine = Engine()
    collector = Collector(engine.monitor, "1")
    engine.set(0.5, decoded_tokens_total=90_000.0, prefix_tokens_total=1000.0, prefix_tokens_found_total=9.0)
    engine.run(2)
    assert values(told_by(collector, engine.monitor)["gpumon_model_tokens_total"], model=NAME) == [0.0]
    engine.set(
        0.5, decoded_tokens_total=90_100.0, prefix_tokens_total=1200.0, prefix_tokens_found_total=159.0
    )
    engine.run(1)
    found = told_by(collector, engine.monitor)
    assert values(found["gpumon_model_tokens_total"]) == [100.0]
    assert values(found["gpumon_model_prompt_tokens_total"]) == [200.0]
    assert values(found["gpumon_model_prompt_cached_tokens_total"]) == [150.0]


def test_what_is_read_again_is_counted_in_tokens_and_seconds() -> None:
    watched = Watched()
    collector = Collector(watched.monitor, "1")
    watched.talks()
    found = told_by(collector, watched.monitor)
    tokens = values(found["gpumon_model_reread_tokens_total"])[0]
    assert tokens > 18_000
    seconds = values(found["gpumon_model_reread_seconds_total"])[0]
    assert tokens / seconds == pytest.approx(watched.talker.rate, rel=0.2)


Look = tuple[float, float | None, tuple[str, ...]]
"""At a card: the time, its watts, and what holds its clocks down."""


def counted(name: str, *looks: Look) -> list[float]:
    """Return what a series says after looks at a card."""
    monitor = Monitor(Limits())
    collector = Collector(monitor, "1")
    for at, watts, reasons in looks:
        monitor.feed(nvml(at, replace(gpu(0, throttle=reasons), power_watts=watts)))
    return values(told_by(collector, monitor).get(name, []))


ENERGY, THROTTLED = "gpumon_gpu_energy_joules_total", "gpumon_gpu_throttled_seconds_total"
CAPPED = ("power cap",)


def test_energy_is_power_over_time() -> None:
    assert counted(ENERGY, (0, 100.0, ()), (2, 200.0, ())) == [300.0]


def test_over_a_gap_nobody_knows_what_was_taken() -> None:
    looks = (0, 100.0, CAPPED), (GAP_SECONDS + 1, 100.0, CAPPED)
    assert counted(ENERGY, *looks) == [0.0]
    assert counted(THROTTLED, *looks) == [0.0]


def test_a_card_that_does_not_tell_its_power_has_no_energy() -> None:
    assert counted(ENERGY, (0, None, ()), (1, None, ())) == []


def test_throttled_time_begins_at_nothing_and_stays_when_it_is_over() -> None:
    assert counted(THROTTLED, (0, 100.0, CAPPED)) == [0.0]
    over: tuple[Look, ...] = ((0, 100.0, CAPPED), (1, 100.0, CAPPED), (3, 100.0, ()), (4, 100.0, ()))
    assert counted(THROTTLED, *over) == [3.0]
    assert counted("gpumon_gpu_throttled", *over) == []


def test_figures_of_a_driver_that_is_silent_are_no_longer_told() -> None:
    machine = Machine(Gpu(gib=12))
    machine.ollama().load(Model("qwen3:14b", gpu_gib=6, pid=100))
    machine.run(3)
    assert "gpumon_model_vram_bytes" in told(machine.monitor)
    machine.monitor.feed(silent(machine.now + 20, "nvml", seconds=20))
    left = told(machine.monitor)
    assert not {"gpumon_model_vram_bytes", "gpumon_gpu_memory_used_bytes", "gpumon_gpu_state"} & left.keys()
    assert values(left["gpumon_source_up"], source="nvml") == [0.0]
    assert values(left["gpumon_source_last_answer_seconds"], source="nvml") == [20.0]


def test_of_a_lost_card_is_told_that_it_is_lost() -> None:
    found = told(after(nvml(0, gpu(0)), nvml(1, gpu(0, state="lost"))).monitor)
    assert values(found["gpumon_gpu_state"], state="lost") == [1.0]
    assert "gpumon_gpu_memory_used_bytes" not in found
    assert "gpumon_gpu_temperature_celsius" not in found


def test_processes_that_no_url_reaches_are_told_apart_without_a_pid() -> None:
    machine = Machine(Gpu(gib=24))
    for pid in (4711, 4712):
        machine.llama_server(6.0, pid=pid, figures={"other_namespace": True})
    machine.run(2)
    found = told(machine.monitor)["gpumon_model_vram_bytes"]
    assert sorted(labels["server"] for labels, _ in found) == ["process:8080", "process:8080 2"]
    assert not any("471" in word for labels, _ in found for word in labels.values())
