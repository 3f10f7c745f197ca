"""The dashboard's side of the meter."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.collectors.ollama.support import PATIENT, FakeClock, MakeSource, free_port
from tests.fakes.http import Answer
from tests.fakes.ollama.server import FakeOllama

from gpumon.collectors.http.endpoint import parse_endpoint
from gpumon.collectors.meter import (
    IDLE_SECONDS,
    SLOWEST_SECONDS,
    MeterReport,
    MeterSource,
    is_meter,
    parse_report,
)
from gpumon.collectors.samples import MeteredModel, MeterSample

PATH = "/.gpumon/meter"
REPORT = MeterReport(
    version=1,
    upstream="http://127.0.0.1:11434",
    models=(MeteredModel(name="qwen3:8b", requests_running=1, decode_tokens_per_second=40.5),),
)


async def poll(url: str, targets: set[str]) -> tuple[MeterSource, list[MeterSample]]:
    source = MeterSource(FakeClock(), [parse_endpoint(url)], lambda: targets, PATIENT)
    samples = await source.poll()
    await source.close()
    return source, [sample for sample in samples if isinstance(sample, MeterSample)]


async def test_a_report_becomes_a_sample() -> None:
    async with FakeOllama() as fake:
        fake.misbehave(PATH, Answer(200, msgspec.json.encode(REPORT)))
        _, [sample] = await poll(fake.url, {fake.url})
    assert (sample.server, sample.upstream, sample.models) == (fake.url, REPORT.upstream, REPORT.models)
    assert sample.source == f"meter 127.0.0.1:{fake.port}"


async def test_only_servers_that_are_seen_through_a_meter_are_asked() -> None:
    async with FakeOllama() as fake:
        _, samples = await poll(fake.url, set())
        assert (samples, fake.requests) == ([], [])


@pytest.mark.parametrize("body", [b"404 page not found", b"[]", b"{}", b'{"version":2,"upstream":"x"}'])
async def test_what_is_no_report_says_nothing_of_models(body: bytes) -> None:
    async with FakeOllama() as fake:
        fake.misbehave(PATH, Answer(200, body))
        _, [sample] = await poll(fake.url, {fake.url})
    assert sample.models is None


async def test_a_meter_that_is_gone_says_nothing_of_models() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    _, [sample] = await poll(url, {url})
    assert sample.models is None


@pytest.mark.parametrize(("running", "seconds"), [(1, 0.5), (0, IDLE_SECONDS)])
async def test_it_is_asked_fast_while_requests_run(running: int, seconds: float) -> None:
    report = msgspec.structs.replace(REPORT, models=(MeteredModel(name="m", requests_running=running),))
    async with FakeOllama() as fake:
        fake.misbehave(PATH, Answer(200, msgspec.json.encode(report)))
        source, _ = await poll(fake.url, {fake.url})
    assert source.delay(0.5) == seconds
    assert source.delay(60.0) == SLOWEST_SECONDS


@given(st.binary(max_size=200))
def test_no_body_does_harm(body: bytes) -> None:
    parse_report(body)


@pytest.mark.parametrize(
    ("via", "expected"),
    [
        (None, False),
        ("1.1 gpumon", True),
        ("1.1 proxy, 1.1 gpumon (x)", True),
        ("HTTP/1.1 gpumon", True),
        ("1.1 not-gpumon", False),
        ("gpumon", False),
        (",", False),
    ],
)
def test_a_meter_names_itself_in_via(via: str | None, expected: bool) -> None:
    assert is_meter(via) is expected


@pytest.mark.parametrize(("headers", "metered"), [({}, False), ({"Via": "1.1 gpumon"}, True)])
async def test_the_ollama_source_notices_a_meter(
    headers: dict[str, str], metered: bool, make_source: MakeSource
) -> None:
    async with FakeOllama() as fake:
        fake.misbehave("/api/ps", Answer(200, b'{"models":[]}', headers=headers))
        [sample, *_] = await make_source(fake.url).poll()
    assert getattr(sample, "metered", None) is metered
