"""TabbyAPI: behind a key, its model and cache; its last request by how its counters have grown."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.collectors.servers.asking import Asking, heard
from tests.fakes.tabbyapi import KEY, NAME, FakeTabbyApi

from gpumon.collectors.samples import CachePool, LastRequest
from gpumon.collectors.servers.tabbyapi.kind import TabbyApiKind
from gpumon.collectors.servers.talk import FoundRunner, ProcessView


@pytest.fixture
async def fake() -> AsyncIterator[FakeTabbyApi]:
    async with FakeTabbyApi() as server:
        yield server


async def test_it_is_one_model_with_context_and_cache(fake: FakeTabbyApi) -> None:
    said = await heard(fake)
    assert (said.server.kind, said.model.name, said.model.context_length) == ("tabbyapi", NAME, 16384)
    assert said.model.settings is not None
    assert (said.model.settings.cache_type_k, said.model.settings.parallel) == ("Q8", 4)
    assert said.work.pool == CachePool(used_fraction=0.25, capacity_tokens=32768, used_tokens=8192)


async def test_what_runs_and_waits_is_of_now(fake: FakeTabbyApi) -> None:
    fake.figures |= {"requests_processing": 2, "requests_deferred": 1}
    counters = (await heard(fake)).work.counters
    assert counters is not None
    assert (counters.requests_processing, counters.requests_deferred) == (2, 1)
    assert counters.decoded_tokens_total is None, "counted when a request ends: no rate of now"
    assert (counters.prefix_tokens_total, counters.prefix_tokens_found_total) == (1400, 400)


async def test_its_last_request_is_what_the_counters_have_grown_by(fake: FakeTabbyApi) -> None:
    async with Asking(fake) as asking:
        first = (await asking.look()).work.last
        fake.finish(prompt=328, cached=200, reply=128, seconds=4.0)
        second = (await asking.look()).work.last
        later = (await asking.look()).work.last
    assert first == LastRequest(count=5)
    assert second == LastRequest(
        count=6,
        prompt_tokens=328,
        cached_tokens=200,
        decoded_tokens=128,
        prefill_tokens_per_second=256.0,
        decode_tokens_per_second=32.0,
        seconds=4.5,
    )
    assert later == second


async def test_of_two_between_two_looks_neither_is_told(fake: FakeTabbyApi) -> None:
    async with Asking(fake) as asking:
        await asking.look()
        fake.finish(300, 200, 120, 4.0)
        fake.finish(10, 0, 20, 1.0)
        assert (await asking.look()).work.last == LastRequest(count=7)


async def test_an_older_version_tells_nothing_of_its_work() -> None:
    async with FakeTabbyApi(metrics=False) as fake:
        said = await heard(fake, times=3)
        assert fake.counts["GET", "/metrics"] == 1
    assert (said.work.counters, said.work.detail) == (None, "this version tells nothing of its work")


async def test_without_a_model_it_is_idle(fake: FakeTabbyApi) -> None:
    fake.model = None
    said = await heard(fake, times=2)
    assert (said.server.kind, said.state, said.server.models) == ("tabbyapi", "idle", ())


async def test_without_a_key_it_says_where_that_is_and_is_asked_rarely() -> None:
    async with FakeTabbyApi(key=KEY) as fake, Asking(fake) as asking:
        said = await asking.look()
        pause = asking.source.delay(1.0)
        assert fake.counts["GET", "/v1/model"] == 2, "to recognise it, and as what it is"
    assert (said.server.kind, said.state) == ("tabbyapi", "forbidden")
    assert "api_tokens.yml" in (said.server.health.hint or "")
    assert pause == 900.0, "each refusal is a line in its log"


@pytest.mark.parametrize("headers", [{"X-API-Key": KEY}, {"Authorization": f"Bearer {KEY}"}])
async def test_with_its_key_it_answers(headers: dict[str, str]) -> None:
    async with FakeTabbyApi(key=KEY) as fake:
        assert (await heard(fake, headers=headers)).model.name == NAME


def found(line: str, folder: str = "/home/u/tabbyAPI") -> FoundRunner | None:
    view = ProcessView(tuple(line.split()), dict, directory=lambda: folder)
    return TabbyApiKind().recognise_process(view)


@pytest.mark.parametrize(
    ("line", "folder"),
    [
        ("python main.py --port 5001 --model-name a", "/home/u/tabbyAPI"),
        ("python3 start.py --port 5001 --model-name a", "/home/u/tabbyAPI"),
        ("/opt/tabbyAPI/venv/bin/python main.py --port 5001 --model-name a", "/"),
        ("python /opt/tabbyapi/main.py --port 5001 --model-name a", "/"),
    ],
)
def test_its_process_is_known_by_its_script_and_its_folder(line: str, folder: str) -> None:
    runner = found(line, folder)
    assert runner is not None
    assert (runner.settings.port, runner.settings.model_name) == (5001, "a")


@pytest.mark.parametrize(
    ("line", "folder"),
    [("python main.py", "/home/u/ComfyUI"), ("vim main.py", "/home/u/tabbyAPI"), ("python", "/")],
)
def test_other_programs_are_not(line: str, folder: str) -> None:
    assert found(line, folder) is None


def test_its_settings_file_is_read_and_flags_win(tmp_path: Path) -> None:
    folder = tmp_path / "tabbyAPI"
    folder.mkdir()
    network = "network:\n  host: 127.0.0.1\n  port: 5005\n"
    model = (
        "model:\n  model_name: 'from file'  # x\n  max_seq_len: 8192\n  cache_mode: Q6\n  max_batch_size:\n"
    )
    (folder / "config.yml").write_text(network + model, encoding="utf-8")
    runner = found("python main.py --max-seq-len 4096", str(folder))
    assert runner is not None
    settings = runner.settings
    assert (settings.port, settings.model_name, settings.cache_type_k) == (5005, "from file", "Q6")
    assert (settings.context_length, settings.parallel) == (4096, None)
