"""What was said of a model's work, as a sample."""

from __future__ import annotations

import pytest
from msgspec.structs import asdict
from tests.collectors.ollama.support import FakeClock
from tests.fakes.tabbyapi import KEY, FakeTabbyApi

from gpumon.collectors.http.client import HttpClient
from gpumon.collectors.http.endpoint import parse_endpoint
from gpumon.collectors.runners.source import talk_with
from gpumon.collectors.runners.target import RunnerTarget
from gpumon.collectors.samples import (
    CachePool,
    LastRequest,
    LoadFacts,
    PictureJob,
    Said,
    Slot,
    SourceHealth,
    WorkCounters,
)
from gpumon.collectors.servers.conversation import Refusals, work_sample
from gpumon.collectors.servers.port import Port

SAID = Said(
    state="busy",
    detail="behind a batch",
    progress=0.5,
    facts=LoadFacts(build="b1"),
    slots=(Slot(slot_id=1),),
    counters=WorkCounters(requests_processing=1),
    decode_tokens_per_second=40.0,
    prefill_tokens_per_second=900.0,
    origin="/metrics",
    pool=CachePool(used_fraction=0.5),
    last=LastRequest(count=3),
    job=PictureJob(step=7),
)


def test_a_sample_holds_all_that_was_said_and_of_which_process() -> None:
    sample = work_sample(SAID, 5.0, "runner 7", process=(7, 1.0, 8080), origin="/elsewhere")
    assert None not in asdict(SAID).values()
    assert asdict(sample) == asdict(SAID) | {
        "time": 5.0,
        "source": "runner 7",
        "model": None,
        "pid": 7,
        "started": 1.0,
        "port": 8080,
    }


def test_figures_without_an_origin_of_their_own_have_that_of_the_look() -> None:
    sample = work_sample(Said("ready"), 5.0, "http://127.0.0.1:8080", model="a", origin="/slots")
    assert (sample.model, sample.pid, sample.origin) == ("a", None, "/slots")


@pytest.mark.parametrize(
    ("headers", "pauses"),
    [
        ({}, [900.0, 900.0]),
        ({"X-Team": "research"}, [900.0, 900.0]),
        ({"Authorization": "Bearer wrong"}, [60.0, 120.0, 240.0, 480.0, 900.0, 900.0]),
        ({"X-API-Key": "wrong"}, [60.0, 120.0]),
    ],
)
def test_after_a_refusal_it_waits_longer_where_no_key_is_given(
    headers: dict[str, str], pauses: list[float]
) -> None:
    """Each refusal may be a warning in the server's log."""
    refusals, waited = Refusals(parse_endpoint("http://box:1", headers)), []
    for _ in pauses:
        refusals.note(SourceHealth(state="forbidden", detail="HTTP 401: credentials are asked for"))
        waited.append(refusals.seconds)
    assert waited == pauses
    refusals.note(None)
    assert refusals.seconds is None


def test_what_a_proxy_denies_is_asked_again_in_a_minute() -> None:
    refusals = Refusals(parse_endpoint("http://box:1"))
    for _ in range(3):
        refusals.note(SourceHealth(state="forbidden", detail="HTTP 403: access denied"))
        assert refusals.seconds == 60.0


async def test_a_process_is_asked_with_the_headers_of_its_own_url() -> None:
    async with FakeTabbyApi(key=KEY) as fake:
        target = RunnerTarget(pid=7, started=1.0, kind="tabbyapi", port=fake.port)
        port = Port(HttpClient(parse_endpoint(fake.url)))
        refused = talk_with(target, port, FakeClock())
        let_in = talk_with(target, port, FakeClock(), lambda url: parse_endpoint(url, {"X-API-Key": KEY}))
        first, again, known = await refused.ask(None), await refused.ask(None), await let_in.ask(None)
        for talk in (refused, let_in, port):
            await talk.close()
    assert first is not None
    assert "api_tokens.yml" in (first.detail or "")
    assert again is None, "each refusal is a line in its log"
    assert known is not None
    assert known.pool is not None
