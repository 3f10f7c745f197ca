"""Fake servers on free ports, and URLs that are closed at the end of the test."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.collectors.llama_server.support import Url, url_of
from tests.fakes.llama_server.router import FakeRouter
from tests.fakes.llama_server.server import FakeLlamaServer


@pytest.fixture
async def fake() -> AsyncIterator[FakeLlamaServer]:
    async with FakeLlamaServer() as server:
        yield server


@pytest.fixture
async def url(fake: FakeLlamaServer) -> AsyncIterator[Url]:
    one = url_of(fake)
    yield one
    await one.source.close()


@pytest.fixture
async def router() -> AsyncIterator[FakeRouter]:
    async with FakeRouter() as server:
        yield server


@pytest.fixture
async def routed(router: FakeRouter) -> AsyncIterator[Url]:
    one = url_of(router)
    yield one
    await one.source.close()
