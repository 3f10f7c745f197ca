"""One URL of a server of models: told by its answers to be Ollama or a llama-server, and asked as such."""

from __future__ import annotations

from collections.abc import Sequence

from gpumon.collectors.clock import Clock
from gpumon.collectors.http.client import HttpClient, TimeLimits
from gpumon.collectors.http.endpoint import Endpoint
from gpumon.collectors.llama_server.identity import looks_like_llama_server
from gpumon.collectors.llama_server.source import IsActive, LlamaServerSource
from gpumon.collectors.ollama.collector import OllamaSource
from gpumon.collectors.ollama.pace import RunnersHint
from gpumon.collectors.runners.port import LLAMA_SERVER_HEADER
from gpumon.collectors.samples import AnySample, LlamaServerSample, OllamaSample


class ModelServerSource:
    """Asks as Ollama until a llama-server answers, and as that until something else does."""

    def __init__(
        self,
        endpoint: Endpoint,
        clock: Clock,
        active: IsActive | None = None,
        limits: TimeLimits | None = None,
        runners: RunnersHint | None = None,
    ) -> None:
        self._endpoint = endpoint
        self._clock = clock
        self._active = active
        self._limits = limits
        self._ollama = OllamaSource(endpoint, clock, limits, runners)
        self._llama_server: LlamaServerSource | None = None
        self._doubted = False
        """Whether this spell of foreign answers has been looked into."""

    @property
    def name(self) -> str:
        """The server's URL without credentials."""
        return self._endpoint.url

    async def poll(self) -> Sequence[AnySample]:
        """Return what the server says now, whichever it is."""
        if self._llama_server is not None:
            samples = await self._llama_server.poll()
            if not _is_foreign(samples):
                return samples
            await self._leave(self._llama_server)
        samples = await self._ollama.poll()
        found = await self._recognised(samples)
        if found is None:
            return samples
        self._llama_server = found
        return await found.poll()

    def delay(self, interval: float) -> float:
        """Return seconds to the next poll, as the server that answers wants it."""
        current = self._llama_server or self._ollama
        return current.delay(interval)

    async def close(self) -> None:
        """Close the connections."""
        if self._llama_server is not None:
            await self._llama_server.close()
        await self._ollama.close()

    async def _leave(self, left: LlamaServerSource) -> None:
        self._llama_server, self._doubted = None, False
        await left.close()

    async def _recognised(self, samples: Sequence[AnySample]) -> LlamaServerSource | None:
        """Return a source for the llama-server that has given these answers; ``None`` for any other."""
        health = samples[0].health if isinstance(samples[0], OllamaSample) else None
        if health is None or health.state in {"serving", "idle"}:
            self._doubted = False
            return None
        if self._ollama.server_header == LLAMA_SERVER_HEADER:
            return self._source(trusted=False)
        if health.state != "foreign" or self._doubted:
            return None
        self._doubted = True
        return self._source(trusted=True) if await self._looks_like_llama_server() else None

    async def _looks_like_llama_server(self) -> bool:
        client = HttpClient(self._endpoint, self._limits)
        try:
            return await looks_like_llama_server(client)
        finally:
            await client.close()

    def _source(self, *, trusted: bool) -> LlamaServerSource:
        return LlamaServerSource(self._endpoint, self._clock, self._active, self._limits, trusted=trusted)


def _is_foreign(samples: Sequence[AnySample]) -> bool:
    return isinstance(samples[0], LlamaServerSample) and samples[0].health.state == "foreign"
