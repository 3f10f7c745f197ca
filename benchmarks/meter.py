"""What ``gpumon meter`` costs a stream: ``python -m benchmarks.meter`` (with ``PYTHONPATH=.dev:.``).

A server of its own process streams answers as a llama-server does, a chunk for each token; clients read
them directly and through a meter, in groups of direct, through, through, direct: what else the machine does
falls on both alike. Two cases: many streams at a pace, each token sent so long after the one before as a GPU
takes for it, and one stream as fast as it goes. ``--load`` has busy processes beside them. The meter's
processor time is the kernel's. Prints a table in Markdown.
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
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import psutil

GROUP = (False, True, True, False)
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
READ_BYTES = 256 * 1024


class Case(NamedTuple):
    """What is asked for: streams at once, tokens of each, and seconds between them."""

    name: str
    streams: int
    tokens: int
    gap_seconds: float


class Run(NamedTuple):
    """One run of a case, of all streams together."""

    tokens_per_second: float
    meter_cpu_seconds_per_token: float


def main() -> None:
    options = _parser().parse_args()
    cases = (
        Case("32 streams at 50 tok/s", 32, round(50 * options.seconds), 1 / 50),
        Case("one stream, as fast as it goes", 1, options.tokens, 0.0),
    )
    print("| case | direct tok/s | through tok/s | through / direct | meter CPU µs/token |")
    print("|---|---|---|---|---|", flush=True)
    with _serving() as port, _metering(port) as (through, meter), _busy(options.load):
        for case in cases:
            runs = asyncio.run(_groups(case, port, through, meter, options.groups))
            print(_row(case, runs), flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.meter", description=__doc__)
    parser.add_argument("--groups", type=int, default=3, help="of four runs each")
    parser.add_argument("--seconds", type=float, default=5.0, help="of one run at a pace")
    parser.add_argument("--tokens", type=int, default=60_000, help="of one run without a pace")
    parser.add_argument("--load", type=int, default=0, help="busy processes beside")
    return parser


async def _groups(
    case: Case, direct: int, through: int, meter: psutil.Process, groups: int
) -> list[tuple[bool, Run]]:
    return [
        (metered, await _run(case, through if metered else direct, meter))
        for _ in range(groups)
        for metered in GROUP
    ]


async def _run(case: Case, port: int, meter: psutil.Process) -> Run:
    before = _cpu_seconds(meter)
    rates = await asyncio.gather(*(_stream(case, port) for _ in range(case.streams)))
    tokens = case.streams * case.tokens
    return Run(sum(rates), (_cpu_seconds(meter) - before) / tokens)


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


def _row(case: Case, runs: Sequence[tuple[bool, Run]]) -> str:
    ratios = [
        sum(run.tokens_per_second for metered, run in group if metered)
        / sum(run.tokens_per_second for metered, run in group if not metered)
        for group in (runs[at : at + len(GROUP)] for at in range(0, len(runs), len(GROUP)))
    ]
    rate = {
        which: statistics.median(run.tokens_per_second for metered, run in runs if metered is which)
        for which in (False, True)
    }
    cost = statistics.median(run.meter_cpu_seconds_per_token for metered, run in runs if metered)
    share = f"{statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})"
    return f"| {case.name} | {rate[False]:,.0f} | {rate[True]:,.0f} | {share} | {cost * 1e6:.1f} |"


def _cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


@contextlib.contextmanager
def _serving() -> Iterator[int]:
    """Run the server in a process of its own, and yield its port."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.Process(target=_serve, args=(theirs,), daemon=True)
    process.start()
    try:
        yield ours.recv()
    finally:
        process.kill()
        process.join()


def _serve(told: object) -> None:
    async def serve() -> None:
        server = await asyncio.start_server(_answer, "127.0.0.1", 0)
        told.send(server.sockets[0].getsockname()[1])  # type: ignore[attr-defined]
        await server.serve_forever()

    asyncio.run(serve())


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
def _metering(port: int) -> Iterator[tuple[int, psutil.Process]]:
    """Run a meter before the server, and yield its port and process."""
    command = [sys.executable, "-m", "gpumon.app", "meter", "--listen", "127.0.0.1:0"]
    with subprocess.Popen(
        [*command, "--upstream", f"http://127.0.0.1:{port}"], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        words = process.stdout.readline()
        try:
            yield int(words.split(",")[0].rpartition(":")[2]), psutil.Process(process.pid)
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
