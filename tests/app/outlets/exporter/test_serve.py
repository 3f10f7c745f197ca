"""Scrapes over real HTTP: several at once, and clients that misbehave."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from tests.app.outlets.exporter.telling import page_of, played

from gpumon.app.outlets.exporter.serve import MetricsServer


@asynccontextmanager
async def serving() -> AsyncIterator[int]:
    listening = socket.create_server(("127.0.0.1", 0))
    server = await MetricsServer(page_of(played("spill", 40)), "1.2.3").start(listening)
    yield listening.getsockname()[1]
    server.close()


async def said(port: int, sent: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


async def test_a_scrape_gets_the_page() -> None:
    async with serving() as port:
        answer = await said(port, b"GET /metrics?x=1 HTTP/1.1\r\nHost: x\r\n\r\n")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=")
    assert b"gpumon_model_spilled_ratio{" in body
    assert f"Content-Length: {len(body)}".encode() in head


async def test_many_scrapes_at_once_are_all_answered() -> None:
    async with serving() as port:
        answers = await asyncio.gather(*(said(port, b"GET /metrics HTTP/1.1\r\n\r\n") for _ in range(10)))
    assert len(set(answers)) == 1
    assert answers[0].startswith(b"HTTP/1.1 200 OK")


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        (b"GET / HTTP/1.1", b"200 OK"),
        (b"GET /-/healthy HTTP/1.1", b"200 OK"),
        (b"HEAD /metrics HTTP/1.1", b"200 OK"),
        (b"GET /other HTTP/1.1", b"404 Not Found"),
        (b"POST /metrics HTTP/1.1", b"405 Method Not Allowed"),
        (b"\x16\x03\x01\x02\x00", b"400 Bad Request"),
        (b"GET http://x/metrics HTTP/1.1", b"400 Bad Request"),
    ],
)
async def test_each_request_has_its_status(request_line: bytes, status: bytes) -> None:
    async with serving() as port:
        answer = await said(port, request_line + b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 " + status)


async def test_a_head_without_a_body() -> None:
    async with serving() as port:
        assert (await said(port, b"HEAD /metrics HTTP/1.1\r\n\r\n")).endswith(b"\r\n\r\n")


async def test_a_client_that_says_nothing_holds_up_nobody() -> None:
    async with serving() as port:
        _, silent = await asyncio.open_connection("127.0.0.1", port)
        assert (await said(port, b"GET /metrics HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 200 OK")
        silent.close()
        await silent.wait_closed()


async def test_a_head_that_never_ends_is_cut_off() -> None:
    async with serving() as port:
        answer = await said(port, b"GET /metrics HTTP/1.1\r\n" + b"X: y\r\n" * 10_000)
    assert answer == b""
