"""Which kind answers at a URL: told by its answers, at the cost of as few requests as can be."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator

import pytest
from tests.collectors.ollama.support import PATIENT, FakeClock
from tests.fakes.http import as_json
from tests.fakes.koboldcpp import FakeKoboldCpp
from tests.fakes.llama_swap import FakeLlamaSwap
from tests.fakes.ollama.misbehaviour import html
from tests.fakes.ollama.server import FakeOllama
from tests.fakes.toy_kind import ToyConversation, ToyKind
from tests.fakes.toy_server import COUNTED, ToyServer

from gpumon.collectors.http.endpoint import parse_endpoint
from gpumon.collectors.samples import ServerSample, SourceSilent
from gpumon.collectors.servers.conversation import Look
from gpumon.collectors.servers.ollama.server import OllamaSource
from gpumon.collectors.servers.registry import Registry
from gpumon.collectors.servers.source import ServerSource
from gpumon.collectors.servers.talk import Answers, Asked


class Imitator(ToyKind):
    """Answers as Ollama does, and is known by the name of its only model."""

    name = label = "imitator"
    imitates = "ollama"

    async def recognise(self, answers: Answers) -> bool:
        reply = answers.seen.get("/api/ps")
        return reply is not None and b"imitated" in reply.body


class Faulty(ToyKind):
    name = label = "faulty"

    async def recognise(self, answers: Answers) -> bool:
        raise KeyError("secret")


class Mute(ToyKind):
    name = label = "mute"

    def converse(self, asked: Asked) -> ToyConversation:
        raise KeyError("secret")


class Leaving(ToyKind):
    name = label = "leaving"

    async def recognise(self, answers: Answers) -> bool:
        sys.exit(3)


class Stumbling(ToyKind):
    name = label = "stumbling"

    def converse(self, asked: Asked) -> ToyConversation:
        return StumblingTalk(self, asked)


class StumblingTalk(ToyConversation):
    async def look(self) -> Look:
        raise KeyError("secret")


class Setting:
    """One URL, and the kinds beside those that are built in."""

    def __init__(self, url: str, *kinds: ToyKind) -> None:
        self.registry = Registry()
        for kind in kinds:
            self.registry.add(kind)
        self.source = ServerSource(
            Asked(endpoint=parse_endpoint(url), clock=FakeClock(), limits=PATIENT), self.registry
        )

    async def poll(self) -> ServerSample:
        first = (await self.source.poll())[0]
        assert isinstance(first, ServerSample)
        return first


@pytest.fixture
async def ollama() -> AsyncIterator[FakeOllama]:
    async with FakeOllama() as fake:
        yield fake


async def test_the_default_is_asked_for_nothing_but_its_own(ollama: FakeOllama) -> None:
    setting = Setting(ollama.url, ToyKind(), Imitator())
    assert (await setting.poll()).kind == "ollama"
    await setting.poll()
    await setting.source.close()
    assert set(ollama.counts()) <= {"/api/ps", "/api/version", "/api/tags"}


async def test_another_kind_is_recognised_in_the_same_poll_and_then_asked_alone() -> None:
    async with ToyServer(COUNTED) as toy:
        setting = Setting(toy.url, ToyKind())
        assert (await setting.poll()).kind == "toy"
        toy.requests.clear()
        assert (await setting.poll()).kind == "toy"
        await setting.source.close()
    assert [request.path for request in toy.requests] == ["/toy/status"]


async def test_another_program_at_the_likely_port_of_a_process_is_not_that_process() -> None:
    async with ToyServer(COUNTED) as toy:
        asked = Asked(endpoint=parse_endpoint(toy.url), clock=FakeClock(), limits=PATIENT, known_by="process")
        source = ServerSource(asked, Registry())
        first = (await source.poll())[0]
        await source.close()
    assert isinstance(first, ServerSample)
    assert first.health.state == "foreign"
    where = toy.url.removeprefix("http://")
    assert first.health.detail == f"its port may not be read; another program answers at {where}"
    assert first.health.hint == "name it: gpumon --url http://127.0.0.1:PORT"


async def test_what_nobody_recognises_is_asked_about_once_a_spell() -> None:
    async with ToyServer(COUNTED) as toy:
        setting = Setting(toy.url)
        assert (await setting.poll()).health.state == "foreign"
        toy.requests.clear()
        assert (await setting.poll()).health.state == "foreign"
        await setting.source.close()
    assert [request.path for request in toy.requests] == ["/api/ps"]


async def test_one_that_answers_otherwise_than_before_is_looked_at_again() -> None:
    """Its port was another program's for a while: it is known again as soon as it is back."""
    async with FakeLlamaSwap() as swap:
        setting = Setting(swap.url)
        assert (await setting.poll()).kind == "llama_swap"
        swap.answer_all = as_json({"running": "x"})
        assert (await setting.poll()).health.state == "foreign"
        swap.answer_all = None
        assert (await setting.poll()).kind == "llama_swap"
        await setting.source.close()


