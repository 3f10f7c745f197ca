"""The source that asks pass-through meters (``gpumon meter``) for their counts.

``MeterReport`` is the answer of ``GET /.gpumon/meter``, as the meter writes it and the dashboard reads it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Sequence

import msgspec

from gpumon.collectors.http.client import MIB, HttpClient, TimeLimits
from gpumon.collectors.http.endpoint import Endpoint
from gpumon.collectors.http.failure import RequestError
from gpumon.collectors.samples import AnySample, Fact, MeteredModel, MeterSample
from gpumon.collectors.samples.meter import Name
from gpumon.collectors.source import Clock

REPORT_PATH = "/.gpumon/meter"
VERSION = 1


class MeterReport(Fact, frozen=True, kw_only=True):
    """What the requests that went through a meter have come to; fields at their default are left out."""

    version: int
    """1; within a version fields are only added."""
    upstream: Name
    models: tuple[MeteredModel, ...] = ()


_DECODER: msgspec.json.Decoder[MeterReport] = msgspec.json.Decoder(MeterReport)


def parse_report(body: bytes) -> MeterReport | None:
    """Return the report, ``None`` for what is none or of another version; never raises."""
    try:
        report = _DECODER.decode(body)
    except (ValueError, RecursionError):
        return None
    return report if report.version == VERSION else None


def is_meter(via: str | None) -> bool:
    """Return whether an answer came through a meter, by its ``Via`` header (RFC 9110, 7.6.3)."""
    return any(hop.split()[1:2] == ["gpumon"] for hop in (via or "").split(","))


IDLE_SECONDS = 2.0
"""Between two looks at meters without requests: a look costs them nothing and leaves no line in a log."""
SLOWEST_SECONDS = 4.0
"""A rate is of now, however long the user's interval is; the state lets it stand for a little longer."""
MAX_BYTES = 4 * MIB
LIMITS = TimeLimits(connect=1.0, total=1.5, probe=1.5)

Targets = Callable[[], Collection[str]]
"""URLs of the servers whose answers come through a meter now."""


class MeterSource:
    """Asks those of ``endpoints`` that ``targets`` names, side by side."""

    def __init__(
        self,
        clock: Clock,
        endpoints: Iterable[Endpoint],
        targets: Targets,
        limits: TimeLimits = LIMITS,
    ) -> None:
        self._clock = clock
        self._clients = {endpoint.url: HttpClient(endpoint, limits) for endpoint in endpoints}
        self._targets = targets
        self._busy = False

    @property
    def name(self) -> str:
        """The source as a whole; a sample names its meter."""
        return "meter"

    async def poll(self) -> Sequence[AnySample]:
        """Return what each meter says now."""
        asked = sorted(self._clients.keys() & set(self._targets()))
        samples = await asyncio.gather(*(self._ask(url) for url in asked))
        self._busy = any(model.requests_running for sample in samples for model in sample.models or ())
        return samples

    def delay(self, interval: float) -> float:
        """Return seconds to the next poll: slower while no request is under way."""
        return min(interval if self._busy else max(interval, IDLE_SECONDS), SLOWEST_SECONDS)

    async def close(self) -> None:
        """Close the connections."""
        for client in self._clients.values():
            await client.close()

    async def _ask(self, url: str) -> MeterSample:
        client = self._clients[url]
        report = await _report(client)
        return MeterSample(
            time=self._clock.now(),
            source=f"{self.name} {client.endpoint.authority}",
            server=url,
            upstream=report.upstream if report else None,
            models=report.models if report else None,
        )


async def _report(client: HttpClient) -> MeterReport | None:
    """Ask one meter; ``None`` where no report comes."""
    try:
        reply = await client.get(REPORT_PATH, MAX_BYTES)
    except RequestError:
        return None
    return parse_report(reply.body) if reply.status == 200 else None
