"""Notices to a topic of ntfy: against a real HTTP server, which is not always well."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import closing
from email.header import decode_header, make_header

import pytest
from tests.fakes.http import Answer, Listening, Request, read_request

from gpumon.app.alerts.notices import Notice
from gpumon.app.alerts.ntfy import RETRY_SECONDS, WAITING_AT_MOST, Ntfy, header_text

NOTICE = Notice("gpumon on box", "qwen2.5-coder:14b spilled: 5.5 GiB (38%) in RAM", "bad")
SECRET = "tk_s3cret"  # noqa: S105


class FakeNtfy(Listening):
    """Keeps what it is sent; answers with ``statuses`` in turn, the last again and again."""

    def __init__(self, *statuses: int) -> None:
        super().__init__()
        self.statuses = list(statuses or (200,))
        self.got: list[Request] = []

    @property
    def topic(self) -> str:
        return f"http://127.0.0.1:{self.port}/my-topic"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with closing(writer):
            while (request := await read_request(reader)) is not None:
                self.got.append(request)
                status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
                writer.write(Answer(status, b"{}").encoded())
                await writer.drain()


class Sending:
    """A sender, what it has said, and the pauses that it has made."""

    def __init__(self, url: str, token: str | None = None) -> None:
        self.said: list[str] = []
        self.pauses: list[float] = []
        self.ntfy = Ntfy(url, token, self.said.append, self._pause)

    async def _pause(self, seconds: float) -> None:
        self.pauses.append(seconds)

    async def send(self, *notices: Notice) -> None:
        for notice in notices:
            self.ntfy.send(notice)
        await self.ntfy.close(30)


@pytest.fixture
async def server() -> AsyncIterator[FakeNtfy]:
    async with FakeNtfy() as served:
        yield served


async def test_it_is_one_post_with_title_priority_and_tags(server: FakeNtfy) -> None:
    sending = Sending(server.topic)
    await sending.send(NOTICE)
    (request,) = server.got
    assert (request.method, request.path, request.body.decode()) == ("POST", "/my-topic", NOTICE.body)
    told = {name: request.headers[name] for name in ("title", "priority", "tags")}
    assert told == {"title": "gpumon on box", "priority": "4", "tags": "rotating_light"}
    assert "authorization" not in request.headers
    assert (sending.said, sending.pauses) == ([], [])


@pytest.mark.parametrize(
    ("address", "token", "sent"),
    [
        ("http://{}/t", SECRET, f"Bearer {SECRET}"),
        ("http://user:pa%20ss@{}/t", None, "Basic dXNlcjpwYSBzcw=="),
    ],
)
async def test_a_key_goes_along_and_into_no_words(
    server: FakeNtfy, address: str, token: str | None, sent: str
) -> None:
    server.statuses = [403]
    sending = Sending(address.format(f"127.0.0.1:{server.port}"), token)
    await sending.send(NOTICE)
    assert server.got[0].headers["authorization"] == sent
    assert sending.said == ["ntfy: 127.0.0.1 has refused it (HTTP 403)"]


@pytest.mark.parametrize("text", ["größer auf box", "モデル", "a\nb", "a\x1bb"])
def test_a_title_in_other_letters_is_sent_as_headers_hold_it(text: str) -> None:
    written = header_text(text)
    assert written.isascii()
    assert written.isprintable()
    assert str(make_header(decode_header(written))) == text


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_one_that_may_be_well_in_a_moment_is_tried_once_more(server: FakeNtfy, status: int) -> None:
    server.statuses = [status, 200]
    sending = Sending(server.topic)
    await sending.send(NOTICE)
    assert (len(server.got), sending.said, sending.pauses) == (2, [], [RETRY_SECONDS])


async def test_a_refusal_is_not_tried_again(server: FakeNtfy) -> None:
    server.statuses = [401]
    sending = Sending(server.topic)
    await sending.send(NOTICE)
    assert (len(server.got), sending.pauses) == (1, [])


async def test_a_server_that_fails_is_one_line_until_it_has_been_well(server: FakeNtfy) -> None:
    server.statuses = [500, 500, 500, 500, 200, 500, 500]
    sending = Sending(server.topic)
    await sending.send(*[NOTICE] * 4)
    assert sending.said == ["ntfy: 127.0.0.1 has refused it (HTTP 500)"] * 2
    assert len(server.got) == 7


async def test_a_server_that_is_not_there_is_one_line_without_the_topic() -> None:
    async with FakeNtfy() as served:
        topic = served.topic
    sending = Sending(topic)
    await sending.send(NOTICE, NOTICE)
    assert sending.said == ["ntfy: 127.0.0.1 cannot be reached"]


async def test_where_too_many_wait_the_newest_are_sent(server: FakeNtfy) -> None:
    sending = Sending(server.topic)
    await sending.send(*(Notice("t", str(number), "watch") for number in range(100)))
    assert [request.body.decode() for request in server.got] == [
        str(number) for number in range(100 - WAITING_AT_MOST, 100)
    ]
