"""The few words of HTTP that a scrape needs, spoken in the event loop that feeds the monitor."""

from __future__ import annotations

import asyncio
import html
import logging
import socket
from http import HTTPStatus
from typing import NamedTuple

from gpumon.app.outlets.exporter.page import Body, Page

METRICS_PATH = "/metrics"
HEALTHY_PATH = "/-/healthy"
SECONDS = 10.0
"""How long a client may take to send its request, and to take the answer."""
HEAD_BYTES = 16_384
MOST_CONNECTIONS = 64
METHODS = frozenset({"GET", "HEAD"})

_log = logging.getLogger("gpumon.exporter")
_PLAIN = "text/plain; charset=utf-8"
_HTML = "text/html; charset=utf-8"


class Request(NamedTuple):
    """What of a request matters here."""

    method: str
    path: str
    accept: str


class Answer(NamedTuple):
    """What is sent back."""

    status: HTTPStatus
    body: Body


class MetricsServer:
    """Answers scrapes; one request a connection, as Prometheus makes a new one where it is closed."""

    def __init__(self, page: Page, version: str) -> None:
        self._page = page
        self._version = version
        self._open = 0

    async def start(self, listening: socket.socket) -> asyncio.Server:
        """Begin to answer what comes to a bound socket."""
        return await asyncio.start_server(self._serve, sock=listening, limit=HEAD_BYTES)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection; a client that is slow, silent or gone costs nobody else anything."""
        self._open += 1
        try:
            async with asyncio.timeout(SECONDS):
                await self._converse(reader, writer)
        except (OSError, EOFError, asyncio.LimitOverrunError):
            pass  # it has left, waits for ever, or sends no request
        except asyncio.CancelledError:
            pass  # the program ends; asyncio would print a line of a task that says so
        except Exception:
            _log.exception("a connection of the exporter")
        finally:
            self._open -= 1
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._open > MOST_CONNECTIONS:
            answer, is_head = _words(HTTPStatus.SERVICE_UNAVAILABLE, "too many connections"), False
        else:
            request = parsed(await reader.readuntil(b"\r\n\r\n"))
            answer, is_head = self._answered(request), request is not None and request.method == "HEAD"
        writer.write(_written(answer, is_head=is_head))
        await writer.drain()

    def _answered(self, request: Request | None) -> Answer:
        try:
            return self.answer(request)
        except Exception:
            _log.exception("a page of the exporter")
            return _words(HTTPStatus.INTERNAL_SERVER_ERROR, "internal error; see gpumon.log")

    def answer(self, request: Request | None) -> Answer:
        """Return the answer to a request; ``None`` is one that cannot be understood."""
        if request is None:
            return _words(HTTPStatus.BAD_REQUEST, "this is no request")
        if request.method not in METHODS:
            return _words(HTTPStatus.METHOD_NOT_ALLOWED, "only GET is answered")
        match request.path:
            case "/metrics":
                return Answer(HTTPStatus.OK, self._page.body(request.accept))
            case "/-/healthy":
                return _words(HTTPStatus.OK, "gpumon is healthy")
            case "/":
                return Answer(HTTPStatus.OK, Body(_HTML, self._front().encode()))
        return _words(HTTPStatus.NOT_FOUND, f"there is only {METRICS_PATH} here")

    def _front(self) -> str:
        version = html.escape(self._version)
        return (
            "<!DOCTYPE html>\n<html lang=en><meta charset=utf-8><title>gpumon exporter</title>\n"
            f"<h1>gpumon exporter {version}</h1>\n"
            "<p>Which model holds which GPU memory, how fast it is, and when it spills, for Prometheus.\n"
            f'<ul><li><a href="{METRICS_PATH}">Metrics</a>\n<li><a href="{HEALTHY_PATH}">Health</a></ul>\n'
        )


def parsed(head: bytes) -> Request | None:
    """Return the request of a head; ``None`` where it is none of HTTP/1."""
    first, *lines = head.decode("ascii", "replace").split("\r\n")
    words = first.split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1.") or not words[1].startswith("/"):
        return None
    fields = (line.partition(":") for line in lines)
    accept = ",".join(value.strip() for name, _, value in fields if name.strip().lower() == "accept")
    return Request(words[0], words[1].partition("?")[0], accept)


def _words(status: HTTPStatus, words: str) -> Answer:
    return Answer(status, Body(_PLAIN, f"{words}\n".encode()))


def _written(answer: Answer, *, is_head: bool) -> bytes:
    status, (content_type, text) = answer
    allow = "Allow: GET, HEAD\r\n" if status is HTTPStatus.METHOD_NOT_ALLOWED else ""
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: {content_type}\r\n"
        f"Content-Length: {len(text)}\r\n{allow}X-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n"
    )
    return head.encode("ascii") + (b"" if is_head else text)
