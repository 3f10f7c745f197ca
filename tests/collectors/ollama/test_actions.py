"""Unloading a model: the one thing that is ever asked of a server beside its state."""

from __future__ import annotations

import json

import pytest
from tests.collectors.ollama.support import BRIEF, PATIENT, free_port
from tests.fakes.http import Answer
from tests.fakes.ollama.server import FakeOllama

from gpumon.collectors.http.endpoint import parse_endpoint
from gpumon.collectors.servers.ollama.actions import unload
from gpumon.collectors.servers.registry import DEFAULT


async def test_the_model_is_unloaded_as_ollama_stop_does_it(fake: FakeOllama) -> None:
    fake.catalog.load("qwen3:14b")
    assert await unload(parse_endpoint(fake.url), "qwen3:14b", DEFAULT, PATIENT) is None
    assert fake.catalog.loaded == []
    (request,) = fake.requests
    assert (request.method, request.path) == ("POST", "/api/generate")
    assert json.loads(request.body) == {"model": "qwen3:14b", "keep_alive": 0}


async def test_the_words_of_the_server_are_told(fake: FakeOllama) -> None:
    said = await unload(parse_endpoint(fake.url), "gone:1b", DEFAULT, PATIENT)
    assert said == "model 'gone:1b' not found"


async def test_headers_of_the_endpoint_are_sent(fake: FakeOllama) -> None:
    fake.catalog.load("qwen3:14b")
    await unload(parse_endpoint(fake.url, {"Authorization": "Bearer secret"}), "qwen3:14b", DEFAULT, PATIENT)
    assert fake.requests[0].headers["authorization"] == "Bearer secret"


async def test_a_secret_in_the_servers_words_is_blotted_out(fake: FakeOllama) -> None:
    fake.misbehave("/api/generate", Answer(400, b'{"error": "no access with Bearer secret"}'))
    said = await unload(parse_endpoint(fake.url, {"Authorization": "Bearer secret"}), "x", DEFAULT, PATIENT)
    assert said is not None
    assert "secret" not in said


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("hang", "not answering"),
        ("unauthorized_json", "HTTP 401"),
        ("reset_at_once", "closed the connection"),
    ],
)
async def test_a_failure_is_one_line(fake: FakeOllama, wrong: str, words: str) -> None:
    fake.misbehave("/api/generate", wrong)
    said = await unload(parse_endpoint(fake.url), "qwen3:14b", DEFAULT, BRIEF)
    assert said is not None
    assert words in said


async def test_a_server_that_is_gone_is_named() -> None:
    said = await unload(parse_endpoint(f"127.0.0.1:{free_port()}"), "qwen3:14b", DEFAULT, PATIENT)
    assert said is not None
    assert said.startswith("connection refused at 127.0.0.1:")
