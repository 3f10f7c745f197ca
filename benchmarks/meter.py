"""What ``gpumon meter`` costs a stream: ``python -m benchmarks.meter`` (with ``PYTHONPATH=.dev:.``).

A server of its own process streams answers as a llama-server does, a chunk for each token; clients read
them directly, through a meter, and through a relay that looks at nothing, which is the least that a hop costs
in Python. The three take turns, to and fro: what else the machine does falls on all alike. Two cases: many
streams at a pace, each token sent so long after the one before as a GPU takes for it, and one stream as fast
as it goes. ``--load`` has busy processes beside them. Processor time is the kernel's. Prints a table in
Markdown.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from multiprocessing.connection import Connection
from typing import NamedTuple, cast

import psutil

WAYS = ("direct", "meter", "relay")
GROUP = (*WAYS, *reversed(WAYS))
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
READ_BYTES = 256 * 1024


class Case(NamedTuple):
    """What is asked for: streams at once, tokens of each, and seconds between them."""

    name: str
    streams: int
    tokens: int
    gap_seconds: float


class Way(NamedTuple):
    """Where to ask, and the process that passes on."""

    port: int
    process: psutil.Process | None = None


class Run(NamedTuple):
    """One run of a case, of all streams together."""

    way: str
    tokens_per_second: float
    cpu_seconds_per_token: float


def main() -> None:
    options = _parser().parse_args()
    cases = (
        Case("32 streams at 50 tok/s", 32, round(50 * options.seconds), 1 / 50),
        Case("one stream, as fast as it goes", 1, options.tokens, 0.0),
    )
    print("| case | direct tok/s | meter tok/s | meter / direct | meter / relay | meter µs/token | relay |")
    print("|---|---|---|---|---|---|---|", flush=True)
    with _apart(_serve) as server, _metering(server.port) as meter, _apart(_relay, server.port) as relay:
        ways = {"direct": Way(server.port), "meter": meter, "relay": relay}
        with _busy(options.load):
            for case in cases:
                print(_row(case, asyncio.run(_groups(case, ways, options.groups))), flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.meter", description=__doc__)
    parser.add_argument("--groups", type=int, default=3, help="of four runs each")
    parser.add_argument("--seconds", type=float, default=5.0, help="of one run at a pace")
    parser.add_argument("--tokens", type=int, default=60_000, help="of one run without a pace")
    parser.add_argument("--load", type=int, default=0, help="busy processes beside")
    return parser


async def _groups(case: Case, ways: Mapping[str, Way], groups: int) -> list[Run]:
    return [await _run(case, name, ways[name]) for _ in range(groups) for name in GROUP]


async def _run(case: Case, name: str, way: Way) -> Run:
    before = _cpu_seconds(way.process)
    rates = await asyncio.gather(*(_stream(case, way.port) for _ in range(case.streams)))
    tokens = case.streams * case.tokens
    return Run(name, sum(rates), (_cpu_seconds(way.process) - before) / tokens)


async def _stream(case: Case, port: int) -> float:
    """Read one answer; return its tokens per second from the first to the last."""
    body = json.dumps({"model": "bench", "n": case.tokens, "gap": case.gap_seconds}).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n" % len(body) + body
    )
    await reader.readuntil(b"\r\n\r\n")
    seen, began, tail = 0, 0.0, b""
    while b"data: [DONE]" not in tail:
        data = await reader.read(READ_BYTES)
        if not data:
            raise RuntimeError("cut short")
        began = began or time.perf_counter()
        seen += data.count(b"data: {")
        tail = tail[-64:] + data[-64:]
    seconds = time.perf_counter() - began
    writer.close()
    if seen < case.tokens * 0.99:  # a piece may be split over two reads
        raise RuntimeError(f"{seen} of {case.tokens} tokens")
    return (case.tokens - 1) / seconds


def _row(case: Case, runs: Sequence[Run]) -> str:
    groups = [runs[at : at + len(GROUP)] for at in range(0, len(runs), len(GROUP))]
    by_way = {name: [one for one in runs if one.way == name] for name in WAYS}
    rate = {name: statistics.median(one.tokens_per_second for one in of) for name, of in by_way.items()}
    cost = {name: statistics.median(one.cpu_seconds_per_token for one in of) for name, of in by_way.items()}
    shares = [_spread([_share(group, "meter", other) for group in groups]) for other in ("direct", "relay")]
    figures = f"{rate['direct']:,.0f} | {rate['meter']:,.0f} | {' | '.join(shares)}"
    return f"| {case.name} | {figures} | {cost['meter'] * 1e6:.1f} | {cost['relay'] * 1e6:.1f} |"


def _share(group: Sequence[Run], way: str, other: str) -> float:
    """Return the rate of one way over that of another, both runs of a group together."""
    first, second = (sum(run.tokens_per_second for run in group if run.way == name) for name in (way, other))
    return first / second


def _spread(ratios: Sequence[float]) -> str:
    return f"{statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})"


def _cpu_seconds(process: psutil.Process | None) -> float:
    times = process.cpu_times() if process else None
    return float(times.user + times.system) if times else 0.0


@contextlib.contextmanager
def _apart(serve: Callable[..., Coroutine[None, None, asyncio.Server]], *arguments: int) -> Iterator[Way]:
    """Run a server in a process of its own."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.Process(target=_run_apart, args=(theirs, serve, arguments), daemon=True)
    process.start()
    try:
        yield Way(ours.recv(), psutil.Process(process.pid))
    finally:
        process.kill()
        process.join()


