"""A session that runs without a screen."""

from __future__ import annotations

import asyncio
import signal

from gpumon.app.session.session import Session

_ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


async def until_told_to_end(session: Session) -> None:
    """Run the feed until it ends or the process is told to, which is the usual way out; then close all."""
    running = asyncio.ensure_future(session.feed.run(session.monitor))
    loop = asyncio.get_running_loop()
    for ending in _ENDINGS:
        loop.add_signal_handler(ending, running.cancel)
    try:
        await asyncio.wait({running})
        if not running.cancelled():
            running.result()
    finally:
        await session.close()
