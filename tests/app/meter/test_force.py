"""What clients and servers do to the meter by force: loops, half requests, doubled lengths, hanging up."""

from __future__ import annotations

import asyncio
import errno
import logging
from contextlib import AsyncExitStack

import pytest
from tests.app.meter.support import NDJSON, metering, request
from tests.collectors.ollama.support import free_port
from tests.fakes.upstream import LAST_CHUNK, FakeUpstream, Heard, chunk, head, saying

from gpumon.app.meter import serve
from gpumon.app.meter.gateway import meters_passed
from gpumon.app.meter.serve import Waiting

OK = saying(head(content_length="2"), b"ok")


# ---------------------------------------------------------------------------------------------- loops


async def test_two_meters_that_point_at_each_other_end_a_request_with_508() -> None:
    port = free_port()
    async with metering(f"http://127.0.0.1:{port}") as first, metering(first.url, port=port) as second:
        replies = [await meter.client.get("/api/ps") for meter in (first, second)]
    assert [reply.status_code for reply in replies] == [508, 508]
    assert "lead back to it" in replies[0].text


async def test_a_meter_before_a_meter_is_no_loop() -> None:
    async with FakeUpstream(OK) as upstream, metering(upstream.url) as first, metering(first.url) as second:
        assert (await second.client.get("/")).status_code == 200


async def test_a_loop_is_told_to_head_without_a_body() -> None:
    async with FakeUpstream(OK) as upstream, metering(upstream.url) as meter:
        reply = await meter.client.head("/", headers={"Via": "1.1 gpumon, 1.1 gpumon"})
    assert (reply.status_code, reply.content, upstream.heard) == (508, b"", [])


@pytest.mark.parametrize(
    ("fields", "count"),
    [
        ([], 0),
        ([(b"via", b"1.1 proxy")], 0),
        ([(b"via", b"1.1 gpumon")], 1),
        ([(b"Via", b"1.1 gpumon, 1.0 squid (gpumon)"), (b"via", b"1.1 gpumon")], 2),
        ([(b"via", b", ,gpumon")], 0),
        ([(b"x-via", b"1.1 gpumon")], 0),
    ],
)
def test_meters_are_counted_by_via(fields: list[tuple[bytes, bytes]], count: int) -> None:
    assert meters_passed(fields) == count


# -------------------------------------------------------------------------------------- half requests


async def test_half_a_head_is_hung_up_on_and_keeps_nobody_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "HEAD_SECONDS", 0.5)
    async with FakeUpstream(OK) as upstream, metering(upstream.url) as meter, AsyncExitStack() as stack:
        halves = [await stack.enter_async_context(meter.connection()) for _ in range(250)]
        for _, writer in halves:
            writer.write(b"GET / HTTP/1.1\r\nHost: loc")
        assert (await meter.client.get("/")).status_code == 200
        async with asyncio.timeout(30):
            ends = await asyncio.gather(*(reader.read() for reader, _ in halves), return_exceptions=True)
        assert all(end == b"" or isinstance(end, ConnectionError) for end in ends)


async def test_half_a_head_on_a_kept_connection_is_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "HEAD_SECONDS", 0.2)
    async with (
        FakeUpstream(OK) as upstream,
        metering(upstream.url) as meter,
        meter.connection() as (reader, writer),
    ):
        writer.write(request("GET", "/") + b"GET / HT")
        await reader.readuntil(b"ok")
        async with asyncio.timeout(30):
            with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
                await reader.readexactly(1)


async def test_a_kept_connection_may_rest_longer_than_a_head(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "HEAD_SECONDS", 0.1)
    async with (
        FakeUpstream(OK) as upstream,
        metering(upstream.url) as meter,
        meter.connection() as (reader, writer),
    ):
        for _ in range(2):
            writer.write(request("GET", "/"))
            await reader.readuntil(b"ok")
            await asyncio.sleep(0.3)


async def test_a_slow_body_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "HEAD_SECONDS", 0.1)

    async def answers(heard: Heard, writer: asyncio.StreamWriter) -> None:
        await heard.body()
        writer.write(head(content_length="2") + b"ok")

    async with (
        FakeUpstream(answers) as upstream,
        metering(upstream.url) as meter,
        meter.connection() as (reader, writer),
    ):
        writer.write(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nab")
        await asyncio.sleep(0.3)
        writer.write(b"cd")
        await reader.readuntil(b"ok")


class Connection:
    """What ``Waiting`` sees of one."""

    def __init__(self, loop: asyncio.AbstractEventLoop, waiting: Waiting) -> None:
        self.loop = loop
        self.waiting = waiting
        self.is_open = True

    def hang_up(self) -> None:
        self.is_open = False
        self.waiting.remove(self)  # type: ignore[arg-type]


async def test_of_too_many_that_wait_the_oldest_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "LEAST_SECONDS", 0.05)
    waiting = Waiting(2)
    connections = [Connection(asyncio.get_running_loop(), waiting) for _ in range(5)]
    for connection in connections:
        waiting.add(connection)  # type: ignore[arg-type]
    assert all(connection.is_open for connection in connections), "they have just come"
    waiting.remove(connections[0])  # type: ignore[arg-type]
    await asyncio.sleep(0.2)
    assert [connection.is_open for connection in connections] == [True, False, False, True, True]


