"""From a port that refuses to a server that is ready, and what is asked once."""

from __future__ import annotations

import pytest
from tests.collectors.runners.support import Setting
from tests.fakes.http import as_json
from tests.fakes.llama_server.server import OFF, FakeLlamaServer


async def test_a_port_that_refuses_is_starting(setting: Setting, fake: FakeLlamaServer) -> None:
    await fake.refuse()
    assert (await setting.said()).state == "starting"
    assert (await setting.said()).state == "starting", "asked again at the next turn"


async def test_503_is_loading_and_asked_at_every_turn(setting: Setting, fake: FakeLlamaServer) -> None:
    fake.loading = True
    states = [(await setting.said()).state for _ in range(3)]
    assert states == ["loading"] * 3
    assert fake.counts() == {"/health": 3}, "nothing but the health is asked"


async def test_the_first_sample_after_the_load_has_facts_and_slots(
    setting: Setting, fake: FakeLlamaServer
) -> None:
    sample = await setting.said()
    assert (sample.pid, sample.port, sample.source) == (4321, fake.port, "runner 4321")
    assert sample.facts is not None
    assert (sample.facts.model_path, sample.facts.slot_count) == ("/models/a.gguf", 2)
    assert (sample.facts.context_length, sample.facts.weights_bytes) == (4096, 70)
    assert sample.counters is not None


async def test_facts_are_asked_once_per_load(setting: Setting, fake: FakeLlamaServer) -> None:
    await setting.made_ready()
    fake.simulation.start(0, prompt=5)
    setting.active = True
    samples = await setting.run(10, interval=0.25)
    assert [sample.facts for sample in samples] == [None] * 40
    assert "/v1/models" not in fake.counts()


async def test_a_server_that_loads_again_is_loading_again(setting: Setting, fake: FakeLlamaServer) -> None:
    await setting.made_ready()
    fake.loading = True
    assert [sample.state for sample in await setting.run(11)] == ["loading"] * 2
    fake.loading = False
    assert (await setting.said()).facts is not None


async def test_a_ready_server_whose_port_closes_is_failing(setting: Setting, fake: FakeLlamaServer) -> None:
    await setting.made_ready()
    await fake.refuse()
    [sample] = await setting.run(10)
    assert (sample.state, sample.detail) == ("failing", "connection refused")


async def test_a_key_that_is_wanted_is_asked_about_once(setting: Setting, fake: FakeLlamaServer) -> None:
    refusal = as_json({"error": {"message": "Invalid API Key", "code": 401}}, 401)
    fake.answers = dict.fromkeys(["/props", "/v1/models", "/slots", "/metrics"], refusal)
    sample = await setting.said()
    assert (sample.state, sample.detail) == ("ready", "/slots: asks for an API key (HTTP 401)")
    fake.requests.clear()
    await setting.run(60)
    assert fake.counts() == {}, "each refusal is a warning in the server's log"


@pytest.mark.parametrize("answer", [OFF, as_json({}, 404)])
async def test_an_endpoint_that_is_off_is_never_asked_again(
    setting: Setting, fake: FakeLlamaServer, answer: object
) -> None:
    fake.says_what_is_on = False
    fake.metrics = False
    fake.simulation.start(0, prompt=5)
    await setting.run(20, interval=0.25)
    assert fake.counts()["/metrics"] == 1
    assert fake.counts()["/slots"] == 80


async def test_only_gets_are_sent(setting: Setting, fake: FakeLlamaServer) -> None:
    await setting.run(20)
    assert {request.method for request in fake.requests} == {"GET"}
    assert {request.headers["accept-encoding"] for request in fake.requests} == {"identity"}
