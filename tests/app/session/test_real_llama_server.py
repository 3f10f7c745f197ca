"""A real llama-server on its own, through the whole live path: by process, by URL, and by both."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import pytest
from tests.fakes.live import Live
from tests.fakes.llama_server.running import (
    MISSING,
    RealServer,
    assembled_model,
    completed,
    free_port,
    real_server,
)
from tests.fakes.processes.secluded import VARIABLE, seclude

from gpumon.app.alerts.limits import Limits
from gpumon.app.config.settings import Settings
from gpumon.app.monitor import Monitor
from gpumon.app.session.build import live_feed
from gpumon.app.snapshot.build import build_snapshot
from gpumon.app.snapshot.schema import ModelEntry

pytestmark = [
    pytest.mark.real_server,
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}"),
]
PATIENCE_SECONDS = 45.0
ALIAS = f"gemma-{os.getpid()}"
"""Other servers may run on this machine, those of other tests among them."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    """One that has loaded its model, and no other server that the machine's owner runs."""
    folder = tmp_path_factory.mktemp("llama")
    model = assembled_model(folder)
    flags = ("--alias", ALIAS, "--ctx-size", "4096", "--parallel", "2")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, str(folder))
        seclude(patch.setattr)
        with real_server(model, *flags, program="llama-server") as one:
            yield one
    model.unlink()


class Watching(Live):
    """The models of one server as a live run sees them."""

    @property
    def models(self) -> list[ModelEntry]:
        """Return the entries of the server's model."""
        return [one for one in build_snapshot(self.monitor.pictures).models if one.name == ALIAS]

    async def seen(self, holds: Callable[[ModelEntry], object]) -> ModelEntry:
        """Wait until something holds of the model, of which there is never more than one."""
        await self.until(lambda: any(map(holds, self._only())), PATIENCE_SECONDS)
        return self._only()[0]

    def _only(self) -> list[ModelEntry]:
        models = self.models
        assert len(models) <= 1, models
        return models


@asynccontextmanager
async def watching(url: str) -> AsyncIterator[Watching]:
    """Run the live feed with one URL until the end of the context."""
    one = Watching(Monitor(Limits()))
    feed = live_feed(Settings(urls=(url,), interval_seconds=0.25), one.monitor)
    running = asyncio.create_task(feed.run(one.monitor))
    try:
        yield one
    finally:
        running.cancel()
        await asyncio.wait({running})


def nowhere() -> str:
    """Return a URL at which nothing answers."""
    return f"http://127.0.0.1:{free_port()}"


async def test_it_is_found_as_a_process_with_nothing_configured(server: RealServer) -> None:
    async with watching(nowhere()) as live:
        model = await live.seen(lambda one: one.runner)
        assert (model.runtime, model.url) == ("llama_server", server.url)
        assert model.runner is not None
        assert (model.runner.pid, model.runner.joined_by) == (server.pid, "process")
        assert model.runner.rss_bytes
        assert (await live.seen(lambda one: one.context_length)).context_length == 2048


async def test_its_rate_is_live_and_its_total_exact_by_process(server: RealServer) -> None:
    async with watching(nowhere()) as live:
        before = (await live.seen(lambda one: one.tokens_generated_total is not None)).tokens_generated_total
        assert before is not None
        request = asyncio.create_task(completed(server.url, 150))
        assert (await live.seen(lambda one: one.decode_tokens_per_second)).rate_source == "/slots, /metrics"
        await request
        await live.seen(lambda one: one.tokens_generated_total == before + 150)


async def test_by_process_and_by_url_it_is_one_model_with_a_live_rate(server: RealServer) -> None:
    async with watching(server.url) as live:
        model = await live.seen(lambda one: one.runner and one.tokens_generated_total is not None)
        assert model.runner is not None
        assert (model.url, model.runner.pid) == (server.url, server.pid)
        before = model.tokens_generated_total or 0
        request = asyncio.create_task(completed(server.url, 150))
        await live.seen(lambda one: one.decode_tokens_per_second and one.activity == "busy")
        await request
        await live.seen(lambda one: one.tokens_generated_total == before + 150 and one.activity == "idle")
