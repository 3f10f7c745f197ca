"""Feeds the dashboards of tabs: each is a process of its own, and all see what one monitor is fed.

A tab that does not keep up costs itself alone: what waits for it is let go, and once it reads again it is
sent all that is known by then.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from textual_serve.app_service import AppService

from gpumon.app.feeds.followed import frame, marks_frame, sample_frame, state_frame

if TYPE_CHECKING:
    from gpumon.app.monitor import Monitor
    from gpumon.collectors.samples import AnySample

WAITING_SAMPLES = 5000
"""So many may wait for a tab: minutes of a large machine."""
LEAVE_SECONDS = 3.0
"""How long the process of a tab may take to end by itself."""
KILL_SECONDS = 1.0
"""And how long after that."""
PROGRAM = ("-P", "-m", "gpumon.app.cli.web")
"""What a tab runs; ``-P`` keeps the folder in which gpumon was started from hiding a module."""
COLUMNS, ROWS = (20, 500), (8, 300)
"""The least and the most that a browser is believed."""


class Tab:
    """What still has to be sent to one tab."""

    def __init__(self) -> None:
        self._waiting: deque[bytes] = deque()
        self._is_behind = True
        self._news = asyncio.Event()

    def add(self, sample: bytes) -> None:
        """Have a sample sent, or let go of all that waits where that is too much."""
        if self._is_behind:
            return
        self._waiting.append(sample)
        if len(self._waiting) > WAITING_SAMPLES:
            self.start_over()
        self._news.set()

    def start_over(self) -> None:
        """Send all that is known in place of what waits."""
        self._waiting.clear()
        self._is_behind = True
        self._news.set()

    async def next(self, known: Callable[[], bytes]) -> bytes:
        """Return what is to be sent next, once there is something."""
        while not (self._is_behind or self._waiting):
            self._news.clear()
            await self._news.wait()
        if self._is_behind:
            self._is_behind = False
            return known()
        found = b"".join(self._waiting)
        self._waiting.clear()
        return found


class Tabs:
    """The tabs that are open, and the monitor that feeds them."""

    def __init__(
        self, monitor: Monitor, choices: bytes, most: int, marks: Callable[[], tuple[str, ...]] = tuple
    ) -> None:
        self._monitor = monitor
        self._choices = choices
        self._marks = marks
        self._state: object = monitor.state
        self._open: set[Tab] = set()
        self.most = most
        self.count = 0
        """How many are open, those included that begin or end just now."""
        monitor.listen(self._send, "tabs")

    @property
    def is_full(self) -> bool:
        """Whether there is no room for another one."""
        return self.count >= self.most

    async def feed(self, connection: socket.socket) -> None:
        """Send to one tab what is known and then what comes, until it reads no more."""
        tab = Tab()
        self._open.add(tab)
        _, writer = await asyncio.open_connection(sock=connection)
        try:
            writer.write(frame(b"C", self._choices))
            while True:
                writer.write(await tab.next(self._known))
                await writer.drain()
        except ConnectionError:
            return
        finally:
            self._open.discard(tab)
            writer.transport.abort()

    def _known(self) -> bytes:
        return marks_frame(self._marks()) + state_frame(self._monitor)

    def _send(self, sample: AnySample) -> None:
        if self._monitor.state is not self._state:  # it was reset: nothing of before holds
            self._state = self._monitor.state
            for tab in self._open:
                tab.start_over()
        elif self._open:
            line = sample_frame(sample)
            for tab in self._open:
                tab.add(line)


class TabService(AppService):
    """The process of one tab, without a shell, with an open socket through which it is fed."""

    def __init__(self, tabs: Tabs, **service: Any) -> None:  # noqa: ANN401 - what AppService takes
        super().__init__("", **service)
        self._tabs = tabs
        self._feeding: asyncio.Task[None] | None = None

    def _build_environment(self, width: int = 80, height: int = 24) -> dict[str, str]:
        environment = super()._build_environment(width, height)
        ours = {name for name in environment if name.startswith("GPUMON_")}
        kept = {name: value for name, value in environment.items() if name not in ours | {"TMUX", "STY"}}
        return kept | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "TERM": "xterm-256color"}

    async def _open_app_process(self, width: int = 80, height: int = 24) -> Process:
        near, far = socket.socketpair()
        try:
            self._process = process = await asyncio.create_subprocess_exec(
                sys.executable,
                *PROGRAM,
                str(far.fileno()),
                stdin=PIPE,
                stdout=PIPE,
                stderr=PIPE,
                env=self._build_environment(_within(width, COLUMNS), _within(height, ROWS)),
                pass_fds=(far.fileno(),),
                start_new_session=True,  # told to end by us, not by the keys of our terminal
            )
        except BaseException:
            near.close()
            raise
        finally:
            far.close()
        self._stdin = process.stdin
        self._feeding = asyncio.create_task(self._tabs.feed(near), name="tab")
        return process

    async def set_terminal_size(self, width: int, height: int) -> None:
        """Tell the process how large the page is, within reason."""
        await super().set_terminal_size(_within(width, COLUMNS), _within(height, ROWS))

    async def stop(self) -> None:
        """Have the process end, by force where it does not."""
        if self._process is None:
            return
        with suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(LEAVE_SECONDS):
                await super().stop()
        if self._feeding is not None:
            self._feeding.cancel()
        with suppress(TimeoutError):  # apart: what waits in ``stop`` above may swallow its end
            async with asyncio.timeout(KILL_SECONDS):
                await self._process.wait()
        if self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()


def _within(value: object, bounds: tuple[int, int]) -> int:
    """Return a number that a browser has sent, within bounds."""
    number = value if isinstance(value, int) else bounds[0]
    return min(max(number, bounds[0]), bounds[1])
