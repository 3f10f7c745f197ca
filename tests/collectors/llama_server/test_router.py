"""A llama-server in router mode: its models each with their own statistics."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.collectors.llama_server.support import Url
from tests.collectors.ollama.support import JSON
from tests.fakes.llama_server.router import Child, FakeRouter

from gpumon.collectors.samples import ModelClaim
from gpumon.collectors.servers.llama_server.server import parse_router_models


async def test_loaded_loading_and_sleeping_models_are_listed(router: FakeRouter, routed: Url) -> None:
    router.children = {"a": Child("loaded"), "b": Child("loading"), "c": Child("sleeping"), "d": Child()}
    listed = await routed.listed()
    states = {model.name: model.state for model in listed.models or ()}
    assert states == {"a": "ready", "b": "loading", "c": "asleep"}
    assert listed.version == "b9-fake"


async def test_a_router_without_loaded_models_is_idle(router: FakeRouter, routed: Url) -> None:
    router.children = {"a": Child()}
    listed = await routed.listed()
    assert (listed.health.state, listed.models) == ("idle", ())


async def test_each_model_has_its_own_slots(router: FakeRouter, routed: Url) -> None:
    router.children = {"a": Child("loaded"), "b/x y": Child("loaded")}
    router.children["b/x y"].simulation.start(1, prompt=4)
    router.children["b/x y"].simulation.decode(1, 9)
    said = {one.model: one for one in await routed.said()}
    assert [slot.processing for slot in said["a"].slots or ()] == []
    assert [slot.decoded_tokens for slot in said["b/x y"].slots or ()] == [None, 9]


async def test_the_facts_are_those_of_the_model_asked_about(router: FakeRouter, routed: Url) -> None:
    router.children = {"a": Child("loaded"), "b": Child("loaded")}
    facts = {one.model: one.facts for one in await routed.said()}
    assert facts["a"] is not None
    assert facts["a"].weights_bytes == 90


async def test_no_question_loads_or_wakes_a_model(router: FakeRouter, routed: Url) -> None:
    router.children = {"a": Child(), "b": Child("sleeping"), "c": Child("loaded", sleep_idle_seconds=30)}
    await routed.poll()
    router.requests.clear()
    await routed.run(60, interval=4)
    assert router.loaded_by_question == []
    assert router.children["b"].woken == 0
    assert not any(request.path.startswith("/slots") for request in router.requests), "it could never sleep"


async def test_a_model_that_is_loaded_again_is_asked_anew(router: FakeRouter, routed: Url) -> None:
    router.children = {"a": Child("loaded")}
    await routed.poll()
    router.children["a"].status = "unloaded"
    assert (await routed.listed()).models == ()
    router.children["a"].status = "loaded"
    [said] = await routed.said()
    assert said.facts is not None


async def test_a_model_unloaded_between_two_questions_is_no_outage(router: FakeRouter, routed: Url) -> None:
    router.children = {"a": Child("loaded")}
    await routed.poll()
    body = router._answer("/models")
    router.children["a"].status = "unloaded"
    router.answers["/models"] = body
    assert (await routed.listed()).health.state in {"serving", "idle"}


def test_what_is_no_list_of_models_is_none() -> None:
    assert parse_router_models(b"[]") is None


def test_the_settings_of_a_recorded_router_are_those_of_its_child() -> None:
    recording = Path(__file__).parents[2] / "recordings" / "llama-server" / "b11434-router-models.json"
    [model] = parse_router_models(json.dumps(json.loads(recording.read_text())).encode()) or ()
    assert isinstance(model, ModelClaim)
    assert (model.name, model.state) == ("gemma-3-270m-a", "ready")
    assert model.settings is not None
    assert (model.settings.context_length, model.settings.sleep_idle_seconds) == (2048, 6.0)


@pytest.mark.parametrize("status", ["downloading", "downloaded", "unloaded", "", "what"])
def test_a_model_that_takes_no_memory_is_left_out(status: str) -> None:
    body = json.dumps({"data": [{"id": "a", "status": {"value": status}}]}).encode()
    assert parse_router_models(body) == ()


@given(
    JSON
    | st.fixed_dictionaries({"data": st.lists(JSON | st.fixed_dictionaries({"id": JSON, "status": JSON}))})
)
def test_no_list_of_models_is_too_odd_to_be_read(value: object) -> None:
    parse_router_models(json.dumps(value).encode())
