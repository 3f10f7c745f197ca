"""Ways in which a server, a proxy or a stranger on the port can answer wrongly, by name."""

from __future__ import annotations

import asyncio
import functools
import gzip
import json
import socket
import struct
from collections.abc import Awaitable, Callable

from tests.fakes.http import HTML_TYPE, JSON_TYPE, Answer, text

PAGE = b"<html><head><title>%s</title></head><body><h1>%s</h1><hr>nginx/1.24.0</body></html>"


def error(status: int, message: str) -> Answer:
    return Answer(status, json.dumps({"error": message}).encode())


def html(status: int, words: str) -> Answer:
    return Answer(status, PAGE % (words.encode(), words.encode()), HTML_TYPE)


def body(raw: str | bytes) -> Answer:
    return Answer(200, raw.encode() if isinstance(raw, str) else raw)


NAME = '"name":"llama3:8b","digest":"' + "a" * 64 + '"'
DEEP = 100_000

ANSWERS: dict[str, Answer] = {
    "not_found_text": text(404, "404 page not found"),
    "not_found_json": error(404, "not found"),
    "not_allowed": text(405, "405 method not allowed"),
    "unauthorized_json": error(401, "unauthorized"),
    "unauthorized_html": html(401, "401 Authorization Required"),
    "forbidden_empty": Answer(403, b"", None),
    "forbidden_html": html(403, "403 Forbidden"),
    "closed_request": error(499, "client closed request"),
    "error_json": error(500, "runner process has terminated"),
    "error_empty": Answer(500, b"", None),
    "error_markup": error(500, "[bold]\x1b[31mred\n\nsecond line"),
    "bad_gateway_html": html(502, "502 Bad Gateway"),
    "unavailable_html": html(503, "503 Service Temporarily Unavailable"),
    "busy_json": error(503, "server busy, please try again.  maximum pending requests exceeded"),
    "gateway_timeout_html": html(504, "504 Gateway Time-out"),
    "html_200": html(200, "Sign in to the network"),
    "html_as_json_200": Answer(200, PAGE % (b"Router", b"Router"), JSON_TYPE),
    "text_200": text(200, "hello"),
    "other_json_200": body('{"status":"ok","service":"something else"}'),
    "empty_200": Answer(200, b"", JSON_TYPE),
    "no_content": Answer(204, b"", None),
    "truncated_json": body('{"models":[{' + NAME + ',"size":5'),
    "concatenated_json": body('{"models":[]}{"models":[]}'),
    "invalid_utf8": body(b'{"models":[{"name":"\xff\xfe"}]}'),
    "deep_json": body("[" * DEEP + "]" * DEEP),
    "deep_models": body('{"models":' + "[" * DEEP + "]" * DEEP + "}"),
    "nan": body('{"models":[{' + NAME + ',"size":NaN}]}'),
    "infinity": body('{"models":[{' + NAME + ',"size":-Infinity}]}'),
    "huge_integer": body('{"models":[{' + NAME + ',"size":' + "9" * 5000 + "}]}"),
    "huge_float": body('{"models":[{' + NAME + ',"size":1e999}]}'),
    "top_list": body("[]"),
    "top_string": body('"models"'),
    "top_number": body("7"),
    "top_null": body("null"),
    "models_null": body('{"models":null}'),
    "models_missing": body("{}"),
    "models_object": body('{"models":{"name":"llama3"}}'),
    "models_string": body('{"models":"llama3"}'),
    "redirect_loop": Answer(302, b"", None, {"Location": "/api/ps"}),
    "not_gzip": Answer(200, b"plain", JSON_TYPE, {"Content-Encoding": "gzip"}),
}
"""Complete but wrong answers."""

Writer = asyncio.StreamWriter
Misbehaviour = Callable[[Writer, Answer], Awaitable[None]]
"""Writes something other than the right answer, which it is given."""


async def for_ever() -> None:
    """Wait until the server closes the connection."""
    await asyncio.Event().wait()


async def hang(_writer: Writer, _answer: Answer) -> None:
    """Take the request and say nothing."""
    await for_ever()


async def hang_headers(writer: Writer, _answer: Answer) -> None:
    """Stop in the middle of the headers."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Ty")
    await for_ever()


async def hang_body(writer: Writer, answer: Answer) -> None:
    """Stop in the middle of the body."""
    whole = answer.encoded()
    writer.write(whole[: len(whole) - max(1, len(answer.body) // 2)])
    await for_ever()


async def drip(writer: Writer, answer: Answer) -> None:
    """Send one byte a second: no read times out, only the whole does."""
    writer.write(answer.encoded()[: -len(answer.body) or None])
    for byte in answer.body:
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(1.0)


async def reset(writer: Writer, answer: Answer) -> None:
    """Reset the connection in the middle of the body."""
    whole = answer.encoded()
    writer.write(whole[:-1])
    await writer.drain()
    reset_socket(writer)


async def reset_at_once(writer: Writer, _answer: Answer) -> None:
    """Reset the connection before any answer."""
    reset_socket(writer)


async def short_body(writer: Writer, answer: Answer) -> None:
    """Promise more than is sent, then close."""
    writer.write(answer.encoded(length=len(answer.body) + 100))
    writer.close()


async def not_http(writer: Writer, _answer: Answer) -> None:
    """Answer in lines that are not HTTP."""
    writer.write(b"-ERR unknown command\r\n\r\n")
    writer.close()


async def banner(writer: Writer, _answer: Answer) -> None:
    """Greet in another protocol and hang up."""
    writer.write(b"SSH-2.0-OpenSSH_9.6\r\n")
    writer.close()


async def huge_body(writer: Writer, _answer: Answer) -> None:
    """Send a gigabyte of JSON white space."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1073741824\r\n\r\n")
    block = b" " * 65536
    for _ in range(1073741824 // len(block)):
        writer.write(block)
        await writer.drain()


async def huge_header(writer: Writer, _answer: Answer) -> None:
    """Send a header that never ends."""
    writer.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
    for _ in range(1024):
        writer.write(b"x" * 65536)
        await writer.drain()


async def gzip_bomb(writer: Writer, _answer: Answer) -> None:
    """Send a few kilobytes that become 24 MiB."""
    writer.write(Answer(200, _bomb(), JSON_TYPE, {"Content-Encoding": "gzip"}).encoded())
    await writer.drain()


@functools.cache
def _bomb() -> bytes:
    return gzip.compress(b" " * (24 * 1024 * 1024))


async def gzipped(writer: Writer, answer: Answer) -> None:
    """Send the right answer compressed, though that was not asked for."""
    writer.write(Answer(200, gzip.compress(answer.body), JSON_TYPE, {"Content-Encoding": "gzip"}).encoded())
    await writer.drain()


def reset_socket(writer: Writer) -> None:
    """Close with RST instead of FIN."""
    raw = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


MISBEHAVIOURS: dict[str, Misbehaviour] = {
    function.__name__: function
    for function in (
        hang,
        hang_headers,
        hang_body,
        drip,
        reset,
        reset_at_once,
        short_body,
        not_http,
        banner,
        huge_body,
        huge_header,
        gzip_bomb,
        gzipped,
    )
}
"""What goes wrong at the level of bytes."""


def named(name: str) -> Answer | Misbehaviour:
    """Return a misbehaviour by its name; raise ``KeyError`` for an unknown one."""
    return ANSWERS[name] if name in ANSWERS else MISBEHAVIOURS[name]
