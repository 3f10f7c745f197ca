"""A session that runs without a screen."""

from __future__ import annotations

import asyncio
import signal

from gpumon.app.session.session import Session

_ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


async def until_told_to_end(session: Session) -> None:
    """Run the feed until it ends or the process is told to, which is the usual way out; then close all.

    A recording that has ended ends it, too: there is nothing else that it runs for.
    """
    running = asyncio.ensure_future(session.feed.run(session.monitor))
    session.monitor.listen(lambda _: _end_with_the_recording(session, running), "recording")
    loop = asyncio.get_running_loop()
    for ending in _ENDINGS:
        loop.add_signal_handler(ending, running.cancel)
    try:
        await asyncio.wait({running})
        if not running.cancelled():
            running.result()
    finally:
        await session.close()


def _end_with_the_recording(session: Session, running: asyncio.Future[None]) -> None:
    if session.recorder is not None and session.recorder.problem is not None:
        running.cancel()
