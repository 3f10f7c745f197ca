"""A sleeping server is not woken, and one that may sleep is not kept awake."""

from __future__ import annotations

from tests.collectors.runners.support import Setting
from tests.fakes.llama_server.server import FakeLlamaServer


async def test_a_sleeping_server_is_asked_for_props_alone(sleepy: Setting, fake: FakeLlamaServer) -> None:
    await sleepy.made_ready()
    fake.sleeping = True
    samples = await sleepy.run(60)
    assert {sample.state for sample in samples[1:]} == {"asleep"}
    assert set(fake.counts()) == {"/props"}
    assert fake.wakes == 0


async def test_a_server_asleep_from_the_start_is_not_woken(sleepy: Setting, fake: FakeLlamaServer) -> None:
    fake.sleeping = True
    sample = await sleepy.said()
    assert sample.state == "asleep"
    assert sample.facts is not None
    assert fake.wakes == 0


async def test_not_even_a_busy_machine_wakes_it(sleepy: Setting, fake: FakeLlamaServer) -> None:
    await sleepy.made_ready()
    fake.sleeping = True
    sleepy.active = True
    await sleepy.run(60, interval=0.25)
    assert fake.wakes == 0


async def test_an_idle_server_that_may_sleep_is_not_asked_for_slots(
    sleepy: Setting, fake: FakeLlamaServer
) -> None:
    await sleepy.made_ready()
    await sleepy.run(60)
    assert "/slots" not in fake.counts()
    assert fake.idle_log_lines <= 6, "the counters do not restart its timer"


async def test_a_server_that_sleeps_though_nothing_said_so_is_not_woken(
    setting: Setting, fake: FakeLlamaServer
) -> None:
    await setting.made_ready()
    fake.sleeping = True
    states = [sample.state for sample in await setting.run(30)]
    assert states[0] == "asleep"
    assert fake.wakes == 0


async def test_a_request_that_wakes_it_is_measured_at_once(sleepy: Setting, fake: FakeLlamaServer) -> None:
    await sleepy.made_ready()
    fake.sleeping = True
    await sleepy.run(20)
    fake.sleeping = False
    fake.simulation.start(0, prompt=5)
    sample = (await sleepy.run(2))[0]
    assert sample.state == "ready"
    assert sample.facts is not None, "it was loaded again"
    assert sample.slots is not None


async def test_a_busy_server_that_fell_asleep_between_slow_polls_is_not_woken(
    sleepy: Setting, fake: FakeLlamaServer
) -> None:
    fake.simulation.start(0, prompt=5)
    await sleepy.said()
    fake.simulation.end(0)
    fake.sleeping = True
    await sleepy.run(60, interval=60)
    assert fake.wakes == 0
