"""The requests to one runner: GET only, one at a time, and none twice to a path that is not served."""

from __future__ import annotations

from gpumon.collectors.http.client import MIB, HttpClient, Reply, RequestError, TimeLimits
from gpumon.collectors.runners.said import ForeignProgramError

MAX_BYTES = 4 * MIB
LIMITS = TimeLimits(connect=1.0, total=2.0, probe=2.0)
REFUSALS = {
    400: "not for this server",
    401: "asks for an API key",
    403: "access denied",
    404: "not served",
    501: "turned off",
}
"""Statuses after which a path is never asked again; each 401 would be a warning in the server's log."""
LLAMA_SERVER_HEADER = "llama.cpp"
"""``Server`` in every answer of llama-server, errors included."""


class NotServedError(Exception):
    """The path has no answer for us; its text says why."""


class StillLoadingError(Exception):
    """HTTP 503: the model is being loaded."""


class Port:
    """Asks one runner; closes ``client`` at its end."""

    def __init__(self, client: HttpClient) -> None:
        self._client = client
        self._refused: dict[str, str] = {}
        self.trusted = False
        """Whether the runner is known to own the port; else its answers must say what they come from."""

    async def get(self, path: str) -> Reply:
        """GET ``path`` and return whatever came; raise ``RequestError``."""
        return await self._client.get(path, MAX_BYTES)

    async def get_llama(self, path: str) -> bytes:
        """GET ``path`` of a llama-server and return the body of its 200.

        Raise ``NotServedError``, ``StillLoadingError``, ``ForeignProgramError`` or ``RequestError``.
        """
        if path in self._refused:
            raise NotServedError(self._refused[path])
        reply = await self.get(path)
        if not self.trusted and reply.headers.get("server") != LLAMA_SERVER_HEADER:
            raise ForeignProgramError
        if reply.status in REFUSALS:
            self.refuse(path, f"{path}: {REFUSALS[reply.status]} (HTTP {reply.status})")
            raise NotServedError(self._refused[path])
        if reply.status == 503:
            raise StillLoadingError
        if reply.status != 200:
            raise RequestError("unusable")
        return reply.body

    def refuse(self, path: str, why: str) -> None:
        """Never ask ``path`` again."""
        self._refused[path] = why

    def refusal(self, path: str) -> str | None:
        """Return why ``path`` is not asked, ``None`` if it is."""
        return self._refused.get(path)

    async def close(self) -> None:
        """Close the connection."""
        await self._client.close()