# ------------------------------------------------------------------------------------ two lengths


@pytest.mark.parametrize("target", ["/", "/.gpumon/meter"])
async def test_a_request_with_two_lengths_is_the_last_on_its_connection(target: str) -> None:
    both = "Transfer-Encoding: chunked", "Content-Length: 2"
    async with (
        FakeUpstream(OK) as upstream,
        metering(upstream.url) as meter,
        meter.connection() as (reader, writer),
    ):
        doubled = request("POST", target, b"", *both) + chunk(b"ab") + LAST_CHUNK
        writer.write(doubled + request("GET", "/smuggled"))
        answer = await reader.read()
    assert answer.startswith(b"HTTP/1.1 200")
    assert b"\r\nconnection: close\r\n" in answer.lower()
    assert not any(heard.target == "/smuggled" for heard in upstream.heard)


async def test_an_answer_with_two_lengths_is_passed_on_with_one() -> None:
    answer = saying(head(content_length="999", transfer_encoding="chunked"), chunk(b"ok") + LAST_CHUNK)
    async with FakeUpstream(answer) as upstream, metering(upstream.url) as meter:
        reply = await meter.client.get("/")
    assert (reply.text, "content-length" in reply.headers) == ("ok", False)


async def test_bytes_behind_an_answer_are_not_taken_for_the_answer_to_another() -> None:
    async def says_too_much(heard: Heard, writer: asyncio.StreamWriter) -> None:
        writer.write(head(content_length="2") + b"ok" + head(content_length="5") + b"wrong")

    async with FakeUpstream(says_too_much) as upstream, metering(upstream.url) as meter:
        assert [(await meter.client.get("/")).text for _ in range(3)] == ["ok"] * 3


# ------------------------------------------------------------------------------------ hanging up


async def test_clients_that_leave_in_mid_stream_leave_no_lines_behind(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def floods(heard: Heard, writer: asyncio.StreamWriter) -> None:
        await heard.body()
        writer.write(head(content_type=NDJSON, transfer_encoding="chunked"))
        piece = chunk(b'{"message":{"content":"x"}}\n') * 500
        while not writer.transport.is_closing():
            writer.write(piece)
            await asyncio.sleep(0)

    caplog.set_level(logging.WARNING)
    async with FakeUpstream(floods) as upstream, metering(upstream.url) as meter:
        for _ in range(10):
            async with meter.connection() as (reader, writer):
                writer.write(request("POST", "/api/chat", b'{"model":"m"}'))
                await reader.readuntil(b"content")
                writer.transport.abort()
        model = await meter.ended()
    assert model.requests_ended == 10
    assert caplog.records == []


class Transport(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.closed = False

    def write(self, data: object) -> None:
        assert isinstance(data, bytes)
        self.written.append(data)

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True


async def test_the_pieces_of_one_turn_are_written_at_once() -> None:
    transport = Transport()
    outgoing = serve._OpenTransport(transport, asyncio.get_running_loop())
    for piece in (b"a", b"", b"b"):
        outgoing.write(piece)
    assert transport.written == []
    await asyncio.sleep(0)
    outgoing.write(b"c")
    await asyncio.sleep(0)
    assert transport.written == [b"ab", b"c"]


async def test_what_was_written_goes_out_before_the_connection_closes() -> None:
    transport = Transport()
    outgoing = serve._OpenTransport(transport, asyncio.get_running_loop())
    outgoing.write(b"last")
    outgoing.close()
    outgoing.write(b"too late")
    await asyncio.sleep(0)
    assert (transport.written, transport.closed) == ([b"last"], True)


async def test_a_want_of_files_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    loop, handler = asyncio.get_running_loop(), serve.OutOfFiles()
    for _ in range(3):
        handler.handle(loop, {"message": "socket.accept()", "exception": OSError(errno.EMFILE, "many")})
    assert capsys.readouterr().err.count("ulimit -n") == 1


async def test_other_trouble_is_left_to_asyncio(caplog: pytest.LogCaptureFixture) -> None:
    serve.OutOfFiles().handle(asyncio.get_running_loop(), {"message": "odd", "exception": OSError(1, "no")})
    assert "odd" in caplog.text
