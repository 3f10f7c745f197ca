"""What is asked seldom: versions, installed models, and the geometry of each digest once."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence

import pytest
from tests.collectors.ollama.support import BRIEF, FakeClock, MakeSource
from tests.fakes.ollama.catalog import FakeModel
from tests.fakes.ollama.server import FakeOllama

from gpumon.collectors.samples import AnySample, InstalledModels, ModelFacts, ServerSample
from gpumon.collectors.servers.ollama import server
from gpumon.collectors.servers.ollama.server import OllamaSource


async def poll_and_settle(source: OllamaSource, times: int = 1) -> list[AnySample]:
    """Poll, letting errands end between the polls."""
    samples: list[AnySample] = []
    for _ in range(times):
        samples += await source.poll()
        samples += await source.settle()
    return samples


def facts(samples: Sequence[AnySample]) -> list[ModelFacts]:
    return [sample for sample in samples if isinstance(sample, ModelFacts)]


def installed(samples: Sequence[AnySample]) -> list[InstalledModels]:
    return [sample for sample in samples if isinstance(sample, InstalledModels)]


async def test_the_first_poll_brings_the_list_and_errands_follow(
    fake: FakeOllama, make_source: MakeSource
) -> None:
    fake.catalog.load("llama3:8b")
    source = make_source(fake.url)
    assert [type(sample) for sample in await source.poll()] == [ServerSample]
    assert [type(sample) for sample in await source.settle()] == [InstalledModels, ModelFacts]


async def test_what_errands_bring_comes_with_the_next_poll(fake: FakeOllama, make_source: MakeSource) -> None:
    fake.catalog.load("llama3:8b")
    source = make_source(fake.url)
    await source.poll()
    await source._errands.settle()
    assert [type(sample) for sample in await source.poll()] == [
        ServerSample,
        InstalledModels,
        ModelFacts,
    ]


async def test_a_digest_is_shown_once(fake: FakeOllama, make_source: MakeSource) -> None:
    fake.catalog.load("llama3:8b")
    samples = await poll_and_settle(make_source(fake.url), times=10)
    assert fake.counts()["/api/show"] == 1
    assert [fact.name for fact in facts(samples)] == ["llama3:8b"]


async def test_a_model_that_is_loaded_again_is_not_shown_again(
    fake: FakeOllama, make_source: MakeSource
) -> None:
    source = make_source(fake.url)
    for _ in range(3):
        fake.catalog.load("llama3:8b")
        await poll_and_settle(source)
        fake.catalog.unload("llama3:8b")
        await poll_and_settle(source)
    assert fake.counts()["/api/show"] == 1


async def test_two_names_of_one_digest_are_shown_once(fake: FakeOllama, make_source: MakeSource) -> None:
    fake.catalog.load("llama3:8b", digest="d" * 64)
    fake.catalog.load("alias", digest="d" * 64)
    await poll_and_settle(make_source(fake.url), times=3)
    assert fake.counts()["/api/show"] == 1


async def test_a_name_with_a_new_digest_is_shown(fake: FakeOllama, make_source: MakeSource) -> None:
    source = make_source(fake.url)
    for digest in ("a" * 64, "b" * 64):
        fake.catalog.load("llama3:8b", digest=digest)
        await poll_and_settle(source)
    assert fake.counts()["/api/show"] == 2


async def test_the_name_goes_into_the_question_as_data(fake: FakeOllama, make_source: MakeSource) -> None:
    name = 'x"},"evil":{"\x1b[31m\n'
    fake.catalog.load(name)
    assert [fact.name for fact in facts(await poll_and_settle(make_source(fake.url)))] == [name]


async def test_a_failing_show_is_tried_three_times_and_never_hides_the_list(
    fake: FakeOllama, make_source: MakeSource
) -> None:
    fake.catalog.load("llama3:8b")
    fake.misbehave("/api/show", "error_json")
    samples = await poll_and_settle(make_source(fake.url), times=10)
    assert fake.counts()["/api/show"] == 3
    assert all(sample.health.state == "serving" for sample in samples if isinstance(sample, ServerSample))


async def test_a_hanging_show_does_not_delay_the_list(fake: FakeOllama, make_source: MakeSource) -> None:
    fake.catalog.load("llama3:8b")
    fake.misbehave("/api/show", "hang")
    source = make_source(fake.url)
    for _ in range(5):
        assert (await source.poll())[0].source == fake.url
    assert fake.counts()["/api/ps"] == 5


async def test_one_errand_is_in_flight_at_a_time(fake: FakeOllama, make_source: MakeSource) -> None:
    for number in range(3):
        fake.catalog.load(f"model:{number}")
    fake.misbehave("/api/tags", "hang")
    source = make_source(fake.url)
    for _ in range(5):
        await source.poll()
    assert (fake.counts()["/api/tags"], fake.counts()["/api/show"]) == (1, 0)


async def test_what_failed_is_asked_again_after_the_server_comes_back(
    fake: FakeOllama, make_source: MakeSource
) -> None:
    fake.catalog.load("llama3:8b")
    fake.misbehave("/api/show", "not_found_text")
    source = make_source(fake.url)
    await poll_and_settle(source, times=5)
    await fake.refuse()
    await poll_and_settle(source)
    await fake.listen()
    fake.behave()
    assert facts(await poll_and_settle(source))


async def test_many_models_are_asked_about_a_few_at_a_time(fake: FakeOllama, make_source: MakeSource) -> None:
    for number in range(10):
        fake.catalog.load(f"model:{number}")
    source = make_source(fake.url)
    shown = []
    for _ in range(4):
        await poll_and_settle(source)
        shown.append(fake.counts()["/api/show"])
    assert shown == [4, 8, 10, 10]
    assert fake.counts()["/api/tags"] == 1


async def test_a_model_without_a_digest_is_not_shown(fake: FakeOllama, make_source: MakeSource) -> None:
    fake.catalog.raw_ps_rows = [{"name": "llama3:8b"}]
    await poll_and_settle(make_source(fake.url), times=3)
    assert fake.counts()["/api/show"] == 0


async def test_installed_models_are_asked_for_every_five_minutes(
    fake: FakeOllama, make_source: MakeSource, clock: FakeClock
) -> None:
    source = make_source(fake.url)
    for _ in range(61):
        await source.poll()
        await source._errands.settle()
        clock.seconds += 10.0
    assert fake.counts()["/api/tags"] == 3


async def test_an_unknown_digest_makes_it_look_at_what_is_installed(
    fake: FakeOllama, make_source: MakeSource
) -> None:
    source = make_source(fake.url)
    await poll_and_settle(source, times=3)
    fake.catalog.load("pulled:just-now")
    samples = await poll_and_settle(source, times=3)
    assert [[model.name for model in sample.models] for sample in installed(samples)] == [["pulled:just-now"]]


async def test_a_known_digest_does_not(fake: FakeOllama, make_source: MakeSource) -> None:
    fake.catalog.load("llama3:8b")
    fake.catalog.unload("llama3:8b")
    source = make_source(fake.url)
    await poll_and_settle(source)
    fake.catalog.load("llama3:8b")
    await poll_and_settle(source, times=3)
    assert fake.counts()["/api/tags"] == 1


async def test_a_failing_tags_is_not_asked_at_every_poll(fake: FakeOllama, make_source: MakeSource) -> None:
    fake.catalog.load("llama3:8b")
    fake.misbehave("/api/tags", "error_json")
    samples = await poll_and_settle(make_source(fake.url), times=10)
    assert fake.counts()["/api/tags"] == 1
    assert not installed(samples)


async def test_the_version_comes_with_the_first_list(fake: FakeOllama, make_source: MakeSource) -> None:
    (sample,) = await make_source(fake.url).poll()
    assert isinstance(sample, ServerSample)
    assert sample.version == "0.33.0"


async def test_the_version_is_asked_once_a_minute(
    fake: FakeOllama, make_source: MakeSource, clock: FakeClock
) -> None:
    source = make_source(fake.url)
    for _ in range(121):
        await source.poll()
        clock.seconds += 1.0
    assert fake.counts()["/api/version"] == 3


async def test_an_updated_server_shows_its_new_version_at_once(
    fake: FakeOllama, make_source: MakeSource
) -> None:
    source = make_source(fake.url)
    await source.poll()
    await fake.refuse()
    await source.poll()
    fake.version = "0.34.0"
    await fake.listen()
    sample = (await source.poll())[0]
    assert isinstance(sample, ServerSample)
    assert sample.version == "0.34.0"


async def test_a_server_that_hides_its_version_is_still_serving(
    fake: FakeOllama, make_source: MakeSource
) -> None:
    fake.misbehave("/api/version", "hang")
    (sample,) = await make_source(fake.url, BRIEF).poll()
    assert isinstance(sample, ServerSample)
    assert (sample.health.state, sample.version) == ("idle", None)


async def test_closing_cancels_an_errand_that_hangs(fake: FakeOllama, make_source: MakeSource) -> None:
    fake.misbehave("/api/tags", "hang")
    source = make_source(fake.url)
    await source.poll()
    await source.close()
    assert not [task for task in asyncio.all_tasks() if "Errands" in repr(task)]


async def test_what_is_remembered_of_models_long_gone_is_bounded(
    fake: FakeOllama, make_source: MakeSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "MAX_DIGESTS", 5)
    source = make_source(fake.url)
    for number in range(20):
        fake.catalog.load(f"model:{number}")
        await poll_and_settle(source)
        fake.catalog.unload(f"model:{number}")
    assert len(source._errands._shown) <= 6


async def test_a_monitor_asks_nothing_that_loads_or_keeps_a_model(
    fake: FakeOllama, make_source: MakeSource
) -> None:
    fake.catalog.load("llama3:8b")
    await poll_and_settle(make_source(fake.url), times=3)
    asked = Counter((request.method, request.path) for request in fake.requests)
    assert asked.keys() == {
        ("GET", "/api/ps"),
        ("GET", "/api/version"),
        ("GET", "/api/tags"),
        ("POST", "/api/show"),
    }


WANTED = FakeModel("second", digest="s" * 64).blob


class TestNamesOfFiles:
    """A file that is loaded, and whose name is on a disk that may not be read."""

    def hinted(self, fake: FakeOllama, make_source: MakeSource, *blobs: str) -> OllamaSource:
        for name in ("first", "second", "third"):
            fake.catalog.load(name, digest=name[0] * 64)
            fake.catalog.unload(name)
        return make_source(fake.url, unnamed_blobs=lambda: frozenset(blobs))

    async def test_it_is_the_one_whose_from_line_names_it_and_no_more_is_asked(
        self, fake: FakeOllama, make_source: MakeSource
    ) -> None:
        source = self.hinted(fake, make_source, WANTED)
        found = facts(await poll_and_settle(source))
        assert [(one.name, one.blobs[:1]) for one in found if WANTED in one.blobs] == [("second", (WANTED,))]
        assert fake.counts()["/api/show"] <= 2

    async def test_each_model_is_asked_about_once_where_none_has_it(
        self, fake: FakeOllama, make_source: MakeSource
    ) -> None:
        await poll_and_settle(self.hinted(fake, make_source, "sha256-" + 64 * "0"), times=5)
        assert fake.counts()["/api/show"] == 3

    async def test_nothing_is_asked_where_the_names_are_known(
        self, fake: FakeOllama, make_source: MakeSource
    ) -> None:
        await poll_and_settle(self.hinted(fake, make_source), times=5)
        assert fake.counts()["/api/show"] == 0
