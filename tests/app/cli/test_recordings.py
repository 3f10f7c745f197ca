"""A feed without a screen ends when the process is told to."""

from __future__ import annotations

import asyncio
import signal

import pytest

from gpumon.app.alerts.limits import Limits
from gpumon.app.cli.recordings import until_told_to_end
from gpumon.app.monitor import Monitor
from gpumon.app.session.session import Session


class StubFeed:
    """Runs for ever once it has done ``first``, and notes what becomes of it."""

    def __init__(self, first: signal.Signals | Exception) -> None:
        self._first = first
        self.closed = False

    def marks(self) -> tuple[str, ...]:
        return ()

    async def run(self, monitor: Monitor) -> None:
        if isinstance(self._first, Exception):
            raise self._first
        signal.raise_signal(self._first)
        await asyncio.Event().wait()

    async def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_a_signal_ends_it_in_good_order(ending: signal.Signals) -> None:
    feed = StubFeed(ending)
    await until_told_to_end(Session(Monitor(Limits()), feed))
    assert feed.closed


async def test_an_error_of_the_feed_is_raised_once_it_is_closed() -> None:
    feed = StubFeed(ValueError("x"))
    with pytest.raises(ValueError, match="x"):
        await until_told_to_end(Session(Monitor(Limits()), feed))
    assert feed.closed
