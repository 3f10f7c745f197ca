"""Who besides the screen is told of alerts, as the settings have it: a command, ntfy, the terminal."""

from __future__ import annotations

import asyncio
import os
import platform
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from gpumon.app.alerts.alert import AlertEvent
    from gpumon.app.alerts.notices import Notice, Notifier
    from gpumon.app.config.settings import Settings
    from gpumon.app.session.session import Session
    from gpumon.collectors.samples import AnySample

Say = Callable[[str], None]
"""Says in one line what went wrong."""
Write = Callable[[str], None]
"""Writes to the terminal, past what is drawn."""


class Teller(Struct):
    """Hands each event on to all who are to be told."""

    hook: Callable[[AlertEvent, str], None] | None = None
    notifier: Notifier | None = None
    closes: tuple[Callable[[], Awaitable[None]], ...] = ()

    def tell(self, event: AlertEvent, host: str = "") -> None:
        """Tell of one event; nothing is waited for. ``host`` is where, if several machines are watched."""
        if self.hook is not None:
            self.hook(event, host)
        if self.notifier is not None:
            self.notifier.tell(event, host)

    async def close(self) -> None:
        """Tell what waits, and let what is under way end."""
        if self.notifier is not None:
            self.notifier.close()
        await asyncio.gather(*(close() for close in self.closes))


MakeTeller = Callable[[Say, Write], Teller]


def is_told(settings: Settings) -> bool:
    """Whether anybody is to be told but who looks at the screen."""
    return bool(settings.alerts.hook or settings.notify.ntfy or settings.notify.terminal != "off")


def teller(settings: Settings, say: Say, write: Write | None, *, is_live: bool = True) -> Teller:
    """Return what tells of alerts; without ``write`` there is no terminal to be told.

    Of what is not live, a demonstration or a recording, nobody is told who is elsewhere.
    """
    from gpumon.app.alerts.notices import Notifier  # noqa: PLC0415 - few have anybody told

    made = Teller()
    if settings.alerts.hook:
        from gpumon.app.alerts.sinks import AlertHook  # noqa: PLC0415

        hook = AlertHook(settings.alerts.hook, say)
        made.hook, made.closes = hook.tell, (hook.close,)
    sends: list[Callable[[Notice], None]] = []
    if settings.notify.ntfy and is_live:
        from gpumon.app.alerts.ntfy import Ntfy  # noqa: PLC0415

        ntfy = Ntfy(settings.notify.ntfy, settings.notify.ntfy_token, say)
        sends.append(ntfy.send)
        made.closes = (*made.closes, ntfy.close)
    if settings.notify.terminal != "off" and write is not None:
        from gpumon.app.alerts.terminal import TerminalNotices  # noqa: PLC0415

        terminal = TerminalNotices(write, settings.notify.terminal, os.environ)
        sends.append(terminal.send)
        made.closes = (*made.closes, terminal.close)
    if sends:
        made.notifier = Notifier(lambda notice: _all(sends, notice), platform.node(), settings.notify.level)
    return made


@asynccontextmanager
async def telling(session: Session, settings: Settings, say: Say, write: Write | None) -> AsyncIterator[None]:
    """Tell of what is raised in a session where no screen does."""
    told, monitor = teller(settings, say, write, is_live=session.player is None), session.monitor

    def hear(_: AnySample) -> None:
        for event in monitor.alerts.fresh():
            told.tell(event)

    monitor.listen(hear, "notifications")
    try:
        yield
    finally:
        await told.close()


def _all(sends: list[Callable[[Notice], None]], notice: Notice) -> None:
    for send in sends:
        send(notice)
