"""A fake Ollama on a free port, and sources that ask it with short time limits."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.collectors.ollama.support import PATIENT, FakeClock, MakeSource
from tests.fakes.ollama.server import FakeOllama

from gpumon.collectors.http.client import TimeLimits
from gpumon.collectors.http.endpoint import parse_endpoint
from gpumon.collectors.servers.ollama.server import OllamaSource
from gpumon.collectors.servers.registry import DEFAULT
from gpumon.collectors.servers.talk import Asked, BlobsHint, RunnersHint


@pytest.fixture
async def fake() -> AsyncIterator[FakeOllama]:
    async with FakeOllama() as server:
        yield server


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def make_source(clock: FakeClock) -> AsyncIterator[MakeSource]:
    """Make sources that are closed at the end of the test."""
    made: list[OllamaSource] = []

    def make(
        url: str,
        limits: TimeLimits = PATIENT,
        headers: dict[str, str] | None = None,
        runners: RunnersHint | None = None,
        unnamed_blobs: BlobsHint | None = None,
    ) -> OllamaSource:
        made.append(
            OllamaSource(
                DEFAULT,
                Asked(
                    endpoint=parse_endpoint(url, headers),
                    clock=clock,
                    limits=limits,
                    runners=runners,
                    unnamed_blobs=unnamed_blobs,
                ),
            )
        )
        return made[-1]

    yield make
    for source in made:
        await source.close()
