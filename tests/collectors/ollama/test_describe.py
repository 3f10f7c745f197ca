"""Asking a server once what a model's file holds."""

from __future__ import annotations

from tests.collectors.ollama.support import FakeClock, free_port
from tests.fakes.ollama.catalog import FakeModel
from tests.fakes.ollama.server import FakeOllama

from gpumon.collectors.http.endpoint import parse_endpoint
from gpumon.collectors.samples import ModelFacts
from gpumon.collectors.servers.ollama.actions import describe
from gpumon.collectors.servers.registry import DEFAULT


async def test_an_installed_model_is_described_and_not_loaded(fake: FakeOllama) -> None:
    fake.catalog.install(FakeModel("qwen3:8b"))
    said = await describe(parse_endpoint(fake.url), FakeClock(), "qwen3:8b", "sha-1", DEFAULT)
    assert isinstance(said, ModelFacts)
    assert (said.name, said.digest, said.source, said.layer_count) == ("qwen3:8b", "sha-1", fake.url, 32)
    assert fake.catalog.loaded == []
    assert list(fake.counts()) == ["/api/show"]


async def test_the_words_of_the_server_are_told(fake: FakeOllama) -> None:
    said = await describe(parse_endpoint(fake.url), FakeClock(), "gone:1b", "sha-1", DEFAULT)
    assert said == "model 'gone:1b' not found"


async def test_a_server_that_is_gone_is_named() -> None:
    said = await describe(parse_endpoint(f"127.0.0.1:{free_port()}"), FakeClock(), "x", "sha-1", DEFAULT)
    assert isinstance(said, str)
    assert "127.0.0.1" in said


async def test_an_answer_that_is_none_is_told_in_one_line(fake: FakeOllama) -> None:
    fake.catalog.install(FakeModel("qwen3:8b"))
    fake.misbehave("/api/show", "html_200")
    said = await describe(parse_endpoint(fake.url), FakeClock(), "qwen3:8b", "sha-1", DEFAULT)
    assert isinstance(said, str)
    assert "\n" not in said
