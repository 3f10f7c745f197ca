"""A llama-server asked by its URL, with time that moves when told to."""

from __future__ import annotations

from collections.abc import Sequence

from tests.collectors.ollama.support import PATIENT, FakeClock
from tests.fakes.llama_server.server import FakeLlamaServer

from gpumon.collectors.http.endpoint import parse_endpoint
from gpumon.collectors.samples import AnySample, ServerSample, WorkSample
from gpumon.collectors.servers.source import ServerSource
from gpumon.collectors.servers.talk import Asked


class Url:
    """One URL that is asked, whatever answers there."""

    def __init__(self, url: str, headers: dict[str, str] | None = None) -> None:
        self.clock = FakeClock()
        self.active: bool | None = None
        self.source = ServerSource(
            Asked(
                endpoint=parse_endpoint(url, headers),
                clock=self.clock,
                limits=PATIENT,
                is_active=lambda _name: self.active,
            )
        )

    async def poll(self) -> Sequence[AnySample]:
        return await self.source.poll()

    async def listed(self) -> ServerSample:
        """Return what a poll says of the server."""
        sample = (await self.poll())[0]
        assert isinstance(sample, ServerSample), sample
        return sample

    async def said(self) -> list[WorkSample]:
        """Return what a poll says of its models."""
        return [sample for sample in await self.poll() if isinstance(sample, WorkSample)]

    async def run(self, seconds: float, interval: float = 1.0) -> list[WorkSample]:
        """Poll every ``interval``; return what was said of the models."""
        heard: list[WorkSample] = []
        for _ in range(round(seconds / interval)):
            self.clock.seconds += interval
            heard += await self.said()
        return heard


def url_of(fake: FakeLlamaServer, headers: dict[str, str] | None = None) -> Url:
    return Url(fake.url, headers)
