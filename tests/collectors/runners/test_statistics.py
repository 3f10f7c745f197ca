"""Slots at every turn while something runs; next to nothing while nothing does."""

from __future__ import annotations

import pytest
from tests.collectors.runners.support import Setting
from tests.fakes.llama_server.server import FakeLlamaServer


async def test_a_busy_server_is_asked_at_every_turn(setting: Setting, fake: FakeLlamaServer) -> None:
    await setting.made_ready()
    fake.simulation.start(0, prompt=5)
    setting.active = True
    samples = await setting.run(5, interval=0.25)
    assert len(samples) == 20
    assert fake.counts()["/slots"] == 20


async def test_slots_and_counters_come_in_one_sample(setting: Setting, fake: FakeLlamaServer) -> None:
    fake.simulation.start(1, prompt=100)
    fake.simulation.decode(1, 7)
    fake.simulation.waiting = 2
    sample = await setting.said()
    assert sample.slots is not None
    assert sample.counters is not None
    assert [slot.decoded_tokens for slot in sample.slots] == [None, 7]
    assert (sample.counters.requests_processing, sample.counters.requests_deferred) == (1, 2)


async def test_counters_are_read_before_slots(setting: Setting, fake: FakeLlamaServer) -> None:
    fake.simulation.start(1, prompt=100)
    await setting.said()
    paths = [request.path for request in fake.requests]
    assert paths.index("/metrics") < paths.index("/slots"), "else a request that ends is counted twice"


async def test_a_minute_of_one_request_costs_sixty_slots_and_a_dozen_counters(
    setting: Setting, fake: FakeLlamaServer
) -> None:
    fake.simulation.start(0, prompt=5)
    fake.simulation.decode(0, 1)
    await setting.said()
    await setting.run(2)
    fake.requests.clear()
    samples = await setting.run(60)
    assert fake.counts() == {"/slots": 60, "/metrics": 12}
    assert sum(sample.counters is not None for sample in samples) == 12


async def test_requests_that_follow_each_other_cost_two_questions_a_turn(
    setting: Setting, fake: FakeLlamaServer
) -> None:
    await setting.made_ready()
    setting.active = True
    for _ in range(60):
        fake.simulation.end(0)
        fake.simulation.start(0, prompt=5)
        fake.simulation.decode(0, 9)
        await setting.run(1)
    assert fake.counts() == {"/slots": 60, "/metrics": 60, "/props": 1}


async def test_a_change_is_read_in_the_right_order(setting: Setting, fake: FakeLlamaServer) -> None:
    fake.simulation.start(0, prompt=5)
    fake.simulation.decode(0, 1)
    await setting.said()
    await setting.run(2)
    fake.requests.clear()
    fake.simulation.start(1, prompt=5)
    [sample] = await setting.run(1)
    assert [request.path for request in fake.requests] == ["/slots", "/metrics", "/slots"]
    assert sample.counters is not None
    assert sample.counters.requests_processing == 2
    fake.requests.clear()
    await setting.run(1)
    assert [request.path for request in fake.requests] == ["/metrics", "/slots"], "until a turn is quiet"


async def test_a_server_without_metrics_is_asked_for_its_slots_once_a_turn(
    setting: Setting, fake: FakeLlamaServer
) -> None:
    fake.metrics = False
    fake.simulation.start(0, prompt=5)
    await setting.said()
    fake.requests.clear()
    for _ in range(30):
        fake.simulation.end(0)
        fake.simulation.start(0, prompt=5)
        await setting.run(1)
    assert fake.counts() == {"/slots": 30}


@pytest.mark.parametrize("metrics", [True, False])
async def test_without_a_hint_an_idle_server_writes_one_line_in_10_seconds(
    setting: Setting, fake: FakeLlamaServer, metrics: bool
) -> None:
    fake.metrics = metrics
    await setting.made_ready()
    await setting.run(60, interval=0.25)
    assert fake.idle_log_lines == 6


async def test_with_a_hint_an_idle_server_is_left_alone(setting: Setting, fake: FakeLlamaServer) -> None:
    await setting.made_ready()
    setting.active = False
    assert await setting.run(600) == []
    assert fake.counts() == {}


async def test_the_hint_makes_a_new_request_noticed_at_once(setting: Setting, fake: FakeLlamaServer) -> None:
    await setting.made_ready()
    setting.active = False
    await setting.run(5)
    fake.simulation.start(0, prompt=50)
    setting.active = True
    [sample] = await setting.run(1)
    assert sample.slots is not None
    assert sample.slots[0].processing


async def test_a_hint_that_is_always_wrong_costs_one_line_in_10_seconds(
    setting: Setting, fake: FakeLlamaServer
) -> None:
    await setting.made_ready()
    setting.active = True
    await setting.run(60, interval=0.25)
    assert fake.idle_log_lines <= 6


async def test_a_hint_that_flickers_costs_one_line_in_10_seconds(
    setting: Setting, fake: FakeLlamaServer
) -> None:
    await setting.made_ready()
    for turn in range(240):
        setting.active = turn % 2 == 0
        await setting.run(0.25, interval=0.25)
    assert fake.idle_log_lines <= 7


async def test_the_end_of_a_request_is_seen_in_the_slots(setting: Setting, fake: FakeLlamaServer) -> None:
    fake.simulation.start(0, prompt=50)
    fake.simulation.decode(0, 9)
    await setting.said()
    fake.simulation.end(0)
    [sample] = await setting.run(1)
    assert sample.slots is not None
    assert [slot.processing for slot in sample.slots] == [False, False]
    assert sample.counters is not None
    assert sample.counters.decoded_tokens_total == 9


async def test_a_request_right_after_another_is_noticed(setting: Setting, fake: FakeLlamaServer) -> None:
    fake.simulation.start(0, prompt=50)
    await setting.said()
    fake.simulation.end(0)
    setting.active = True
    await setting.run(1)
    setting.active = False
    await setting.run(1)
    fake.simulation.start(0, prompt=50)
    setting.active = True
    [sample] = await setting.run(1)
    assert sample.slots is not None
    assert sample.slots[0].task_id == 1


async def test_statistics_that_wait_behind_a_batch_are_busy_not_down(
    setting: Setting, fake: FakeLlamaServer
) -> None:
    fake.simulation.start(0, prompt=50)
    fake.hanging = {"/slots"}
    setting.hurry()
    sample = await setting.said()
    assert (sample.state, sample.slots) == ("busy", None)
    fake.hanging.clear()
    assert (await setting.run(2))[-1].slots is not None


async def test_a_server_that_stays_busy_is_asked_less_often(setting: Setting, fake: FakeLlamaServer) -> None:
    fake.metrics = False
    fake.simulation.start(0, prompt=50)
    fake.hanging = {"/slots"}
    setting.hurry()
    await setting.run(16)
    assert fake.counts()["/slots"] == 5, "after 1, 2, 4 and 8 s"


async def test_a_server_that_does_not_answer_at_all_is_failing(
    setting: Setting, fake: FakeLlamaServer
) -> None:
    await setting.made_ready()
    fake.hanging = {"/slots", "/metrics", "/health", "/props"}
    setting.hurry()
    sample = await setting.said()
    assert (sample.state, sample.detail) == ("failing", "not answering")
