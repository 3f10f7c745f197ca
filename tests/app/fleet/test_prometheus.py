"""A Prometheus is asked, and what it may answer instead; a real one where it is installed."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.fakes.sshd import free_port

from gpumon.app.fleet.prometheus import SERIES, PrometheusFeed
from gpumon.app.views.prometheus import machine_rows
from gpumon.collectors.http.endpoint import parse_endpoint

DEADLINE_SECONDS = 60.0
MODEL = 'model="qwen3:14b",server="http://127.0.0.1:11434",digest="abc",runtime="ollama"'
PAGE = f"""\
gpumon_build_info{{version="0.1.0"}} 1
gpumon_level{{level="bad"}} 1
gpumon_level{{level="ok"}} 0
gpumon_model_verdict{{{MODEL},verdict="spilled",cause="context_too_large",level="bad"}} 1
gpumon_model_spilled_ratio{{{MODEL},basis="claim"}} 0.38
gpumon_model_decode_tokens_per_second{{{MODEL},basis="measured"}} NaN
gpumon_gpu_memory_used_bytes{{gpu_uuid="GPU-1",gpu="0"}} 11811160064
gpumon_gpu_memory_capacity_bytes{{gpu_uuid="GPU-1",gpu="0"}} 12884901888
"""


@asynccontextmanager
async def answering(
    body: str, status: str = "200 OK", kind: str = "text/plain"
) -> AsyncIterator[tuple[int, list[str]]]:
    """Answer every request in the same way; yield the port and the first lines of what was asked."""
    asked: list[str] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        asked.append(head.split(b"\r\n")[0].decode())
        raw = body.encode()
        writer.write(
            f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(raw)}\r\n"
            "Connection: close\r\n\r\n".encode()
            + raw
        )
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], asked


def feed_at(port: int, headers: dict[str, str] | None = None) -> PrometheusFeed:
    return PrometheusFeed(parse_endpoint(f"http://127.0.0.1:{port}", headers))


async def test_nothing_is_asked_but_queries() -> None:
    empty = '{"status":"success","data":{"resultType":"vector","result":[]}}'
    async with answering(empty) as (port, asked):
        feed = feed_at(port)
        await feed.ask()
        await feed.close()
    assert feed.problem == ""
    assert len(asked) == 3
    assert all(line.startswith("GET /api/v1/query?query=") for line in asked)


@pytest.mark.parametrize(
    ("status", "body", "kind", "words"),
    [
        ("401 Unauthorized", "", "text/plain", "it wants a header"),
        ("404 Not Found", "404 page not found", "text/plain", "no Prometheus"),
        ("200 OK", "<html>Grafana</html>", "text/html", "no Prometheus"),
        ("503 Service Unavailable", "", "text/plain", "HTTP 503"),
        (
            "400 Bad Request",
            '{"status":"error","error":"bad query"}',
            "application/json",
            "it says: bad query",
        ),
    ],
)
async def test_what_does_not_answer_as_prometheus_does_is_told_in_words(
    status: str, body: str, kind: str, words: str
) -> None:
    async with answering(body, status, kind) as (port, _):
        feed = feed_at(port, {"Authorization": "Bearer secret-of-mine"})
        await feed.ask()
        await feed.close()
    assert words in feed.problem
    assert "secret" not in feed.problem


async def test_nothing_that_listens_is_told_and_what_was_known_stays() -> None:
    feed = feed_at(free_port())
    await feed.ask()
    await feed.close()
    assert feed.problem == "nothing listens there"
    assert feed.asked is None


@pytest.fixture
def prometheus(tmp_path: Path) -> Callable[[list[int]], tuple[subprocess.Popen[bytes], int]]:
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("prometheus is not installed")

    def start(targets: list[int]) -> tuple[subprocess.Popen[bytes], int]:
        port, settings = free_port(), tmp_path / "prometheus.yml"
        named = ", ".join(f"'127.0.0.1:{one}'" for one in targets)
        settings.write_text(
            "global: {scrape_interval: 1s}\n"
            f"scrape_configs: [{{job_name: gpumon, static_configs: [{{targets: [{named}]}}]}}]\n"
        )
        command = [
            program,
            f"--config.file={settings}",
            f"--storage.tsdb.path={tmp_path / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL), port

    return start


async def test_a_real_prometheus_tells_what_its_exporters_say_and_which_one_has_gone(
    prometheus: Callable[[list[int]], tuple[subprocess.Popen[bytes], int]],
) -> None:
    async with answering(PAGE) as (stays, _):
        async with answering(PAGE) as (goes, _):
            process, port = prometheus([stays, goes])
            feed = feed_at(port)
            try:
                await until(feed, lambda: [one.is_old for one in feed.machines] == [False, False])
            except BaseException:
                process.kill()
                raise
        try:
            await until(feed, lambda: sorted(one.is_old for one in feed.machines) == [False, True])
            rows = {row.key: row for row in machine_rows(feed.machines)}
        finally:
            process.kill()
            process.wait()
            await feed.close()
    row, gone = rows[f"127.0.0.1:{stays}"], rows[f"127.0.0.1:{goes}"]
    assert (row.level, row.head, row.facts) == ("bad", "SPILLED", ("38% in RAM",))
    assert row.gpus == ((11811160064, 12884901888),)
    assert row.tokens_per_second is None
    assert gone.sentence.startswith("last seen")


async def until(feed: PrometheusFeed, holds: Callable[[], bool]) -> None:
    end = time.monotonic() + DEADLINE_SECONDS
    while not holds():
        assert time.monotonic() < end, (feed.problem, feed.machines)
        await asyncio.sleep(0.2)
        await feed.ask()


def test_the_series_that_are_asked_for_are_those_of_the_exporter() -> None:
    collect = pytest.importorskip("gpumon.app.outlets.exporter.collect")
    names = {one.name for _, series in collect.DECLARED for one in series}
    assert {*SERIES, "gpumon_build_info"} <= names
