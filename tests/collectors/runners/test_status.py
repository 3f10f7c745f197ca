"""Ollama's own runners: how far loading is, in each era's words."""

from __future__ import annotations

import pytest
from tests.collectors.runners.support import Setting
from tests.fakes.http import as_json
from tests.fakes.llama_server.server import FakeLlamaServer
from tests.fakes.ollama.misbehaviour import html

from gpumon.collectors.samples import ModelState


@pytest.mark.parametrize(
    ("kind", "body", "state", "progress"),
    [
        ("ollama_runner", {"status": 2, "progress": 0}, "loading", 0.0),
        ("ollama_runner", {"status": 3, "progress": 0.4321}, "loading", 0.4321),
        ("ollama_runner", {"status": 0, "progress": 1}, "ready", None),
        ("ollama_runner", {"status": 1, "progress": 1}, "ready", None),
        ("ollama_runner", {"status": 5, "progress": 0}, "failing", None),
        ("legacy_runner", {"status": "loading model", "progress": 0.5}, "loading", 0.5),
        ("legacy_runner", {"status": "no slot available"}, "ready", None),
        ("imagegen_runner", {"status": "ok"}, "ready", None),
    ],
)
async def test_health_says_how_far_it_is(
    fake: FakeLlamaServer,
    kind: str,
    body: dict[str, object],
    state: ModelState,
    progress: float | None,
) -> None:
    setting = Setting(fake, kind=kind)
    fake.answers["/health"] = as_json(body)
    sample = await setting.said()
    await setting.close()
    assert (sample.state, sample.progress) == (state, progress)


async def test_an_mlx_runner_says_its_context(fake: FakeLlamaServer) -> None:
    setting = Setting(fake, kind="mlx_runner")
    status = {"Status": 0, "Progress": 100, "ContextLength": 40960, "Memory": 6_012_345_678}
    fake.answers["/v1/status"] = as_json(status)
    sample = await setting.said()
    await setting.close()
    assert sample.state == "ready"
    assert sample.facts is not None
    assert sample.facts.context_length == 40960


async def test_an_mlx_runner_that_refuses_is_loading(fake: FakeLlamaServer) -> None:
    setting = Setting(fake, kind="mlx_runner")
    await fake.refuse()
    assert (await setting.said()).state == "loading"
    await setting.close()


async def test_a_ready_runner_is_looked_at_every_10_seconds(fake: FakeLlamaServer) -> None:
    setting = Setting(fake, kind="ollama_runner")
    fake.answers["/health"] = as_json({"status": 0})
    await setting.run(60)
    await setting.close()
    assert fake.counts() == {"/health": 6}


async def test_a_loading_runner_is_looked_at_at_every_turn(fake: FakeLlamaServer) -> None:
    setting = Setting(fake, kind="ollama_runner")
    fake.answers["/health"] = as_json({"status": 3, "progress": 0.1})
    assert len(await setting.run(5, interval=0.25)) == 20
    await setting.close()


async def test_a_stranger_that_has_no_such_status_is_foreign(fake: FakeLlamaServer) -> None:
    setting = Setting(fake, kind="ollama_runner")
    setting.owner.answer = "unknown"
    fake.answers["/health"] = html(200, "hello")
    assert (await setting.said()).state == "foreign"
    assert await setting.run(60) == []
    await setting.close()
