"""What comes through the meter is what the server sent, when it sent it."""

from __future__ import annotations

import asyncio
import gzip

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.app.meter.support import EVENTS, NDJSON, chat, events, metering, request
from tests.fakes.upstream import LAST_CHUNK, FakeUpstream, Heard, chunk, head, saying, streaming

STREAM = b"".join(chat(20))


@st.composite
def cut(draw: st.DrawFn) -> list[bytes]:
    """Draw a stream in pieces of any size: within lines, within characters."""
    whole = STREAM + "✓ 𝄞\n".encode() * draw(st.integers(0, 3)) + draw(st.binary(max_size=64))
    places = sorted(draw(st.sets(st.integers(1, len(whole) - 1), max_size=24)))
    return [whole[start:end] for start, end in zip([0, *places], [*places, len(whole)], strict=True)]


@settings(max_examples=25)
@given(pieces=cut(), content_type=st.sampled_from([NDJSON, EVENTS, "application/json", "text/plain"]))
def test_an_answer_arrives_byte_for_byte_however_it_is_cut(pieces: list[bytes], content_type: str) -> None:
    async def received() -> bytes:
        async with (
            FakeUpstream(streaming(content_type, *pieces)) as upstream,
            metering(upstream.url) as meter,
        ):
            return (await meter.client.post("/api/chat", json={"model": "gemma3:4b"})).content

    assert asyncio.run(received()) == b"".join(pieces)


async def test_each_piece_arrives_before_the_next_is_made() -> None:
    pieces, heard_of = chat(5), asyncio.Event()

    async def one_by_one(heard: Heard, writer: asyncio.StreamWriter) -> None:
        await heard.body()
        writer.write(head(content_type=NDJSON, transfer_encoding="chunked"))
        for piece in pieces:
            writer.write(chunk(piece))
            await heard_of.wait()
            heard_of.clear()
        writer.write(LAST_CHUNK)

    async with FakeUpstream(one_by_one) as upstream, metering(upstream.url) as meter:
        seen = []
        async with meter.client.stream("POST", "/api/chat", json={"model": "x"}) as response:
            async for piece in response.aiter_raw():
                seen.append(piece)
                heard_of.set()
    assert seen == pieces


async def test_the_head_arrives_before_there_is_a_body() -> None:
    go_on = asyncio.Event()

    async def slow(heard: Heard, writer: asyncio.StreamWriter) -> None:
        writer.write(head(content_type=EVENTS, transfer_encoding="chunked"))
        await go_on.wait()
        writer.write(chunk(b"data: 1\n\n") + LAST_CHUNK)

    async with (
        FakeUpstream(slow) as upstream,
        metering(upstream.url) as meter,
        meter.client.stream("GET", "/slow") as response,
    ):
        assert response.status_code == 200
        go_on.set()
        assert await response.aread() == b"data: 1\n\n"


async def test_a_compressed_answer_stays_compressed() -> None:
    packed = gzip.compress(STREAM)
    answer = saying(head(content_encoding="gzip", content_length=str(len(packed))), packed)
    async with (
        FakeUpstream(answer) as upstream,
        metering(upstream.url) as meter,
        meter.client.stream("POST", "/api/chat", json={"model": "x"}) as response,
    ):
        raw = b"".join([piece async for piece in response.aiter_raw()])
    assert (raw, response.headers["content-encoding"]) == (packed, "gzip")


async def test_two_hundred_streams_run_side_by_side() -> None:
    everyone, waiting = asyncio.Event(), 0

    async def together(heard: Heard, writer: asyncio.StreamWriter) -> None:
        nonlocal waiting
        await heard.body()
        writer.write(head(content_type=NDJSON, transfer_encoding="chunked") + chunk(STREAM[:50]))
        waiting += 1
        if waiting == 200:
            everyone.set()
        await everyone.wait()
        writer.write(chunk(STREAM[50:]) + LAST_CHUNK)

    async with FakeUpstream(together) as upstream, metering(upstream.url) as meter:
        asked = [meter.client.post("/api/chat", json={"model": "gemma3:4b"}) for _ in range(200)]
        replies = await asyncio.gather(*asked)
        model = await meter.ended()
    assert [reply.content for reply in replies] == [STREAM] * 200
    assert (model.requests_ended, model.decoded_tokens_total) == (200, 200 * 21)


async def test_a_server_that_dies_ends_the_answer_abruptly() -> None:
    async def dies(heard: Heard, writer: asyncio.StreamWriter) -> None:
        await heard.body()
        writer.write(head(content_type=NDJSON, transfer_encoding="chunked") + chunk(STREAM[:90]))
        await writer.drain()
        writer.transport.abort()

    async with FakeUpstream(dies) as upstream, metering(upstream.url) as meter:
        with pytest.raises(httpx.RemoteProtocolError, match="incomplete"):
            await meter.client.post("/api/chat", json={"model": "x"})
        model = await meter.ended()
    assert [one.outcome for one in model.requests] == ["failed"]


@pytest.mark.parametrize("pieces", [0, 3], ids=["while it reads the prompt", "while it answers"])
async def test_a_client_that_leaves_is_gone_for_the_server_at_once(pieces: int) -> None:
    gone = asyncio.Event()

    async def never_ends(heard: Heard, writer: asyncio.StreamWriter) -> None:
        await heard.body()
        if pieces:
            writer.write(head(content_type=NDJSON, transfer_encoding="chunked"))
            writer.write(b"".join(map(chunk, chat(3)[:pieces])))
        await heard.gone()
        gone.set()

    async with FakeUpstream(never_ends) as upstream, metering(upstream.url) as meter:
        async with meter.connection() as (reader, writer):
            writer.write(request("POST", "/api/chat", b'{"model":"gemma3:4b"}'))
            if pieces:
                await reader.readuntil(b" w2")
            else:
                while not await meter.models():
                    pass
        await gone.wait()
        model = await meter.ended()
    assert [(one.outcome, one.decoded_tokens) for one in model.requests] == [("cancelled", pieces or None)]


async def test_a_client_that_leaves_after_the_last_event_has_its_whole_answer() -> None:
    gone = asyncio.Event()
    final = {"choices": [{"delta": {}, "finish_reason": "stop"}]}
    pieces = events({"model": "m", "choices": [{"delta": {"content": "a"}, "finish_reason": None}]}, final)

    async def stays(heard: Heard, writer: asyncio.StreamWriter) -> None:
        await heard.body()
        writer.write(head(content_type=EVENTS, transfer_encoding="chunked") + b"".join(map(chunk, pieces)))
        await heard.gone()
        gone.set()

    async with FakeUpstream(stays) as upstream, metering(upstream.url) as meter:
        async with meter.connection() as (reader, writer):
            writer.write(request("POST", "/v1/chat/completions", b'{"model":"m"}'))
            await reader.readuntil(b"[DONE]")
        await gone.wait()
        model = await meter.ended()
    assert [one.outcome for one in model.requests] == ["finished"]
