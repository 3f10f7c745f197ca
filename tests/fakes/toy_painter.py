"""A kind of image generator as a stranger would write it: it moves its weights, and frees them when asked."""

from __future__ import annotations

from gpumon.collectors.http.endpoint import Endpoint
from gpumon.collectors.servers.kind import RunnerKind, ServerKind


class PainterKind(ServerKind):
    name, label = "painter", "Painter"
    default_url = "http://127.0.0.1:7778"
    runners = (RunnerKind(name="painter_process", stands_alone=True, default_port=7778, moves_weights=True),)
    unloads = True
    freed: tuple[str, ...] = ()

    async def unload(self, endpoint: Endpoint, name: str) -> str | None:
        del endpoint
        self.freed = (*self.freed, name)
        return None

    def stop(self, url: str, name: str) -> str | None:
        del name
        return f"curl -X POST {url}/free"
