"""``gpumon exporter``: what is seen, as series for Prometheus."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from argparse import ArgumentTypeError, Namespace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from gpumon.app.cli.common import load_settings
from gpumon.app.cli.flags import Commands, add_command, add_source_flags
from gpumon.app.errors import GpumonError

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator

    from gpumon.app.config.settings import Settings
    from gpumon.app.listening import Address
    from gpumon.app.outlets.exporter.page import Page, TextFile
    from gpumon.app.session.session import Session

DEFAULT_LISTEN = "127.0.0.1:9836"
EVERY_SECONDS = 15.0
_PRINTED = {"print_dashboard": "dashboard.json", "print_rules": "rules.yml"}
"""Files of the package, by the flags that print them."""


def add_to(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(commands, "exporter", "watch, and tell Prometheus what is seen")
    parser.add_argument(
        "--listen", metavar="HOST:PORT", help=f"where to answer scrapes; {DEFAULT_LISTEN} if not set"
    )
    parser.add_argument(
        "--textfile",
        type=Path,
        metavar="FILE",
        help="a file in node_exporter's directory to write in place of listening, or besides with --listen",
    )
    parser.add_argument(
        "--every",
        type=seconds,
        default=EVERY_SECONDS,
        metavar="SECONDS",
        help=f"between two writes of that file; {EVERY_SECONDS:g} if not set",
    )
    parser.add_argument("--quiet", action="store_true", help="do not say where it listens")
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument("--print-dashboard", action="store_true", help="print a dashboard for Grafana")
    shown.add_argument("--print-rules", action="store_true", help="print alert rules for Prometheus")
    parser.set_defaults(execute=execute)
    add_source_flags(parser)


def execute(options: Namespace) -> int:
    """Export until told to end, which is the usual way out; or print a file."""
    for flag, name in _PRINTED.items():
        if getattr(options, flag):
            return _print(name)
    _require_client()
    settings = load_settings(options).settings
    from gpumon.app.crash import run

    with contextlib.ExitStack() as stack:
        listening = _listening(options, stack)
        file = _text_file(options)
        _announce(listening, file, options)
        run(_export(settings, _Outlets(listening, file, options.every)))
    return 0


def seconds(text: str) -> float:
    """Return a number of seconds.

    Raises:
        ArgumentTypeError: it is none from 1 to 3600.
    """
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 1 <= value <= 3600:
        raise ArgumentTypeError("expected seconds from 1 to 3600, such as 15")
    return value


def _print(name: str) -> int:
    from importlib.resources import files

    from gpumon.app.cli.output import print_text

    text = files("gpumon.app.outlets.exporter").joinpath("files", name).read_text(encoding="utf-8")
    print_text(text, name)
    return 0


def _require_client() -> None:
    from importlib.util import find_spec

    if find_spec("prometheus_client") is None:
        step = f"python3 -m pip --python {sys.executable} install prometheus-client"
        raise GpumonError(f"the exporter needs prometheus-client; install it with: {step}")


class _Listening(NamedTuple):
    socket: socket.socket
    address: Address


class _Outlets(NamedTuple):
    """Where it is told: at a socket, in a file, or both."""

    listening: _Listening | None
    file: TextFile | None
    every_seconds: float


def _listening(options: Namespace, stack: contextlib.ExitStack) -> _Listening | None:
    if options.listen is None and options.textfile is not None:
        return None
    from gpumon.app.listening import Address, bind, parse_address

    wanted = parse_address(options.listen or DEFAULT_LISTEN, DEFAULT_LISTEN)
    bound = stack.enter_context(bind(wanted))
    return _Listening(bound, Address(wanted.host, bound.getsockname()[1]))


def _text_file(options: Namespace) -> TextFile | None:
    if options.textfile is None:
        return None
    from gpumon.app.outlets.exporter.page import TextFile

    return TextFile(options.textfile)


def _announce(listening: _Listening | None, file: TextFile | None, options: Namespace) -> None:
    where = []
    if listening is not None:
        url = listening.address.url
        if not listening.address.is_loopback:
            sys.stderr.write(f"gpumon: {url} can be reached from other machines, without any password\n")
        where.append(f"at {url}/metrics")
    if file is not None:
        where.append(f"in {file.path}, every {options.every:g} s")
    if not options.quiet:
        sys.stdout.write(f"gpumon exporter {' and '.join(where)}\n")
        sys.stdout.flush()


async def _export(settings: Settings, outlets: _Outlets) -> None:
    """Watch, and tell what is seen, until the process is told to end."""
    from signal import SIGHUP, SIGINT, SIGTERM

    from gpumon.app.session.build import live_session

    session = live_session(settings)
    page, version = _page(session)
    running = asyncio.ensure_future(_watched(session, page, outlets))
    loop = asyncio.get_running_loop()
    for ending in (SIGINT, SIGTERM, SIGHUP):
        loop.add_signal_handler(ending, running.cancel)
    try:
        async with _served(page, version, outlets.listening):
            await asyncio.wait({running})
        if not running.cancelled():
            running.result()
    finally:
        await session.close()
        if outlets.file is not None:
            outlets.file.remove()


def _page(session: Session) -> tuple[Page, str]:
    from importlib.metadata import version

    from gpumon.app.outlets.exporter.collect import Collector
    from gpumon.app.outlets.exporter.page import Page
    from gpumon.collectors.source import SystemClock

    own = version("gpumon-llm")
    return Page(Collector(session.monitor, own, session.interval_seconds), SystemClock().now), own


@contextlib.asynccontextmanager
async def _served(page: Page, version: str, listening: _Listening | None) -> AsyncIterator[None]:
    from gpumon.app.outlets.exporter.serve import MetricsServer

    server = None if listening is None else await MetricsServer(page, version).start(listening.socket)
    try:
        yield
    finally:
        if server is not None:
            server.close()


async def _watched(session: Session, page: Page, outlets: _Outlets) -> None:
    """Feed the monitor and, where there is a file, write it after the first whole look and from then on."""
    if outlets.file is None:
        return await session.feed.run(session.monitor)
    from gpumon.app.snapshot.watch import follow

    writer = _Writer(outlets.file, page)

    async def heard(_missing: tuple[str, ...]) -> None:
        writer.write()

    await follow(session.feed, session.monitor, heard, settle_seconds=outlets.every_seconds)
    return None


class _Writer:
    """Writes the file; a disk that is full for a while is told once, and ends nothing."""

    def __init__(self, file: TextFile, page: Page) -> None:
        self._file = file
        self._page = page
        self._trouble: str | None = None

    def write(self) -> None:
        try:
            self._file.write(self._page.text())
        except GpumonError as error:
            trouble: str | None = str(error)
        else:
            trouble = None
        if trouble is not None and trouble != self._trouble and sys.stderr is not None:
            sys.stderr.write(f"gpumon: {trouble}\n")
            sys.stderr.flush()
        self._trouble = trouble
