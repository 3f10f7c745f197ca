"""Sources that are closed at the end of the test."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.collectors.ollama.support import PATIENT, FakeClock, MakeSource

from gpumon.collectors.http.endpoint import parse_endpoint
from gpumon.collectors.servers.ollama.server import OllamaSource
from gpumon.collectors.servers.registry import DEFAULT
from gpumon.collectors.servers.talk import Asked


@pytest.fixture
async def make_source() -> AsyncIterator[MakeSource]:
    """Make sources of Ollama that are closed at the end of the test."""
    made: list[OllamaSource] = []

    def make(url: str) -> OllamaSource:
        made.append(
            OllamaSource(DEFAULT, Asked(endpoint=parse_endpoint(url), clock=FakeClock(), limits=PATIENT))
        )
        return made[-1]

    yield make
    for source in made:
        await source.close()
