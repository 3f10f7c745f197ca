"""The feed that a person sees at one moment of each demonstration, as a table."""

from __future__ import annotations

import pytest

from gpumon.app.alerts.limits import Limits
from gpumon.app.demo.scenarios import list_scenarios, scenario_named
from gpumon.app.demo.story import PRELUDE_SECONDS, Scenario
from gpumon.app.events.event import LoggedEvent
from gpumon.app.monitor import Monitor
from gpumon.collectors.samples import AnySample

START = 1_000_000.0
FEEDS = {
    ("fits", 10): """
        - 00:06 qwen3:14b loads, context 16384
        - prelude llama3.2:3b ready after 5s, context 4096
    """,
    ("fits", 236): """
        - 03:45 qwen3:14b unloaded on request
        - 00:14 qwen3:14b ready after 8s, context 16384
        - prelude llama3.2:3b ready after 5s, context 4096
    """,
    ("spill", 60): """
        ■ 00:17 qwen2.5-coder:14b spilled: 5.5 GiB (38%) in RAM; 45 → 7.0 tok/s | ongoing 43s
        - 00:17 qwen2.5-coder:14b ready after 8s, context 32768
        - 00:09 qwen2.5-coder:14b reloads: a request asked for context 32768 (was 4096)
    """,
    ("spill", 130): """
        - 01:59 qwen2.5-coder:14b ready after 8s, context 6400, wholly on GPU again: 7.0 → 45 tok/s
        - 01:51 qwen2.5-coder:14b reloads: a request asked for context 6400 (was 32768)
        - 00:17 qwen2.5-coder:14b ready after 8s, context 32768
        ■ 00:17 qwen2.5-coder:14b spilled: 5.5 GiB (38%) in RAM; 45 → 7.0 tok/s | lasted 93s
        - 00:09 qwen2.5-coder:14b reloads: a request asked for context 32768 (was 4096)
    """,
    ("evict", 30): """
        ▲ prelude mistral-small:24b and qwen3:32b evict each other: 4 loads in 10 min | ongoing 320s
        - 00:22 mistral-small:24b ready after 11s, context 4096
        - 00:10 qwen3:32b left: made room for mistral-small:24b
        - prelude qwen3:32b ready after 14s, context 4096
        - prelude mistral-small:24b left: made room for qwen3:32b
        - prelude mistral-small:24b ready after 11s, context 4096
        - prelude qwen3:32b left: made room for mistral-small:24b
        - prelude qwen3:32b ready after 14s, context 4096
    """,
    ("70b", 34): """
        ■ 00:33 llama3.3:70b spilled: 19.2 GiB (47%) in RAM | ongoing 1s
        ■ 00:29 RAM is running out: 860 MiB (3%) available | ongoing 5s
        - 00:33 llama3.3:70b ready after 26s, context 4096
        - 00:06 llama3.1:8b left: made room for llama3.3:70b
        - prelude llama3.1:8b ready after 6s, context 8192
    """,
    ("gpu-lost", 30): """
        ■ 00:15 GPU 1 is lost; mistral-small:24b went with it | ongoing 15s
        - prelude mistral-small:24b ready after 11s, context 8192
        - prelude qwen3:32b ready after 14s, context 8192
    """,
    ("gpu-lost", 90): """
        - 01:26 mistral-small:24b ready after 11s, context 8192
        - 01:00 GPU 1 is back after 45s
        ■ 00:15 GPU 1 is lost; mistral-small:24b went with it | lasted 45s
        - prelude mistral-small:24b ready after 11s, context 8192
        - prelude qwen3:32b ready after 14s, context 8192
    """,
    ("restart", 90): """
        - 01:20 llama3.2:3b ready after 5s, context 4096
        - 01:08 qwen3:14b ready after 8s, context 16384
        ▲ 00:45 Ollama at 127.0.0.1:11434 has restarted
        ▲ 00:10 Ollama stopped: connection refused at 127.0.0.1:11434; llama3.2:3b and qwen3:14b went with it | lasted 35s
        - prelude llama3.2:3b ready after 5s, context 4096
        - prelude qwen3:14b ready after 8s, context 16384
    """,  # noqa: E501
    ("throttle", 60): """
        ■ 00:28 GPU 0 is slowed down: thermal slowdown (software); qwen3:32b 40 → 28 tok/s | ongoing 32s
        - prelude qwen3:32b ready after 14s, context 8192
    """,
    ("throttle", 160): """
        ■ 00:28 GPU 0 is slowed down: thermal slowdown (software); qwen3:32b 40 → 28 tok/s | lasted 107s
        - prelude qwen3:32b ready after 14s, context 8192
    """,
    ("full", 50): """
        - 00:41 qwen3:8b has filled its context of 4096 with a request
    """,
}
MARKS = {"bad": "■", "watch": "▲", None: "-"}


def played(name: str, until: int) -> Monitor:
    """Return a monitor that has seen a scenario up to a second of its story."""
    monitor = Monitor(Limits())
    for sample in scenario_named(name).samples(START):
        if second_of(sample) > until:
            return monitor
        monitor.feed(sample)
    raise AssertionError("a scenario never ends")


def second_of(sample: AnySample) -> float:
    return sample.time - START - PRELUDE_SECONDS


def line(event: LoggedEvent, now: float) -> str:
    """Write an event: its mark, when in the story, what happened and how long an alert lasted."""
    at = round(event.time - START) - PRELUDE_SECONDS
    when = "prelude" if at < 0 else f"{at // 60:02}:{at % 60:02}"
    text = f"{MARKS[event.level]} {when} {event.words}"
    seconds = event.duration_seconds(now)
    if seconds is None or event.level is None:
        return text
    return f"{text} | {'ongoing' if event.lasts else 'lasted'} {seconds:.0f}s"


@pytest.mark.parametrize(("name", "second"), list(FEEDS))
def test_the_feed_is_what_a_person_would_tell(name: str, second: int) -> None:
    monitor = played(name, second)
    feed, now = monitor.events.feed, monitor.state.now
    told = [line(event, now) for event in (*feed.ongoing, *feed.past)]
    assert told == [row.strip() for row in FEEDS[name, second].strip().splitlines()]


def test_heat_that_slows_a_card_down_is_told_once() -> None:
    monitor = played("throttle", 60)
    [event] = monitor.events.feed.ongoing
    assert event.words.startswith("GPU 0 is slowed down: thermal slowdown (software)")
    assert {alert.kind for alert in monitor.alerts.active} == {"throttling", "too_hot", "slower"}


@pytest.mark.parametrize("scenario", list_scenarios(), ids=lambda scenario: scenario.name)
def test_an_answer_is_cut_short_only_where_that_is_the_story(scenario: Scenario) -> None:
    kinds = {event.kind for event in played(scenario.name, 300).events.latest(500)}
    assert ("context_full" in kinds) == (scenario.name == "full")


def test_twenty_models_that_load_are_twenty_lines() -> None:
    past = played("fleet", 0).events.feed.past
    assert sum(event.kind == "ready" for event in past) == 21
    assert not any(event.kind == "unloaded" for event in past)
