"""The gateway, an ASGI application: every request goes on as it is, every answer comes back as it comes."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import AsyncExitStack

import httpx
import msgspec

from gpumon.app.meter.asgi import ClientBody, ClientLeftError, Receive, Scope, Send, answer
from gpumon.app.meter.book import Book
from gpumon.app.meter.headers import has_body, has_field, is_own_host, request_fields, response_fields
from gpumon.app.meter.reading import Reading, is_inference
from gpumon.app.meter.upstream import NO_READ_TIMEOUT, failure_words
from gpumon.collectors.http.endpoint import Endpoint
from gpumon.collectors.meter.report import REPORT_PATH, VERSION, MeterReport

REFUSAL = b'{"error": "gpumon meter: this Host header is not for a server on loopback"}\n'


class Gateway:
    """Forwards to one server; ``check_host`` where only this machine is meant to reach it."""

    def __init__(
        self,
        upstream: Endpoint,
        client: httpx.AsyncClient,
        now: Callable[[], float],
        *,
        check_host: bool = True,
    ) -> None:
        self._upstream = upstream
        self._client = client
        self._now = now
        self._check_host = check_host
        self._host_name = socket.gethostname()
        self._book = Book()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        head = scope["method"] == "HEAD"
        if self._check_host and not is_own_host(scope["headers"], self._host_name):
            await answer(send, 403, REFUSAL, head=head)
        elif scope["path"] == REPORT_PATH:
            await answer(send, 200, self._report(), [(b"cache-control", b"no-store")], head=head)
        else:
            await self._forward(scope, receive, send)

    def _report(self) -> bytes:
        models = self._book.models(self._now())
        report = MeterReport(version=VERSION, upstream=self._upstream.url, models=models)
        return msgspec.json.encode(report) + b"\n"

    async def _forward(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Forward until the answer is over or the client has left, whatever comes first."""
        reading = Reading(self._book, self._now) if is_inference(scope["method"], scope["path"]) else None
        body = ClientBody(receive, reading.request_piece if reading else None)
        passing = asyncio.ensure_future(self._pass(scope, body, reading, send))
        leaving = asyncio.ensure_future(body.client_left())
        try:
            await asyncio.wait({passing, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            passing.cancel()
            leaving.cancel()
            await asyncio.wait({passing, leaving})
            if reading is not None:
                reading.end("cancelled")
        if not passing.cancelled():
            passing.result()

    async def _pass(self, scope: Scope, body: ClientBody, reading: Reading | None, send: Send) -> None:
        async with AsyncExitStack() as stack:
            try:
                response = await self._client.send(self._request(scope, body), stream=True)
            except ClientLeftError:
                return
            except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
                await self._fail(error, reading, send)
                return
            stack.push_async_callback(response.aclose)
            body.set_over()
            whole = await _copy(response, reading, send)
        if reading is not None:
            reading.end("finished" if whole else "failed")
        if whole:
            await send({"type": "http.response.body"})

    async def _fail(self, error: Exception, reading: Reading | None, send: Send) -> None:
        if reading is not None:
            reading.end("failed")
        words = failure_words(error, self._upstream)
        await answer(send, 502, msgspec.json.encode({"error": words}) + b"\n")

    def _request(self, scope: Scope, body: ClientBody) -> httpx.Request:
        """Return the request to send; its path and query are the client's, byte for byte."""
        fields = request_fields(scope["headers"])
        given = [(name.encode("latin-1"), value.encode()) for name, value in self._upstream.headers.items()]
        fields += [(name, value) for name, value in given if not has_field(fields, name.lower())]
        query = b"?" + scope["query_string"] if scope["query_string"] else b""
        target = self._upstream.address.path.encode() + scope["raw_path"] + query
        content = None
        if has_body(scope["headers"]):
            content = body.pieces()
        else:
            body.set_over()
        return httpx.Request(
            scope["method"],
            self._upstream.url,
            headers=fields,
            content=content,
            extensions={"timeout": NO_READ_TIMEOUT, "target": target},
        )


async def _copy(response: httpx.Response, reading: Reading | None, send: Send) -> bool:
    """Send an answer on, each piece as it comes; return whether it came to its end.

    Without the end the server ends the client's answer as abruptly.
    """
    fields = response.headers
    if reading is not None:
        reading.answer_begins(fields.get("content-type", ""), fields.get("content-encoding", ""))
    status, headers = response.status_code, response_fields(response.headers.raw)
    await send({"type": "http.response.start", "status": status, "headers": headers})
    try:
        async for piece in response.aiter_raw():
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            if reading is not None:
                reading.answer_piece(piece)
    except (httpx.HTTPError, OSError):
        return False
    return True
