"""One host's feed: an ssh that is started, read, and started again after a while when it ends."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Literal

from gpumon.app.fleet.ssh import Cause, HostSpec, explain, ssh_command, ssh_environment
from gpumon.app.fleet.stream import CannotReadError, Stream
from gpumon.app.monitor import Monitor

RECORD = ("record", "--headless", "/dev/stdout")
"""By its name: an older gpumon refuses what it cannot do, and would make a file called ``-``."""
BEGIN_SECONDS = 30.0
"""From the start of ssh to the first line: it connects for ten, and a machine under load takes a while."""
SILENT_SECONDS = 180.0
"""A gpumon that says nothing for so long hangs: its longest interval is a minute."""
STEADY_SECONDS = 30.0
"""What has lasted so long is no failed attempt."""
FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 1.0, 60.0
LINE_BYTES_MAXIMUM = 4 * 1024**2
ERROR_LINES_KEPT = 30
LINES_AT_ONCE = 50
END_SECONDS = 1.0
BEGIN_LINE = "gpumon-begins-here"

LinkState = Literal["connecting", "up", "waiting"]
Sleep = Callable[[float], Awaitable[None]]


class HostFeed:
    """Feeds what one host says into its monitor, for as long as it runs. It never raises."""

    def __init__(
        self,
        spec: HostSpec,
        *,
        now: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self.spec = spec
        self.state: LinkState = "connecting"
        self.cause: Cause | None = None
        """Why the newest attempt has ended."""
        self.next_try: float | None = None
        """When the next one begins, by ``now``."""
        self.stream: Stream | None = None
        self._now = now
        self._wall = wall
        self._sleep = sleep
        self._wait = FIRST_WAIT_SECONDS

    def marks(self) -> tuple[str, ...]:
        """Return the host's name: its screen is not that of this machine."""
        return (self.spec.name,)

    async def run(self, monitor: Monitor) -> None:
        """Feed samples into ``monitor`` until cancelled."""
        self.stream = Stream(monitor, self._now, self._wall)
        while True:
            began = self._now()
            self.cause = await self._attempt(self.stream)
            lasted = self.state == "up" and self._now() - began >= STEADY_SECONDS
            wait = self._next_wait(lasted=lasted)
            self.state, self.next_try = "waiting", self._now() + wait
            await self._sleep(wait)
            self.state, self.next_try = "connecting", None

    async def close(self) -> None:
        """Release nothing: its ssh ends with ``run``."""

    def _next_wait(self, *, lasted: bool) -> float:
        """Return how long to wait, each time twice as long; what the user must put right is not hurried."""
        wait = FIRST_WAIT_SECONDS if lasted else self._wait
        if self.cause is not None and self.cause.needs_user:
            wait = max(wait, LONGEST_WAIT_SECONDS / 4)
        self._wait = min(LONGEST_WAIT_SECONDS, 2 * wait)
        return wait

    async def _attempt(self, stream: Stream) -> Cause:
        """Run one ssh to its end; return why it has ended."""
        stream.begin()
        try:
            process = await asyncio.create_subprocess_exec(
                *ssh_command(self.spec, RECORD),
                stdin=DEVNULL,
                stdout=PIPE,
                stderr=PIPE,
                limit=LINE_BYTES_MAXIMUM,
                env=ssh_environment(),
                start_new_session=True,  # without our terminal nothing that it starts can ask there
            )
        except OSError as error:
            return _no_ssh(error)
        errors: deque[str] = deque(maxlen=ERROR_LINES_KEPT)
        reading = asyncio.ensure_future(_read_errors(process, errors))
        try:
            cause = await self._read(process, stream)
            if cause is not None:
                return cause
            code = await process.wait()
            await asyncio.wait({reading}, timeout=END_SECONDS)
            return explain(self.spec, code, tuple(errors), was_up=self.state == "up")
        finally:
            await _end(process, reading)

    async def _read(self, process: Process, stream: Stream) -> Cause | None:
        """Read until there is no more, which has a reason of its own, or until it makes no sense."""
        assert process.stdout is not None  # noqa: S101 - it was asked for
        taken = 0
        while True:
            limit = BEGIN_SECONDS if stream.header is None else SILENT_SECONDS
            try:
                async with asyncio.timeout(limit):
                    line = await process.stdout.readline()
            except TimeoutError:
                return stream.silence() if stream.header is None else Cause("gpumon there has fallen silent")
            except ValueError:  # longer than any sample
                stream.damaged += 1
                continue
            if not line:
                return None
            try:
                stream.take(line)
            except CannotReadError as error:
                return error.cause
            if stream.header is not None:
                self.state, self.cause = "up", None
            taken += 1
            if taken % LINES_AT_ONCE == 0:  # what is in the buffer already is read without a pause
                await asyncio.sleep(0)


async def _read_errors(process: Process, errors: deque[str]) -> None:
    assert process.stderr is not None  # noqa: S101 - it was asked for
    while True:
        try:
            line = await process.stderr.readline()
        except ValueError:
            continue
        if not line:
            return
        errors.append(line.decode("utf-8", "replace").rstrip("\r\n")[:1000])


async def _end(process: Process, reading: asyncio.Future[None]) -> None:
    """End an ssh with what it has started, reap it, and read what is left: till then its pipes stay open."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.returncode is not None:
            break
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(END_SECONDS):
                await process.wait()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(END_SECONDS):
            while process.stdout is not None and await process.stdout.read(65536):
                pass
            await reading
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)


def _no_ssh(error: OSError) -> Cause:
    if isinstance(error, FileNotFoundError):
        return Cause("there is no ssh on this machine", "Debian: apt install openssh-client", True)
    return Cause(f"ssh cannot be started: {(error.strerror or str(error)).lower()}", "", True)


async def ssh_output(
    spec: HostSpec, arguments: Sequence[str], take: Callable[[bytes], Awaitable[None]]
) -> tuple[int, tuple[str, ...]]:
    """Run gpumon there once, hand on its lines as they come; return its exit code and its last errors.

    Raises:
        OSError: there is no ssh.
    """
    process = await asyncio.create_subprocess_exec(
        *ssh_command(spec, arguments, BEGIN_LINE),
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=PIPE,
        limit=LINE_BYTES_MAXIMUM,
        env=ssh_environment(),
        start_new_session=True,
    )
    errors: deque[str] = deque(maxlen=ERROR_LINES_KEPT)
    reading = asyncio.ensure_future(_read_errors(process, errors))
    try:
        assert process.stdout is not None  # noqa: S101 - it was asked for
        has_begun = False
        while line := await process.stdout.readline():
            if has_begun:
                await take(line)
            has_begun = has_begun or line.strip() == BEGIN_LINE.encode()
        code = await process.wait()
        await asyncio.wait({reading}, timeout=END_SECONDS)
        return code, tuple(errors)
    finally:
        await _end(process, reading)
