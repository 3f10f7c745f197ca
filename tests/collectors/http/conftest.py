"""A fake server on a free port."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.fakes.ollama.server import FakeOllama


@pytest.fixture
async def fake() -> AsyncIterator[FakeOllama]:
    async with FakeOllama() as server:
        yield server
