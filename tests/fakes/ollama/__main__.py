"""Run the fake Ollama by itself: ``python -m tests.fakes.ollama --port 11500 --load llama3:8b``.

It prints its URL and serves until it is terminated. Change it while it runs with ``POST /control``::

    curl -d '{"load": {"name": "qwen3:32b", "size_bytes": 22000000000, "size_vram_bytes": 14000000000}}' \
        URL/control
    curl -d '{"unload": "qwen3:32b"}' URL/control
    curl -d '{"misbehave": {"/api/ps": "hang"}}' URL/control     # {"misbehave": {}} ends it
    curl URL/control                                             # what is loaded, requests by path

Orders: install, load, unload, clear, version, clock_skew_seconds, raw_ps_rows, misbehave (names in
``misbehaviour.py``, path ``*`` for all). A server that refuses connections is one that was terminated.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys

from tests.fakes.ollama.server import FakeOllama


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fakes.ollama", description="A fake Ollama.")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one, printed at the start")
    parser.add_argument("--prefix", default="", help="path prefix, as behind a proxy")
    parser.add_argument("--version", default="0.33.0", help="what /api/version says")
    parser.add_argument("--load", action="append", default=[], metavar="NAME|JSON", help="a loaded model")
    parser.add_argument("--misbehave", action="append", default=[], metavar="PATH=NAME")
    return parser.parse_args()


async def serve(options: argparse.Namespace) -> None:
    fake = FakeOllama(options.port, options.prefix)
    fake.version = options.version
    for model in options.load:
        fake.catalog.load(**(json.loads(model) if model.startswith("{") else {"name": model}))
    for order in options.misbehave:
        fake.misbehave(*order.split("=", 1))
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with fake:
        sys.stdout.write(fake.url + "\n")
        sys.stdout.flush()
        await stopped.wait()


asyncio.run(serve(arguments()))
