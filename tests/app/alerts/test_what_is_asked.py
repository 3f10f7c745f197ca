"""Which rules a sample asks, counted: those that it bears on, and of the models those that it speaks of."""

from __future__ import annotations

from collections import Counter
from itertools import takewhile
from typing import Any

import pytest
from msgspec.structs import replace
from tests.fakes.process_samples import answer, holding, processes, runner
from tests.fakes.samples import START, claim, gpu, nvml, ollama, ollama_down, system
from tests.scene import after

from gpumon.app.alerts.alert import Finding
from gpumon.app.alerts.book import AlertBook
from gpumon.app.alerts.limits import Limits
from gpumon.app.alerts.watcher import Watcher
from gpumon.app.demo.scenarios import scenario_named
from gpumon.app.demo.story import PRELUDE_SECONDS
from gpumon.app.monitor import Monitor
from gpumon.app.state.state import State, Touched
from gpumon.collectors.samples import AnySample

NAMES = ("a", "b", "c")
MODELS = [claim(name) for name in NAMES]
RUNNERS = [runner(100 + place, None, name=name) for place, name in enumerate(NAMES)]
HELD = holding(gpu(), {100: 4.0, 101: 4.0, 102: 4.0})
MEASURED = (
    "silent_fallback",
    "hidden_spill",
    "likely_spill",
    "read_from_disk",
    "cache_full",
    "stuck",
    "ended",
    "prompt_reread",
    "waiting",
)


@pytest.fixture
def three() -> Monitor:
    """Give a monitor of three models that are well, whose processes have answered."""
    answers = [answer(0.5, pid=100 + place, processing=False) for place in range(3)]
    return after(system(0), processes(0, *RUNNERS), ollama(0, MODELS), nvml(0, HELD), *answers).monitor


def kinds(monitor: Monitor) -> list[str]:
    return [alert.kind for alert in monitor.alerts.active]


def asked(monitor: Monitor, sample: AnySample, monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Feed a sample; return how often the rules of each kind were asked."""
    calls: Counter[str] = Counter()

    def counting(watcher: Watcher[Any, Any]) -> None:
        rule, kind = watcher._rule, watcher._kind

        def counted(record: object, limits: Limits, active: bool) -> Finding:
            calls[kind] += 1
            return rule(record, limits, active)

        monkeypatch.setattr(watcher, "_rule", counted)

    for watcher in monitor.alerts._watchers.all:
        counting(watcher)
    monitor.feed(sample)
    return dict(calls)


def test_an_answer_of_a_process_asks_of_its_model_alone(
    three: Monitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = asked(three, answer(1, pid=101, processing=True), monkeypatch)
    assert found == dict.fromkeys(MEASURED, 1)


def test_an_answer_like_the_one_before_asks_at_most_how_fast_it_is(
    three: Monitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert asked(three, answer(1, pid=101, processing=False), monkeypatch) == {}


def test_an_answer_of_a_process_that_no_server_claims_asks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monitor = after(processes(0, *RUNNERS), ollama(0)).monitor
    assert asked(monitor, answer(1, "loading"), monkeypatch) == {}


def test_claims_ask_of_all_models_and_of_no_gpu(three: Monitor, monkeypatch: pytest.MonkeyPatch) -> None:
    found = asked(three, ollama(1, MODELS), monkeypatch)
    assert found == dict.fromkeys(("spill", *MEASURED), 3)


def test_measurements_ask_of_what_is_measured(three: Monitor, monkeypatch: pytest.MonkeyPatch) -> None:
    found = asked(three, nvml(1, HELD), monkeypatch)
    assert {kind: found[kind] for kind in MEASURED} == {**dict.fromkeys(MEASURED, 3), "stuck": 3 + 1}
    assert "spill" not in found, "a claim is what it was"


def test_a_look_at_ram_asks_of_ram_alone(three: Monitor, monkeypatch: pytest.MonkeyPatch) -> None:
    assert asked(three, system(1), monkeypatch) == {"ram_low": 1, "swapping": 1}


def test_a_source_that_answers_otherwise_is_asked_about_alone(
    three: Monitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert asked(three, ollama_down(1, "failing"), monkeypatch)["source"] == 1


@pytest.mark.parametrize(("held_seconds", "times"), [(2.9, 0), (3.0, 1)])
def test_a_source_is_asked_about_again_when_time_alone_raises_its_alert(
    three: Monitor, monkeypatch: pytest.MonkeyPatch, held_seconds: float, times: int
) -> None:
    three.feed(ollama_down(1, "failing"))
    assert asked(three, system(1 + held_seconds), monkeypatch).get("source", 0) == times
    assert ("source" in kinds(three)) == bool(times)


def test_a_source_whose_alert_is_raised_is_not_asked_about_until_it_changes(
    three: Monitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    for sample in (ollama_down(1, "failing"), system(4)):
        three.feed(sample)
    assert "source" in kinds(three)
    assert "source" not in asked(three, system(5), monkeypatch)


@pytest.mark.parametrize(("well_seconds", "is_over"), [(2.9, False), (3.0, True)])
def test_time_alone_ends_the_alert_of_a_source_that_is_well_again(
    three: Monitor, well_seconds: float, is_over: bool
) -> None:
    for sample in (ollama_down(1, "failing"), system(4), ollama(5, MODELS), system(5 + well_seconds)):
        three.feed(sample)
    assert ("source" not in kinds(three)) == is_over


def test_what_is_asked_of_many_sources_grows_with_their_number_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monitor, calls, number = after().monitor, Counter[str](), 300
    watcher = monitor.alerts._watchers.sources
    rule = watcher._rule
    monkeypatch.setattr(watcher, "_rule", lambda *given: calls.update("r") or rule(*given))
    for place in range(number):
        monitor.feed(replace(ollama_down(place * 0.1, "failing"), source=f"http://host{place}:11434"))
    assert number <= calls["r"] <= 3 * number


def test_what_a_gpu_shows_first_is_a_spill_at_that_sample() -> None:
    """A server tells nothing of the machine: that it has a GPU may become known after the claim."""
    spilled = ollama(0, [claim("a", ram_gib=5.0, gpu_gib=0.0)])
    assert after(spilled).alert("spill") is None
    assert after(spilled, nvml(0.5, gpu())).alert("spill") is not None


def everything(state: State) -> Touched:
    """Return that all is touched that is there, or was."""
    keys = {*state.models, *(model.key for model in state.departed)}
    return Touched(
        sources={*state.sources},
        gpus={*state.gpus},
        claimed=keys,
        worked=dict.fromkeys(state.models, True),
        loads=True,
        system=True,
    )


@pytest.mark.parametrize("scenario", ["evict", "gpu-lost", "throttle"])
def test_to_ask_everything_at_every_sample_would_find_nothing_more(scenario: str) -> None:
    monitor, thorough = Monitor(Limits()), AlertBook(Limits())
    end = START + PRELUDE_SECONDS + 240.0
    for sample in takewhile(lambda sample: sample.time < end, scenario_named(scenario).samples(START)):
        monitor.feed(sample)
        thorough.observe(monitor.state, everything(monitor.state))
    events = monitor.alerts.fresh()
    assert events == thorough.fresh()
    assert events, "nothing happens in this story"
