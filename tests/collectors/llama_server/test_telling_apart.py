"""Ollama and llama-server told apart by their answers, whatever the URL looks like."""

from __future__ import annotations

from tests.collectors.llama_server.support import Url, url_of
from tests.collectors.ollama.support import free_port
from tests.fakes.llama_server.server import FakeLlamaServer
from tests.fakes.ollama.server import FakeOllama

from gpumon.collectors.samples import ServerSample


async def test_ollama_is_asked_as_ollama() -> None:
    async with FakeOllama() as ollama:
        url = Url(ollama.url)
        [sample, *_] = await url.poll()
        assert isinstance(sample, ServerSample)
        assert sample.health.state == "idle"
        assert {request.path for request in ollama.requests} <= {"/api/ps", "/api/version", "/api/tags"}
        await url.source.close()


async def test_nothing_at_all_is_no_llama_server() -> None:
    url = Url(f"http://127.0.0.1:{free_port()}")
    [sample] = await url.poll()
    assert isinstance(sample, ServerSample)
    assert sample.health.state == "not_running"
    await url.source.close()


async def test_a_llama_server_that_loads_is_recognised(fake: FakeLlamaServer, url: Url) -> None:
    fake.loading = True
    assert (await url.listed()).health.state == "serving"


async def test_a_llama_server_behind_a_proxy_that_hides_its_name_is_recognised(
    fake: FakeLlamaServer, url: Url
) -> None:
    fake.header = "nginx"
    assert (await url.listed()).health.state == "serving"


async def test_another_program_is_looked_into_once(fake: FakeLlamaServer, url: Url) -> None:
    fake.header = None
    fake.answers = dict.fromkeys(("/props", "/v1/models", "/health"), fake._answer("/nowhere"))
    for _ in range(5):
        [sample] = await url.poll()
        assert isinstance(sample, ServerSample)
        assert sample.health.state == "foreign"
    assert fake.counts()["/props"] == 1


async def test_a_server_that_becomes_ollama_is_asked_as_ollama(fake: FakeLlamaServer) -> None:
    url = url_of(fake)
    await url.poll()
    port = fake.port
    await fake.refuse()
    async with FakeOllama(port):
        url.clock.seconds += 60
        [sample, *_] = await url.poll()
        assert isinstance(sample, ServerSample)
        assert sample.health.state == "idle"
    await url.source.close()


async def test_ollama_that_becomes_a_llama_server_is_asked_as_one(fake: FakeLlamaServer) -> None:
    async with FakeOllama() as ollama:
        url, port = Url(ollama.url), ollama.port
        await url.poll()
    fake_port = FakeLlamaServer()
    fake_port.port = port
    async with fake_port:
        [sample, *_] = await url.poll()
        assert isinstance(sample, ServerSample)
        assert sample.health.state == "serving"
    await url.source.close()
