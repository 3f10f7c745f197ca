"""What the server behind the meter is asked is what the client asked."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import AsyncIterator

import httpx
import pytest
from tests.app.meter.support import direct, metering, request
from tests.collectors.ollama.support import free_port
from tests.fakes.upstream import FakeUpstream, Heard, head, saying

MIB = 1024**2
OK = saying(head(content_length="2"), b"ok")


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND"])
async def test_every_method_is_passed_on(method: str) -> None:
    async with FakeUpstream(OK) as upstream, metering(upstream.url) as meter:
        reply = await meter.client.request(method, "/api/delete")
    assert (upstream.heard[0].method, reply.text) == (method, "ok")


@pytest.mark.parametrize("target", ["/a%2Fb/../c", "/api/ps?x=1&y=%20", "/v1/models/a:b", "/%zz//"])
async def test_path_and_query_are_passed_on_byte_for_byte(target: str) -> None:
    async with (
        FakeUpstream(OK) as upstream,
        metering(f"{upstream.url}/base") as meter,
        meter.connection() as (reader, writer),
    ):
        writer.write(request("GET", target))
        await reader.readuntil(b"ok")
    assert upstream.heard[0].target == f"/base{target}"


async def test_fields_are_passed_on_but_for_those_of_the_connection() -> None:
    sent = [
        ("Authorization", "Bearer x"),
        ("Accept-Encoding", "zstd"),
        ("X-Two", "1"),
        ("X-Two", "2"),
        ("Connection", "close, X-Hop"),
        ("X-Hop", "no"),
        ("TE", "trailers"),
        ("Via", "1.1 proxy"),
    ]
    async with FakeUpstream(OK) as upstream, metering(upstream.url) as meter:
        await meter.client.get("/", headers=[*sent, ("User-Agent", "curl"), ("Accept", "*/*")])
    expected = {
        ("host", f"127.0.0.1:{upstream.port}"),
        ("authorization", "Bearer x"),
        ("accept-encoding", "zstd"),
        ("x-two", "1"),
        ("x-two", "2"),
        ("via", "1.1 proxy"),
        ("via", "1.1 gpumon"),
        ("user-agent", "curl"),
        ("accept", "*/*"),
    }
    assert {(name.lower(), value) for name, value in upstream.heard[0].fields} == expected


async def test_fields_of_the_answer_are_passed_on_but_for_those_of_the_connection() -> None:
    fields = b"X-A: 1\r\nX-A: 2\r\nSet-Cookie: a=b\r\nServer: llama.cpp\r\nKeep-Alive: timeout=5\r\n"
    answer = saying(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n" + fields + b"\r\n")
    async with FakeUpstream(answer) as upstream, metering(upstream.url) as meter:
        reply = await meter.client.get("/")
        await meter.client.get("/")
    got = reply.headers.multi_items()
    assert sorted(got) == [
        ("content-length", "0"),
        ("server", "llama.cpp"),
        ("set-cookie", "a=b"),
        ("via", "1.1 gpumon"),
        ("x-a", "1"),
        ("x-a", "2"),
    ]


async def test_one_clients_cookie_is_not_sent_with_anothers_request() -> None:
    answer = saying(head(content_length="0", set_cookie="session=secret; Path=/"))
    async with FakeUpstream(answer) as upstream, metering(upstream.url) as meter:
        for _ in range(2):
            async with direct(meter.port) as client:
                await client.get("/")
    assert [heard.all("cookie") for heard in upstream.heard] == [[], []]


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
async def test_an_answer_without_a_body_has_none(status: str) -> None:
    async with FakeUpstream(saying(head(status, etag="x"))) as upstream, metering(upstream.url) as meter:
        reply = await meter.client.get("/")
    assert (reply.status_code, reply.content, reply.headers["etag"]) == (int(status[:3]), b"", "x")


async def test_an_answer_to_head_has_its_length_and_no_body() -> None:
    async with FakeUpstream(saying(head(content_length="5"))) as upstream, metering(upstream.url) as meter:
        reply = await meter.client.head("/api/blobs/sha256:1")
        again = await meter.client.head("/")
    assert (reply.headers["content-length"], reply.content, again.status_code) == ("5", b"", 200)


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 503])
async def test_an_error_of_the_server_is_passed_on(status: int) -> None:
    body = b'{"error":"model not found"}'
    answer = saying(
        head(f"{status} Oh", content_type="application/json", content_length=str(len(body))), body
    )
    async with FakeUpstream(answer) as upstream, metering(upstream.url) as meter:
        reply = await meter.client.post("/api/chat", json={"model": "x"})
        models = await meter.models()
    assert (reply.status_code, reply.content) == (status, body)
    assert models == (), "an error is no request that a model worked on"


async def test_a_server_that_is_not_there_is_a_502_of_one_line() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    async with metering(url) as meter:
        reply = await meter.client.post("/api/chat", json={"model": "x"})
    assert (reply.status_code, reply.text) == (
        502,
        f'{{"error":"gpumon meter: no answer from {url}: connection refused"}}\n',
    )


async def test_a_server_that_hangs_up_unanswered_is_a_502() -> None:
    async with FakeUpstream(saying()) as upstream, metering(upstream.url) as meter:
        reply = await meter.client.get("/")
    assert reply.status_code == 502
    assert "closed the connection" in reply.json()["error"]


async def test_an_upload_is_passed_on_while_it_is_sent_and_never_held() -> None:
    piece, count, received = b"x" * MIB, 64, 0
    first_came, go_on = asyncio.Event(), asyncio.Event()

    async def take(heard: Heard, writer: asyncio.StreamWriter) -> None:
        nonlocal received
        async for part in heard.pieces():
            received += len(part)
            first_came.set()
            await go_on.wait()
        writer.write(head("201 Created", content_length="0"))

    async def blob() -> AsyncIterator[bytes]:
        for number in range(count):
            yield piece
            if number == 0:
                await first_came.wait()
                go_on.set()

    async with FakeUpstream(take) as upstream, metering(upstream.url) as meter:
        tracemalloc.start()
        length = {"Content-Length": str(count * MIB)}
        reply = await meter.client.post("/api/blobs/sha256:ab", content=blob(), headers=length)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert (reply.status_code, received) == (201, count * MIB)
    assert upstream.heard[0].all("content-length") == [str(count * MIB)]
    assert peak < 16 * MIB, "client, meter and server together hold a part of it"


async def test_an_upload_without_a_length_is_passed_on_in_chunks() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for part in (b"one ", b"two"):
            yield part

    bodies = []

    async def take(heard: Heard, writer: asyncio.StreamWriter) -> None:
        bodies.append(await heard.body())
        writer.write(head(content_length="0"))

    async with FakeUpstream(take) as upstream, metering(upstream.url) as meter:
        await meter.client.post("/upload", content=pieces())
    assert bodies == [b"one two"]
    assert upstream.heard[0].all("transfer-encoding") == ["chunked"]


async def test_a_client_that_asks_first_is_told_to_go_on() -> None:
    async with (
        FakeUpstream(OK) as upstream,
        metering(upstream.url) as meter,
        meter.connection() as (reader, writer),
    ):
        ask = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"
        writer.write(ask)
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"abc")
        await reader.readuntil(b"ok")
    assert upstream.heard[0].all("expect") == []


async def test_a_client_that_leaves_amid_an_upload_is_gone_for_the_server() -> None:
    gone = asyncio.Event()

    async def take(heard: Heard, writer: asyncio.StreamWriter) -> None:
        await heard.gone()
        gone.set()

    async with FakeUpstream(take) as upstream, metering(upstream.url) as meter:
        async with meter.connection() as (_, writer):
            writer.write(b"POST /u HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nhalf")
            await upstream.asked.wait()
        await gone.wait()


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:11435", 200),
        ("127.0.0.1", 200),
        ("[::1]:11435", 200),
        ("box.local", 200),
        ("host.docker.internal:11435", 200),
        ("evil.example", 403),
        ("localhost.evil.example:11435", 403),
    ],
)
async def test_a_name_that_a_web_page_may_have_made_up_is_refused_on_loopback(host: str, status: int) -> None:
    async with FakeUpstream(OK) as upstream, metering(upstream.url) as meter:
        reply = await meter.client.get("/api/tags", headers={"Host": host})
        report = await meter.client.get("/.gpumon/meter", headers={"Host": host})
    assert (reply.status_code, report.status_code) == (status, status)


async def test_any_name_will_do_where_other_machines_are_meant_to_ask() -> None:
    async with FakeUpstream(OK) as upstream, metering(upstream.url, check_host=False) as meter:
        reply = await meter.client.get("/", headers={"Host": "box.example"})
    assert reply.status_code == 200


async def test_credentials_in_the_url_are_sent_unless_the_client_has_its_own() -> None:
    async with FakeUpstream(OK) as upstream:
        url = upstream.url.replace("://", "://user:pass@")
        async with metering(url) as meter:
            await meter.client.get("/")
            await meter.client.get("/", headers={"Authorization": "Bearer mine"})
            report = await meter.client.get("/.gpumon/meter")
    assert [heard.all("authorization") for heard in upstream.heard] == [
        [httpx.BasicAuth("user", "pass")._auth_header],
        ["Bearer mine"],
    ]
    assert "pass" not in report.text
