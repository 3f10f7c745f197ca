"""Whom not to ask: strangers on the port, other machines, containers."""

from __future__ import annotations

import pytest
from tests.collectors.ollama.support import PATIENT, free_port
from tests.collectors.runners.support import FakeOwner, Setting
from tests.fakes.llama_server.server import FakeLlamaServer
from tests.fakes.ollama.misbehaviour import html

from gpumon.collectors.runners.source import Watch
from gpumon.collectors.runners.target import RunnerTarget


async def test_another_programs_port_gets_no_request(setting: Setting, fake: FakeLlamaServer) -> None:
    setting.owner.answer = "other"
    assert (await setting.said()).state == "foreign"
    assert await setting.run(600) == []
    assert fake.counts() == {}


async def test_a_stranger_is_known_by_its_answer_where_the_owner_cannot_be_seen(
    setting: Setting, fake: FakeLlamaServer
) -> None:
    setting.owner.answer = "unknown"
    fake.header = "nginx"
    assert (await setting.said()).state == "foreign"
    assert await setting.run(600) == []
    assert fake.counts() == {"/health": 1}


async def test_the_header_is_enough_where_the_owner_cannot_be_seen(setting: Setting) -> None:
    setting.owner.answer = "unknown"
    assert (await setting.said()).state == "ready"


async def test_a_port_that_is_not_open_yet_gets_no_request(setting: Setting, fake: FakeLlamaServer) -> None:
    setting.owner.answer = "closed"
    assert (await setting.said()).state == "starting"
    assert fake.counts() == {}
    setting.owner.answer = "own"
    assert (await setting.said()).state == "ready"


async def test_the_owner_is_looked_up_once_per_load(setting: Setting, fake: FakeLlamaServer) -> None:
    fake.simulation.start(0, prompt=5)
    await setting.run(20)
    assert setting.owner.asked == 1


async def test_a_page_for_people_is_a_failure_of_our_own_runner(
    setting: Setting, fake: FakeLlamaServer
) -> None:
    fake.answers["/health"] = html(200, "hello")
    fake.answers["/props"] = html(500, "hello")
    sample = await setting.said()
    assert (sample.state, sample.detail) == ("failing", "answers what cannot be understood")


async def test_failures_are_asked_about_less_often(setting: Setting, fake: FakeLlamaServer) -> None:
    fake.answers["/health"] = html(500, "hello")
    await setting.run(32)
    assert fake.counts()["/health"] == 7


async def test_more_than_4_mib_are_not_read(setting: Setting, fake: FakeLlamaServer) -> None:
    fake.answers["/props"] = html(200, "x" * 5_000_000)
    sample = await setting.said()
    assert (sample.state, sample.detail) == ("failing", "answers more than is read")


@pytest.mark.parametrize(
    ("target", "why"),
    [
        (RunnerTarget(1, 1.0, "llama_server", "192.0.2.7", 8080), "does not listen on the loopback address"),
        (RunnerTarget(1, 1.0, "llama_server", None, None), "its port is not known"),
        (
            RunnerTarget(1, 1.0, "llama_server", None, free_port(), other_namespace=True),
            "in a container: its port cannot be reached from here",
        ),
    ],
)
async def test_what_cannot_be_reached_is_said_once(setting: Setting, target: RunnerTarget, why: str) -> None:
    owner = FakeOwner()
    watch = Watch(target, setting.clock, owner, PATIENT)
    sample = await watch.poll(None)
    assert sample is not None
    assert (sample.state, sample.detail) == ("unreachable", why)
    assert await watch.poll(None) is None
    assert owner.asked == 0
