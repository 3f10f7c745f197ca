"""Requests are bounded in bytes and seconds, and carry what was asked for and nothing else."""

from __future__ import annotations

import asyncio
import dataclasses
import gzip
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from tests.collectors.ollama.support import BRIEF, PATIENT, free_port, full_backlog
from tests.fakes.http import Answer
from tests.fakes.ollama.server import ANY_PATH, FakeOllama

from gpumon.collectors.http.away import failure_kind
from gpumon.collectors.http.client import MIB, HttpClient, TimeLimits, _headers
from gpumon.collectors.http.endpoint import Endpoint, parse_endpoint
from gpumon.collectors.http.failure import RequestError
from gpumon.collectors.http.here import Here

CAP = 8 * MIB


@pytest.fixture
async def client(fake: FakeOllama) -> AsyncIterator[HttpClient]:
    one = HttpClient(parse_endpoint(fake.url), PATIENT)
    yield one
    await one.close()


async def kind_of_failure(endpoint: Endpoint, limits: TimeLimits = PATIENT) -> str:
    client = HttpClient(endpoint, limits)
    with pytest.raises(RequestError) as caught:
        await client.get("/api/ps", CAP)
    await client.close()
    return caught.value.kind


async def test_an_answer_comes_with_status_headers_and_body(client: HttpClient) -> None:
    reply = await client.get("/api/version", CAP)
    assert (reply.status, reply.body) == (200, b'{"version": "0.33.0"}')
    assert reply.headers["content-type"].startswith("application/json")


async def test_given_headers_are_sent(fake: FakeOllama) -> None:
    client = HttpClient(parse_endpoint(fake.url, {"Host": "localhost:11434", "X-Key": "k"}), PATIENT)
    await client.get("/api/ps", CAP)
    await client.close()
    sent = fake.requests[0].headers
    assert (sent["host"], sent["x-key"], sent["accept-encoding"]) == ("localhost:11434", "k", "identity")


async def test_nothing_else_is_sent(fake: FakeOllama, client: HttpClient) -> None:
    await client.get("/api/ps", CAP)
    assert fake.requests[0].headers == {
        "host": f"127.0.0.1:{fake.port}",
        "accept": "*/*",
        "connection": "keep-alive",
        "user-agent": "gpumon",
        "accept-encoding": "identity",
    }


def test_the_host_header_leaves_out_the_interface() -> None:
    assert _headers(parse_endpoint("http://[fe80::1%25eth0]:1"))["Host"] == "[fe80::1]:1"


async def test_an_interface_that_is_not_here_is_a_failure_like_others() -> None:
    kind = await kind_of_failure(parse_endpoint("http://[fe80::1%25nothere9]:1"))
    assert kind in {"no_such_host", "no_route"}


async def test_a_given_header_replaces_ours_however_it_is_spelled(fake: FakeOllama) -> None:
    client = HttpClient(parse_endpoint(fake.url, {"USER-AGENT": "mine", "accept-encoding": "gzip"}), PATIENT)
    await client.get("/api/ps", CAP)
    await client.close()
    sent = fake.requests[0].headers
    assert (sent["user-agent"], sent["accept-encoding"]) == ("mine", "identity")


async def test_a_cookie_is_not_sent_back(fake: FakeOllama, client: HttpClient) -> None:
    fake.misbehave("/api/ps", Answer(200, b"{}", headers={"Set-Cookie": "a=b"}))
    await client.get("/api/ps", CAP)
    await client.get("/api/ps", CAP)
    assert "cookie" not in fake.requests[1].headers


