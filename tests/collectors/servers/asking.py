"""Asks a fake server through a ``ServerSource``, as a URL of which nothing is known is asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct
from tests.collectors.ollama.support import PATIENT, FakeClock
from tests.fakes.http import Listening

from gpumon.collectors.http.endpoint import parse_endpoint
from gpumon.collectors.samples import AnySample, ModelClaim, ServerSample, WorkSample
from gpumon.collectors.servers.kind import ServerKind
from gpumon.collectors.servers.source import ServerSource
from gpumon.collectors.servers.talk import Asked, RunnersHint


class Heard(Struct):
    """What one look brought."""

    samples: Sequence[AnySample]

    @property
    def server(self) -> ServerSample:
        first = self.samples[0]
        assert isinstance(first, ServerSample)
        return first

    @property
    def state(self) -> str:
        return self.server.health.state

    @property
    def model(self) -> ModelClaim:
        [model] = self.server.models or ()
        return model

    @property
    def work(self) -> WorkSample:
        [work] = [one for one in self.samples if isinstance(one, WorkSample)]
        return work


class Asking:
    """A conversation, with a clock of its own."""

    def __init__(
        self,
        fake: Listening,
        headers: Mapping[str, str] | None = None,
        runners: RunnersHint | None = None,
        expected: ServerKind | None = None,
    ) -> None:
        self.clock = FakeClock()
        endpoint = parse_endpoint(fake.url, headers)
        asked = Asked(endpoint=endpoint, clock=self.clock, limits=PATIENT, runners=runners)
        self.source = ServerSource(asked, expected=expected)

    async def __aenter__(self) -> Asking:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.source.close()

    async def look(self, after: float = 1.0) -> Heard:
        self.clock.seconds += after
        return Heard(await self.source.poll())


async def heard(fake: Listening, times: int = 1, headers: Mapping[str, str] | None = None) -> Heard:
    """Return what the last of some looks brings."""
    async with Asking(fake, headers) as asking:
        looks = [await asking.look() for _ in range(times)]
    return looks[-1]
