"""A meter on a free port, in this process, and clients that see every byte."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import httpx
import msgspec

from gpumon.app.listening import Address, bind
from gpumon.app.meter.gateway import Gateway, build_client
from gpumon.app.meter.serve import build_server
from gpumon.collectors.http.endpoint import parse_endpoint
from gpumon.collectors.meter import REPORT_PATH, MeterReport
from gpumon.collectors.samples import MeteredModel
from gpumon.collectors.source import SystemClock

NDJSON = "application/x-ndjson"
EVENTS = "text/event-stream"


@dataclass(frozen=True)
class Meter:
    """One that listens."""

    port: int
    client: httpx.AsyncClient

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def models(self) -> tuple[MeteredModel, ...]:
        reply = await self.client.get(REPORT_PATH)
        return msgspec.json.decode(reply.content, type=MeterReport).models

    async def ended(self) -> MeteredModel:
        """Return the only model once a request to it has ended and none is under way."""
        while True:
            models = await self.models()
            if models and not models[0].requests_running:
                return models[0]

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """Talk to it byte by byte."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            yield reader, writer
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()


@asynccontextmanager
async def metering(upstream: str, *, check_host: bool = True, port: int = 0) -> AsyncIterator[Meter]:
    """Run a meter before ``upstream``; the port takes connections before the server is ready for them."""
    endpoint = parse_endpoint(upstream)
    with bind(Address("127.0.0.1", port)) as listening:
        port = listening.getsockname()[1]
        async with build_client(endpoint) as behind, direct(port) as client:
            gateway = Gateway(endpoint, behind, SystemClock().now, check_host=check_host)
            server = build_server(gateway)
            serving = asyncio.ensure_future(server.serve(sockets=[listening]))
            try:
                yield Meter(port, client)
            finally:
                serving.cancel()
                await asyncio.wait({serving})
                for connection in list(server.server_state.connections):
                    connection.transport.abort()
                await asyncio.gather(*server.server_state.tasks, return_exceptions=True)
                gateway.close()
                await asyncio.sleep(0)  # what was closed says so
                for listener in getattr(server, "servers", ()):  # none where it had no time to start
                    listener.close()


def direct(port: int) -> httpx.AsyncClient:
    limits = httpx.Limits(max_connections=None)
    return httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=60.0, limits=limits
    )


def lines(*documents: object) -> list[bytes]:
    """Return NDJSON, a line for each document."""
    return [msgspec.json.encode(document) + b"\n" for document in documents]


def events(*documents: object) -> list[bytes]:
    """Return server-sent events, one for each document, and the last one."""
    return [b"data: %b\n\n" % msgspec.json.encode(document) for document in documents] + [b"data: [DONE]\n\n"]


def chat(tokens: int) -> list[bytes]:
    """Return what Ollama streams from ``/api/chat``."""
    pieces = [
        {"model": "gemma3:4b", "message": {"role": "assistant", "content": f" w{n}"}, "done": False}
        for n in range(tokens)
    ]
    final = {
        "model": "gemma3:4b",
        "message": {"role": "assistant", "content": ""},
        "done_reason": "stop",
        "done": True,
        "total_duration": 9_000_000_000,
        "load_duration": 50_000_000,
        "prompt_eval_count": 26,
        "prompt_eval_duration": 130_000_000,
        "eval_count": tokens + 1,
        "eval_duration": 2_000_000_000,
    }
    return lines(*pieces, final)


def request(method: str, target: str, body: bytes = b"", *fields: str) -> bytes:
    """Return a request as bytes."""
    length = [f"Content-Length: {len(body)}"] if body else []
    head = "\r\n".join([f"{method} {target} HTTP/1.1", "Host: localhost", *length, *fields])
    return head.encode() + b"\r\n\r\n" + body
