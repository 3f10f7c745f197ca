"""Each installed model is asked about once a run, a few at a time; a directory that can be read is first."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.fakes.gguf.mixture import dense
from tests.fakes.ollama.catalog import GIB, FakeModel
from tests.fakes.ollama.disk import put_on_disk
from tests.fakes.ollama.server import FakeOllama
from tests.fakes.samples import OLLAMA, START, ollama
from tests.scene import after

from gpumon.app.diagnosis.fit.machine import Installed
from gpumon.app.session.describing import AT_A_TIME, NOT_DESCRIBED, Descriptions, describe
from gpumon.app.state.records import ModelKey
from gpumon.app.state.state import State
from gpumon.collectors.http.endpoint import parse_endpoint
from gpumon.collectors.samples import BlobNames, ModelFacts


def model(name: str, source: str = OLLAMA) -> Installed:
    return Installed(ModelKey(source, f"sha-{name}"), name, GIB)


def facts_of(name: str) -> ModelFacts:
    return ModelFacts(time=START, source=OLLAMA, name=name, digest=f"sha-{name}")


class Server:
    """Answers when told to, and notes how many ask at a time."""

    def __init__(self, problem: str | None = None) -> None:
        self.problem = problem
        self.asked: list[str] = []
        self.now = self.most = 0

    async def describe(self, name: str, digest: str) -> ModelFacts | str:
        del digest
        self.asked.append(name)
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(0)
        self.now -= 1
        return self.problem or facts_of(name)


MODELS = [model(f"m{number}:1b") for number in range(20)]


async def test_all_are_asked_about_a_few_at_a_time_and_once() -> None:
    server, taken = Server(), list[ModelFacts]()
    asked, state = Descriptions({OLLAMA: server.describe}, taken.append), State()
    for _ in range(2):
        await asked.ask(asked.unasked(MODELS, state), lambda: None)
    assert sorted(server.asked) == sorted(one.name for one in MODELS)
    assert sorted(one.name for one in taken) == sorted(server.asked)
    assert server.most == AT_A_TIME
    assert asked.asked == 0


async def test_what_is_known_or_cannot_be_asked_is_not() -> None:
    asked = Descriptions({OLLAMA: Server().describe}, lambda _: None)
    state = after(facts_of("m0:1b")).state
    far = model("m9:1b", "http://far:11434")
    assert asked.unasked([model("m0:1b"), model("m1:1b"), far], state) == [model("m1:1b")]
    assert asked.missing_words(far.key) == NOT_DESCRIBED


async def test_a_problem_is_kept_until_it_is_forgotten() -> None:
    server = Server("not found")
    asked = Descriptions({OLLAMA: server.describe}, lambda _: None)
    await asked.ask(asked.unasked(MODELS[:1], State()), lambda: None)
    assert asked.missing_words(MODELS[0].key) == "what its file holds is not known: not found"
    assert asked.unasked(MODELS[:1], State()) == []
    asked.forget(MODELS[0].key)
    assert asked.unasked(MODELS[:1], State()) == MODELS[:1]


async def test_whoever_is_cancelled_may_ask_again() -> None:
    async def never(name: str, digest: str) -> ModelFacts | str:
        await asyncio.Event().wait()
        return name + digest

    asked = Descriptions({OLLAMA: never}, lambda _: None)
    asking = asyncio.ensure_future(asked.ask(MODELS, lambda: None))
    await asyncio.sleep(0)
    assert asked.asked == len(MODELS)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    assert (asked.asked, asked.unasked(MODELS, State())) == (0, MODELS)


async def test_a_file_on_this_disk_is_read_and_the_server_is_not_asked(tmp_path: Path) -> None:
    digest = put_on_disk(tmp_path, "llama3.1:8b", dense(), {"num_ctx": 8192})
    names = BlobNames(time=START, source=f"models {tmp_path}", digests={"llama3.1:8b": digest})
    async with FakeOllama() as server:
        state = after(ollama(0, source=server.url), names).state
        found = await describe(state, parse_endpoint(server.url), "llama3.1:8b", digest)
        assert server.requests == []
    assert isinstance(found, ModelFacts)
    assert (found.source, found.digest, found.layer_count) == (server.url, digest, 32)
    assert found.parameters == {"num_ctx": "8192"}


async def test_a_file_that_is_not_on_this_disk_is_asked_for() -> None:
    async with FakeOllama() as server:
        server.catalog.install(FakeModel("small:8b", 5 * GIB))
        state = after(ollama(0, source=server.url)).state
        found = await describe(state, parse_endpoint(server.url), "small:8b", "d" * 64)
        assert [request.path for request in server.requests] == ["/api/show"]
    assert isinstance(found, ModelFacts)