@pytest.mark.parametrize("way", ["direct", "client"])
async def test_both_ways_to_a_server_answer_and_fail_alike(
    fake: FakeOllama, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server of another machine is asked through ``httpx.AsyncClient``, for an environment's proxy."""
    monkeypatch.setattr(Endpoint, "is_loopback", way == "direct")
    client = HttpClient(parse_endpoint(fake.url, {"X-Key": "k"}), BRIEF)
    assert (await client.get("/api/version", CAP)).body == b'{"version": "0.33.0"}'
    assert (await client.post("/api/show", b'{"model": "none"}', CAP)).status == 404
    assert {request.headers["x-key"] for request in fake.requests} == {"k"}
    assert fake.requests[1].body == b'{"model": "none"}'
    for wrong, kind in (("reset", "reset"), ("not_http", "not_http"), ("hang_body", "timeout")):
        fake.misbehave(ANY_PATH, wrong)
        with pytest.raises(RequestError, match=kind):
            await client.get("/api/ps", CAP)
    await client.close()


async def test_any_number_of_paths_takes_bounded_memory(fake: FakeOllama, client: HttpClient) -> None:
    for number in range(100):
        await client.get(f"/slots?model={number}", CAP)
    assert isinstance(client._way, Here)
    assert len(client._way._gets) <= 64


async def test_the_path_prefix_is_kept() -> None:
    async with FakeOllama(prefix="/ollama") as fake:
        client = HttpClient(parse_endpoint(fake.url), PATIENT)
        assert (await client.get("/api/ps", CAP)).status == 200
        await client.close()


async def test_redirects_are_not_followed(fake: FakeOllama, client: HttpClient) -> None:
    fake.misbehave("/api/ps", "redirect_loop")
    assert (await client.get("/api/ps", CAP)).status == 302
    assert fake.counts()["/api/ps"] == 1


async def test_the_connection_is_used_again(fake: FakeOllama, client: HttpClient) -> None:
    for _ in range(5):
        await client.get("/api/ps", CAP)
    assert len(fake._connections) == 1


async def test_a_compressed_answer_is_read_though_none_was_asked_for(
    fake: FakeOllama, client: HttpClient
) -> None:
    fake.misbehave("/api/version", "gzipped")
    assert (await client.get("/api/version", CAP)).body == b'{"version": "0.33.0"}'


GZIPPED = gzip.compress(b"hello " * 100, mtime=0)
AS_GZIP = {"Content-Encoding": "gzip"}


@pytest.mark.parametrize("cut", [1, 8, len(GZIPPED) - 12])
async def test_a_compressed_answer_that_is_cut_short_is_no_answer(
    cut: int, fake: FakeOllama, client: HttpClient
) -> None:
    fake.misbehave("/api/ps", Answer(200, GZIPPED[:-cut], headers=AS_GZIP))
    with pytest.raises(RequestError, match="bad_encoding"):
        await client.get("/api/ps", CAP)


@pytest.mark.parametrize("members", [2, 64])
async def test_every_member_of_a_compressed_answer_is_read(
    members: int, fake: FakeOllama, client: HttpClient
) -> None:
    fake.misbehave("/api/ps", Answer(200, GZIPPED * members, headers=AS_GZIP))
    assert (await client.get("/api/ps", CAP)).body == b"hello " * 100 * members


@pytest.mark.parametrize(
    ("body", "cap", "kind"),
    [
        (GZIPPED * 65, CAP, "bad_encoding"),
        (GZIPPED + b"rubbish", CAP, "bad_encoding"),
        (GZIPPED + GZIPPED[:-1], CAP, "bad_encoding"),
        (GZIPPED * 3, 1799, "too_large"),
    ],
)
async def test_what_follows_a_compressed_answer_is_bounded_and_checked(
    body: bytes, cap: int, kind: str, fake: FakeOllama, client: HttpClient
) -> None:
    fake.misbehave("/api/ps", Answer(200, body, headers=AS_GZIP))
    with pytest.raises(RequestError, match=kind):
        await client.get("/api/ps", cap)


UNASKED = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong"


class Talkative:
    """A server that numbers its answers and says more than it was asked for."""

    def __init__(self, more: bytes, *, later: bool) -> None:
        self.more = more
        self.later = later
        self.connections = 0
        self.said_more = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                body = str(self.connections).encode()
                answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
                if self.later:
                    writer.write(answer)
                    await writer.drain()
                    await asyncio.sleep(0.02)
                    writer.write(self.more)
                else:
                    writer.write(answer + self.more)
                await writer.drain()
                self.said_more.set()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@pytest.mark.parametrize("way", ["direct", "client"])
@pytest.mark.parametrize("later", [False, True])
@pytest.mark.parametrize("more", [UNASKED, b"\r\n", UNASKED + b"x" * 200_000])
async def test_bytes_that_nobody_asked_for_are_not_taken_for_the_next_answer(
    way: str, later: bool, more: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Endpoint, "is_loopback", way == "direct")
    talkative = Talkative(more, later=later)
    async with await asyncio.start_server(talkative.serve, "127.0.0.1", 0) as server:
        client = HttpClient(parse_endpoint(f"127.0.0.1:{server.sockets[0].getsockname()[1]}"), PATIENT)
        for number in (b"1", b"2", b"3"):
            talkative.said_more.clear()
            assert (await client.get("/api/ps", CAP)).body == number
            await talkative.said_more.wait()
            await asyncio.sleep(0.02)
        await client.close()
        server.close()


@pytest.mark.parametrize(
    ("wrong", "kind"),
    [
        ("huge_body", "too_large"),
        ("gzip_bomb", "too_large"),
        ("not_gzip", "bad_encoding"),
        ("reset", "reset"),
        ("reset_at_once", "reset"),
        ("short_body", "reset"),
        ("banner", "reset"),
        ("not_http", "not_http"),
        ("huge_header", "not_http"),
    ],
)
async def test_what_breaks_an_answer_is_told_apart(fake: FakeOllama, wrong: str, kind: str) -> None:
    fake.misbehave(ANY_PATH, wrong)
    assert await kind_of_failure(parse_endpoint(fake.url)) == kind


@pytest.mark.parametrize("wrong", ["hang", "hang_headers", "hang_body", "drip"])
async def test_an_answer_that_never_ends_is_cut_off(fake: FakeOllama, wrong: str) -> None:
    fake.misbehave(ANY_PATH, wrong)
    assert await kind_of_failure(parse_endpoint(fake.url), BRIEF) == "timeout"


async def test_a_server_that_does_not_take_connections_is_cut_off() -> None:
    with full_backlog() as port:
        limits = TimeLimits(connect=0.1, total=20.0)
        assert await kind_of_failure(parse_endpoint(f"127.0.0.1:{port}"), limits) == "connect_timeout"


async def test_a_closed_port_refuses() -> None:
    assert await kind_of_failure(parse_endpoint(f"127.0.0.1:{free_port()}")) == "refused"


async def test_a_name_that_does_not_resolve_is_no_such_host() -> None:
    assert await kind_of_failure(parse_endpoint("http://nowhere.invalid")) in {
        "no_such_host",
        "connect_timeout",
    }


@pytest.mark.parametrize("text", ["ftp://127.0.0.1", "http://a\0b", "http://\x1b[31m", "http://\ud800"])
async def test_an_address_that_cannot_be_used_is_a_failure_like_others(text: str) -> None:
    assert await kind_of_failure(parse_endpoint(text)) in {"unusable", "no_such_host"}


@pytest.mark.parametrize("header", [{"X": "line\nbreak"}, {"X": "schlüssel\u2028"}, {"": ""}, {"X Y": "z"}])
async def test_a_header_that_cannot_be_sent_is_a_failure_like_others(
    fake: FakeOllama, header: dict[str, str]
) -> None:
    assert await kind_of_failure(parse_endpoint(fake.url, header)) == "unusable"


async def test_a_plain_server_behind_an_https_url_has_no_tls(fake: FakeOllama) -> None:
    endpoint = parse_endpoint(f"https://127.0.0.1:{fake.port}", insecure=True)
    assert await kind_of_failure(endpoint) == "tls"


async def test_a_ca_file_that_cannot_be_read_is_told_from_a_server_without_tls(tmp_path: Path) -> None:
    endpoint = parse_endpoint("https://127.0.0.1:1", ca_file=tmp_path / "missing.pem")
    assert await kind_of_failure(endpoint) == "ca_file"


async def test_loopback_is_reached_in_spite_of_a_proxy_in_the_environment(
    fake: FakeOllama, client: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1")
    assert (await client.get("/api/ps", CAP)).status == 200


async def test_a_server_that_is_known_by_its_process_is_asked_for_at_no_proxy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ALL_PROXY", "nonsense://x")
    endpoint = dataclasses.replace(parse_endpoint("http://192.0.2.1:9"), is_here=True)
    assert await kind_of_failure(endpoint) != "proxy"


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:1", "nonsense://x"])
async def test_a_proxy_that_cannot_be_used_is_said_for_another_machine(
    proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy)
    assert await kind_of_failure(parse_endpoint("http://gpu.example")) == "proxy"


async def test_no_certificates_are_read_for_plain_http(
    client: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object, **options: object) -> None:
        raise AssertionError("an SSL context costs 40 ms")

    monkeypatch.setattr("ssl.create_default_context", refuse)
    assert (await client.get("/api/ps", CAP)).status == 200


async def test_a_cancelled_request_leaves_the_client_usable(fake: FakeOllama, client: HttpClient) -> None:
    fake.misbehave("/api/ps", "hang")
    request = asyncio.ensure_future(client.get("/api/ps", CAP))
    await fake.received.wait()
    request.cancel()
    await asyncio.gather(request, return_exceptions=True)
    fake.behave()
    assert (await client.get("/api/ps", CAP)).status == 200


async def test_the_text_of_a_failure_holds_no_secret(fake: FakeOllama) -> None:
    client = HttpClient(parse_endpoint(fake.url, {"X": "secret\nvalue"}), PATIENT)
    with pytest.raises(RequestError) as caught:
        await client.get("/api/ps", CAP)
    await client.close()
    assert str(caught.value) == "unusable"
    assert caught.value.__cause__ is None


def test_httpx_is_not_imported_before_the_first_request() -> None:
    code = "import sys; import gpumon.collectors.servers.ollama.server; sys.exit('httpx' in sys.modules)"
    environment = {"PYTHONPATH": str(Path(__file__).parents[3] / ".dev")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, timeout=60, check=False)
    assert done.returncode == 0


def test_httpx_is_not_imported_for_a_server_of_this_machine() -> None:
    code = f"""
import asyncio, sys
from gpumon.collectors.http.client import HttpClient
from gpumon.collectors.http.endpoint import parse_endpoint
async def ask():
    try:
        await HttpClient(parse_endpoint("127.0.0.1:{free_port()}")).probe("/")
    except Exception as error:
        return str(error)
sys.exit(asyncio.run(ask()) != "refused" or "httpx" in sys.modules)
"""
    environment = {"PYTHONPATH": str(Path(__file__).parents[3] / ".dev")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, timeout=60, check=False)
    assert done.returncode == 0


def test_a_failure_of_an_unknown_kind_is_still_a_failure() -> None:
    assert failure_kind(httpx.ConnectError("?"), answering=False) == "no_route"
    assert failure_kind(httpx.UnsupportedProtocol("?"), answering=False) == "unusable"
    assert failure_kind(LookupError(), answering=False) == "internal"


@pytest.mark.internal_errors
async def test_a_defect_of_ours_is_called_one_and_logged_without_its_text(
    fake: FakeOllama, client: HttpClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*arguments: object) -> None:
        raise TypeError(fake.url)

    monkeypatch.setattr(Here, "_get", broken)
    for _ in range(2):
        with pytest.raises(RequestError, match="internal"):
            await client.get("/api/ps", CAP)
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "internal error in a request: TypeError" in caplog.text
    assert "in broken" in caplog.text
    assert fake.url not in caplog.text


async def test_a_number_of_answers_at_the_cap_is_not_too_large(fake: FakeOllama, client: HttpClient) -> None:
    fake.misbehave("/api/ps", Answer(200, b" " * 100))
    assert len((await client.get("/api/ps", 100)).body) == 100
