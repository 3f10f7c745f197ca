"""The statistics of one model behind a router: the same paths, with the model's name in the query."""

from __future__ import annotations

from urllib.parse import quote

from gpumon.collectors.http.client import HttpClient, Reply
from gpumon.collectors.runners.port import Port

PATHS = frozenset({"/props", "/slots", "/metrics"})
"""Paths that a router hands on to the model's own server; it answers the others itself."""


class ModelPort(Port):
    """Asks a router about one model, and never makes it load one that is not loaded."""

    def __init__(self, client: HttpClient, name: str) -> None:
        super().__init__(client)
        self._query = f"?model={quote(name, safe='')}&autoload=false"

    async def get(self, path: str) -> Reply:
        """GET ``path`` for this model; raise ``RequestError``."""
        return await super().get(path + self._query if path in PATHS else path)
