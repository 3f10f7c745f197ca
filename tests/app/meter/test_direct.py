"""The short way of an answer: chunks as the server has cut them, whatever they hold and however they come."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.app.meter.support import EVENTS, NDJSON, chat, events, metering, request
from tests.fakes.upstream import LAST_CHUNK, Answer, FakeUpstream, Heard, chunk, head, saying

from gpumon.app.meter import direct
from gpumon.app.meter.direct import LONGEST_LINE_BYTES, Chunks, Relay
from gpumon.app.meter.gateway import is_direct
from gpumon.collectors.http.endpoint import parse_endpoint

ASK = request("POST", "/api/chat", b'{"model":"m"}')
CHUNKED = head(content_type=NDJSON, transfer_encoding="chunked")


# ------------------------------------------------------------------------------------ chunks


def taken(pieces: Sequence[bytes]) -> tuple[Chunks, bytes, bytes]:
    """Return how a body that comes in these pieces ends, what is passed on, and its payload."""
    chunks, passed, payload = Chunks(), b"", b""
    for piece in pieces:
        if chunks.ended:
            chunks.rest += piece
        elif chunks.in_trailer:
            chunks.take_trailer(piece)
        else:
            more, texts = chunks.take(piece)
            passed, payload = passed + more, payload + b"".join(texts)
    return chunks, passed, payload


def read_by_h11(body: bytes) -> bytes | None:
    """Return the payload by another reader; ``None`` where it is no whole body."""
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method="GET", target="/", headers=[("Host", "x")]))
    client.send(h11.EndOfMessage())
    client.receive_data(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body)
    payload = b""
    try:
        while not isinstance(event := client.next_event(), h11.EndOfMessage):
            if event is h11.NEED_DATA:
                return None
            if isinstance(event, h11.Data):
                payload += event.data
    except h11.RemoteProtocolError:
        return None
    return payload


def cut(body: bytes, at: Sequence[int]) -> list[bytes]:
    places = [0, *sorted(place % (len(body) + 1) for place in at), len(body)]
    return [body[start:end] for start, end in itertools.pairwise(places)]


texts = st.lists(st.binary(min_size=1, max_size=40), max_size=6)
extensions = st.sampled_from([b"", b"", b";a=b", b"; q", b"  "])
trailers = st.sampled_from([b"", b"X-A: b\r\n", b"X-A: b\r\nX-C: d\r\n"])
places = st.lists(st.integers(0, 400), max_size=12)


@given(st.lists(st.tuples(st.binary(min_size=1, max_size=40), extensions), max_size=6), trailers, places)
def test_however_a_body_is_cut_its_chunks_are_passed_on(
    parts: list[tuple[bytes, bytes]], trailer: bytes, at: list[int]
) -> None:
    body = b"".join(b"%x%b\r\n%b\r\n" % (len(text), extension, text) for text, extension in parts)
    chunks, passed, payload = taken(cut(body + b"0\r\n" + trailer + b"\r\n" + b"more", at))
    assert (chunks.ended, chunks.rest) == (True, b"more")
    assert payload == b"".join(text for text, _ in parts)
    assert read_by_h11(passed + LAST_CHUNK) == payload
    if all(not extension for _, extension in parts):
        assert passed == body, "byte for byte"


@given(texts, st.integers(0, 300), st.binary(max_size=3), places)
def test_nothing_is_taken_for_chunks_that_another_reader_refuses(
    parts: list[bytes], place: int, damage: bytes, at: list[int]
) -> None:
    body = b"".join(map(chunk, parts)) + LAST_CHUNK
    place %= len(body)
    body = body[:place] + damage + body[place + len(damage) :]
    expected = read_by_h11(body)
    try:
        chunks, _, payload = taken(cut(body, at))
    except ValueError:
        assert expected is None
        return
    if chunks.ended:
        assert payload == expected


@pytest.mark.parametrize(
    "line", [b"-1\r\n", b"+2\r\n", b"0x2\r\n", b"1_0\r\n", b" 2\r\n", b"\r\n", b"2\n", b"g\r\n"]
)
def test_a_length_is_digits_alone(line: bytes) -> None:
    with pytest.raises(ValueError, match="no length"):
        Chunks().take(line + b"ab\r\n")


def test_a_line_without_end_is_not_held_for_ever() -> None:
    half = LONGEST_LINE_BYTES // 2 + 1
    chunks = Chunks()
    chunks.take(b"1" * half)
    with pytest.raises(ValueError, match="no length"):
        chunks.take(b"1" * half)
    chunks = Chunks()
    chunks.take(b"0\r\n")
    chunks.take_trailer(b"x" * half)
    with pytest.raises(ValueError, match="too many fields"):
        chunks.take_trailer(b"x" * half)


# ----------------------------------------------------------------------------------- answers


async def raw_answer(answer: Answer, ask: bytes = ASK) -> bytes:
    """Return all that a client hears of an answer, its connection closed behind it."""
    async with (
        FakeUpstream(answer) as upstream,
        metering(upstream.url) as meter,
        meter.connection() as (reader, writer),
    ):
        writer.write(ask.replace(b"Host: localhost", b"Host: localhost\r\nConnection: close"))
        async with asyncio.timeout(10):
            return await reader.read()


async def test_chunks_stay_as_the_server_has_cut_them() -> None:
    body = chunk(b'{"a":1}\n{"a":') + chunk(b"2}\n") + chunk(b"x" * 200_000)
    said = await raw_answer(saying(CHUNKED, body[:5], body[5:20], body[20:], LAST_CHUNK))
    assert said.partition(b"\r\n\r\n")[2] == body + LAST_CHUNK


async def test_extensions_and_trailers_are_not_passed_on() -> None:
    said = await raw_answer(saying(CHUNKED, b"2;secret=1\r\nok\r\n0;x\r\nX-T: 1\r\n\r\n"))
    assert said.partition(b"\r\n\r\n")[2] == chunk(b"ok") + LAST_CHUNK


async def test_a_client_that_knows_no_chunks_gets_none() -> None:
    ask = ASK.replace(b"HTTP/1.1", b"HTTP/1.0")
    said = await raw_answer(saying(CHUNKED, chunk(b"o"), chunk(b"k"), LAST_CHUNK), ask)
    assert said.partition(b"\r\n\r\n")[2] == b"ok"


async def test_an_answer_with_a_length_or_until_the_end_is_passed_on() -> None:
    assert (await raw_answer(saying(head(content_length="2"), b"ok"))).endswith(b"\r\n\r\nok")
    until_closed = saying(b"HTTP/1.0 200 OK\r\nContent-Type: x\r\n\r\n", b"o", b"k")
    assert (await raw_answer(until_closed)).partition(b"\r\n\r\n")[2] == chunk(b"ok") + LAST_CHUNK


@pytest.mark.parametrize(
    "ends",
    [
        chunk(b"ok")[:-3],
        chunk(b"ok"),
        chunk(b"ok") + b"0\r\nX: ",
        chunk(b"ok") + b"nonsense\r\n",
        b"2\r\nokay\r\n",
    ],
)
async def test_what_does_not_come_to_its_end_ends_as_abruptly(ends: bytes) -> None:
    said = await raw_answer(saying(CHUNKED, ends))
    assert said.startswith(b"HTTP/1.1 200")
    assert not said.endswith(LAST_CHUNK)


@pytest.mark.parametrize(
    ("says", "words"),
    [
        (b"", "closed the connection without an answer"),
        (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", "is not HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", "is not HTTP"),
    ],
)
async def test_no_answer_is_a_502_of_one_line(says: bytes, words: str) -> None:
    async with FakeUpstream(saying(says)) as upstream, metering(upstream.url) as meter:
        reply = await meter.client.post("/api/chat", json={"model": "m"})
    assert (reply.status_code, reply.text.count("\n")) == (502, 1)
    assert words in reply.text


async def test_a_server_that_is_not_there_is_a_502() -> None:
    async with metering("http://127.0.0.1:9") as meter:
        reply = await meter.client.post("/api/chat", json={"model": "m"})
    assert (reply.status_code, "connection refused" in reply.text) == (502, True)


def test_of_several_addresses_that_refuse_the_refusal_is_told() -> None:
    several = OSError("Multiple exceptions: [Errno 111] Connect call failed, [Errno 111] Connect call failed")
    assert isinstance(direct._one_of(several), ConnectionRefusedError)
    assert direct._one_of(OSError("Multiple exceptions: odd")).args == ("Multiple exceptions: odd",)


async def test_an_early_answer_to_an_upload_comes_through() -> None:
    async def refuses(heard: Heard, writer: asyncio.StreamWriter) -> None:
        writer.write(head("413 Too Large", content_length="3") + b"no\n")
        await writer.drain()
        await heard.body()

    async with FakeUpstream(refuses) as upstream, metering(upstream.url) as meter:
        reply = await meter.client.post("/api/chat", content=b"x" * 3_000_000)
    assert (reply.status_code, reply.text) == (413, "no\n")


async def test_tokens_are_counted_on_the_way() -> None:
    async with (
        FakeUpstream(saying(CHUNKED, *map(chunk, chat(10)), LAST_CHUNK)) as upstream,
        metering(upstream.url) as meter,
    ):
        assert (await meter.client.post("/api/chat", json={"model": "gemma3:4b"})).status_code == 200
        assert (await meter.ended()).decoded_tokens_total == 11


async def test_a_client_that_does_not_read_holds_the_server_up() -> None:
    sent = 0

    async def floods(heard: Heard, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await heard.body()
        writer.write(CHUNKED)
        for _ in range(2000):
            writer.write(chunk(b"x" * 32_768))
            await writer.drain()
            sent += 1
        writer.write(LAST_CHUNK)

    async with (
        FakeUpstream(floods) as upstream,
        metering(upstream.url) as meter,
        meter.connection() as (reader, writer),
    ):
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(ASK)
        before = -1
        while before != sent or not sent:
            before = sent
            await asyncio.sleep(0.3)
        assert sent < 1000, "64 MiB are not held for it"
        writer.transport.resume_reading()  # type: ignore[attr-defined]
        await reader.readuntil(b"\r\n\r\n")
        async with asyncio.timeout(30):
            while not (await reader.read(2**20)).endswith(LAST_CHUNK):
                pass
        assert sent == 2000


# --------------------------------------------------------------------------- kept connections


@asynccontextmanager
async def keeping(
    answer: Callable[[asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[tuple[str, list[int]]]:
    """Run a server that keeps connections; yield its URL, and how many requests came over each."""
    counts: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        counts.append(0)
        mine = len(counts) - 1
        try:
            while True:
                asked = (await reader.readuntil(b"\r\n\r\n")).lower()
                await reader.readexactly(int(asked.split(b"content-length: ")[1].split()[0]))
                counts[mine] += 1
                await answer(writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", counts


async def counted(answer: bytes, requests: int = 3, pause: float = 0.0) -> list[int]:
    async def answers(writer: asyncio.StreamWriter) -> None:
        writer.write(answer)

    async with keeping(answers) as (url, counts), metering(url) as meter:
        for _ in range(requests):
            reply = await meter.client.post("/api/chat", json={"model": "m"})
            assert reply.text == "ok"
            await asyncio.sleep(pause)
        return counts


OK = chunk(b"ok") + LAST_CHUNK


@pytest.mark.parametrize("answer", [CHUNKED + OK, head(content_length="2") + b"ok"])
async def test_a_connection_is_kept_for_the_next_request(answer: bytes) -> None:
    assert await counted(answer) == [3]


@pytest.mark.parametrize(
    "answer",
    [
        CHUNKED + OK + b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong",
        head(content_length="2") + b"okHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong",
        head(transfer_encoding="chunked", connection="close") + OK,
        head(transfer_encoding="chunked", content_length="77") + OK,
    ],
)
async def test_one_that_is_not_to_be_believed_or_closes_is_not(answer: bytes) -> None:
    assert await counted(answer) == [1, 1, 1]


async def test_one_that_is_not_used_is_closed_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(direct, "KEEP_SECONDS", 0.05)
    assert await counted(CHUNKED + OK, requests=2, pause=0.3) == [1, 1]


async def test_bytes_that_come_while_it_waits_close_it() -> None:
    async def says_more(writer: asyncio.StreamWriter) -> None:
        writer.write(CHUNKED + OK)
        await asyncio.sleep(0.1)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong")

    async with keeping(says_more) as (url, counts), metering(url) as meter:
        for _ in range(2):
            assert (await meter.client.post("/api/chat", json={"model": "m"})).text == "ok"
            await asyncio.sleep(0.3)
        assert counts == [1, 1]


async def test_many_streams_at_once_have_a_connection_each() -> None:
    pieces = events(*({"choices": [{"delta": {"content": "x"}}]} for _ in range(50)))

    async def answers(writer: asyncio.StreamWriter) -> None:
        writer.write(head(content_type=EVENTS, transfer_encoding="chunked"))
        for piece in pieces:
            writer.write(chunk(piece))
            await asyncio.sleep(0)
        writer.write(LAST_CHUNK)

    async with keeping(answers) as (url, counts), metering(url) as meter:
        ask = meter.client.post
        replies = await asyncio.gather(*(ask("/v1/chat/completions", json={"model": "m"}) for _ in range(50)))
        assert {reply.content for reply in replies} == {b"".join(pieces)}
        assert len(counts) == 50


# ------------------------------------------------------------------------------------- where


@pytest.mark.parametrize(
    ("url", "proxy", "is_short"),
    [
        ("http://127.0.0.1:11434", "http://proxy:3128", True),
        ("http://box:11434", None, True),
        ("http://box:11434", "http://proxy:3128", False),
        ("https://box", None, False),
    ],
)
def test_it_is_taken_where_neither_tls_nor_a_proxy_is_on_the_way(
    url: str, proxy: str | None, is_short: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    if proxy:
        monkeypatch.setenv("http_proxy", proxy)
    assert is_direct(parse_endpoint(url)) is is_short


class Written:
    """A client's connection that keeps what is written."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.sources: list[asyncio.Transport | None] = []

    def pass_on(self, data: bytes) -> None:
        self.pieces.append(data)

    def draw_from(self, source: asyncio.Transport | None) -> None:
        self.sources.append(source)


async def test_whatever_was_read_at_once_is_written_and_counted_at_once() -> None:
    sink, read = Written(), list[bytes]()
    relay = Relay(sink, read.append)
    tokens = [b'data: {"choices":[{"delta":{"content":"x"}}]}\n\n'] * 400
    body = b"".join(map(chunk, tokens))
    relay.feed(body)
    assert (sink.pieces, read) == ([body], [b"".join(tokens)])
    relay.feed(LAST_CHUNK)
    assert await relay.done
    assert len(sink.pieces) == 1, "the end is written by the server's side"
