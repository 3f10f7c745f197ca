"""A fake llama-server on a free port, and a watch over it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.collectors.runners.support import Setting
from tests.fakes.llama_server.server import FakeLlamaServer


@pytest.fixture
async def fake() -> AsyncIterator[FakeLlamaServer]:
    async with FakeLlamaServer() as server:
        yield server


@pytest.fixture
async def setting(fake: FakeLlamaServer) -> AsyncIterator[Setting]:
    one = Setting(fake)
    yield one
    await one.close()


@pytest.fixture
async def sleepy(fake: FakeLlamaServer) -> AsyncIterator[Setting]:
    """A server that was started with ``--sleep-idle-seconds 300``."""
    one = Setting(fake, sleep_idle_seconds=300.0)
    yield one
    await one.close()
