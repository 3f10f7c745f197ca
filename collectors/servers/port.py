"""The requests to the port of one model: GET only, one at a time, none twice to a path that is not served."""

from __future__ import annotations

from collections.abc import Collection

from gpumon.collectors.http.client import MIB, HttpClient, Reply, TimeLimits
from gpumon.collectors.http.failure import RequestError


class ForeignProgramError(Exception):
    """Another program answers on the port."""


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


PUBLIC = frozenset({"/health"})
"""Paths that need no key."""


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
        self.wants_key = False
        """Whether it has refused to answer without one: then no more is asked than needs none."""
        self.server: str | None = None
        """What the header ``Server`` of the latest answer says."""

    async def get(self, path: str) -> Reply:
        """GET ``path`` and return whatever came; raise ``RequestError``."""
        reply = await self._client.get(path, MAX_BYTES)
        self.server = reply.headers.get("server")
        return reply

    async def get_body(self, path: str, server_headers: Collection[str | None] = (None,)) -> bytes:
        """GET ``path`` and return the body of its 200.

        ``server_headers`` is what the header ``Server`` may say where the port is not known to be the
        runner's own.

        Raise ``NotServedError``, ``StillLoadingError``, ``ForeignProgramError`` or ``RequestError``.
        """
        if (refusal := self.refusal(path)) is not None:
            raise NotServedError(refusal)
        reply = await self.get(path)
        if not self.trusted and reply.headers.get("server") not in server_headers:
            raise ForeignProgramError
        self.wants_key = self.wants_key or reply.status == 401
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
        if self.wants_key and path not in PUBLIC:
            return f"{path}: {REFUSALS[401]} (HTTP 401)"
        return self._refused.get(path)

    async def close(self) -> None:
        """Close the connection."""
        await self._client.close()