async def test_a_page_for_people_is_another_program_and_leaves_room_for_the_next() -> None:
    async with FakeKoboldCpp() as kobold:
        setting = Setting(kobold.url)
        assert (await setting.poll()).kind == "koboldcpp"
        kobold.answer_all = html(200, "hello")
        assert (await setting.poll()).health.state == "foreign"
        await setting.source.close()


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (Faulty(), "internal error: KeyError"),
        (Mute(), "internal error: KeyError"),
        (Leaving(), "internal error: SystemExit"),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
async def test_a_kind_that_fails_costs_itself_only_and_is_named_at_once(kind: ToyKind, words: str) -> None:
    async with ToyServer(COUNTED) as toy:
        setting = Setting(toy.url, kind, ToyKind())
        first, *_, named = await setting.source.poll()
        await setting.source.close()
    assert isinstance(first, ServerSample)
    assert first.kind == "toy"
    assert isinstance(named, SourceSilent)
    assert (named.source, named.detail) == (f"plug-in {kind.name}", words)


@pytest.mark.internal_errors
async def test_a_look_that_raises_is_a_fault_of_the_server_by_its_own_kind() -> None:
    async with ToyServer(COUNTED) as toy:
        setting = Setting(toy.url, Stumbling())
        for _ in range(2):
            sample = await setting.poll()
            assert (sample.kind, sample.health.state) == ("stumbling", "failing")
            assert sample.health.detail == "internal error: KeyError"
        await setting.source.close()


@pytest.mark.parametrize(("name", "kind"), [("imitated:1b", "imitator"), ("llama3:8b", "ollama")])
async def test_one_that_imitates_the_default_is_known_by_its_mark(
    ollama: FakeOllama, name: str, kind: str
) -> None:
    ollama.catalog.load(name)
    setting = Setting(ollama.url, Imitator())
    assert (await setting.poll()).kind == kind
    await setting.source.close()


async def test_until_something_answers_the_kind_is_not_known() -> None:
    setting = Setting("http://127.0.0.1:9")
    sample = await setting.poll()
    assert (sample.kind, sample.health.state) == (None, "not_running")
    await setting.source.close()


async def test_a_program_that_imitates_ollama_is_asked_nothing_more_as_ollama() -> None:
    async with FakeKoboldCpp() as kobold:
        setting = Setting(kobold.url)
        assert (await setting.poll()).kind == "koboldcpp"
        await setting.source.close()
    assert {("POST", "/api/show"), ("GET", "/api/tags")}.isdisjoint(kobold.asked)


async def test_what_ollama_is_asked_besides_waits_until_it_is_believed(ollama: FakeOllama) -> None:
    ollama.catalog.load("gemma3")
    setting = Setting(ollama.url, Imitator())
    assert (await setting.poll()).kind == "ollama"
    assert ollama.counts()["/api/tags"] == 0
    usual = setting.source._usual
    assert isinstance(usual, OllamaSource)
    await usual.settle()
    await setting.source.close()
    assert ollama.counts()["/api/tags"] == 1