def _run_apart(
    told: Connection, serve: Callable[..., Coroutine[None, None, asyncio.Server]], arguments: Sequence[int]
) -> None:
    async def run() -> None:
        server = await serve(*arguments)
        told.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(run())


async def _serve() -> asyncio.Server:
    return await asyncio.start_server(_answer, "127.0.0.1", 0)


async def _relay(port: int) -> asyncio.Server:
    loop = asyncio.get_running_loop()
    return await loop.create_server(lambda: _Side(port), "127.0.0.1", 0)


class _Side(asyncio.Protocol):
    """One side of the relay that looks at nothing."""

    def __init__(self, port: int | None = None, other: asyncio.Transport | None = None) -> None:
        self._port = port
        self._other = other
        self._early: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if self._port is not None:
            ours = cast("asyncio.Transport", transport)
            self._dial = asyncio.ensure_future(self._connect(ours, self._port))

    async def _connect(self, ours: asyncio.Transport, port: int) -> None:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_connection(lambda: _Side(other=ours), "127.0.0.1", port)
        self._other = transport
        for data in self._early:
            transport.write(data)

    def data_received(self, data: bytes) -> None:
        if self._other is None:
            self._early.append(data)
        else:
            self._other.write(data)

    def connection_lost(self, _exc: Exception | None) -> None:
        if self._other is not None:
            self._other.close()


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
        while True:
            wanted = await _asked(reader)
            writer.write(HEAD)
            for number in range(wanted["n"]):
                writer.write(_chunk(_event(number)))
                await writer.drain()
                if wanted["gap"]:
                    await asyncio.sleep(wanted["gap"])
            writer.write(_chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n")
            await writer.drain()


async def _asked(reader: asyncio.StreamReader) -> dict[str, float]:
    """Return the body of the next request, whole or in chunks."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    if b"transfer-encoding" not in head:
        length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
        return dict(json.loads(await reader.readexactly(length)))
    body = b""
    while size := int(await reader.readuntil(b"\r\n"), 16):
        body += (await reader.readexactly(size + 2))[:-2]
    await reader.readexactly(2)
    return dict(json.loads(body))


def _event(number: int) -> bytes:
    """Return what llama-server sends for a token."""
    return (
        b'data: {"choices":[{"finish_reason":null,"index":0,"delta":{"content":" w%d"}}],'
        b'"created":1796000000,"id":"chatcmpl-abcdefghijklmnopqrstuvwxyz012345","model":"bench","system_fingerprint":"b10434",'
        b'"object":"chat.completion.chunk"}\n\n' % number
    )


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


@contextlib.contextmanager
def _metering(port: int) -> Iterator[Way]:
    """Run a meter before the server."""
    command = [sys.executable, "-m", "gpumon.app", "meter", "--listen", "127.0.0.1:0"]
    with subprocess.Popen(
        [*command, "--upstream", f"http://127.0.0.1:{port}"], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        words = process.stdout.readline()
        try:
            yield Way(int(words.split(",")[0].rpartition(":")[2]), psutil.Process(process.pid))
        finally:
            process.kill()


@contextlib.contextmanager
def _busy(count: int) -> Iterator[None]:
    processes = [multiprocessing.Process(target=_spin, daemon=True) for _ in range(count)]
    for process in processes:
        process.start()
    try:
        yield
    finally:
        for process in processes:
            process.kill()


def _spin() -> None:
    while True:
        pass


if __name__ == "__main__":
    main()
