"""LM Studio: an inventory, listed seldom as each listing is a line in its log."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.collectors.servers.asking import Asking, heard
from tests.fakes.gguf.writer import tiny_llama
from tests.fakes.http import as_json
from tests.fakes.lm_studio import FILE_BYTES, NAME, FakeLmStudio

from gpumon.collectors.http.endpoint import parse_endpoint
from gpumon.collectors.processes.model_files import is_undescribed
from gpumon.collectors.samples import InstalledModels, LoadFacts, ModelClaim, ModelFacts, RunnerSettings
from gpumon.collectors.servers.lm_studio import kind as lm_studio
from gpumon.collectors.servers.lm_studio.kind import LmStudioKind
from gpumon.collectors.servers.talk import FoundRunner, FoundServer, KnownRunners, ProcessView
from gpumon.collectors.source import SystemClock

KIND = LmStudioKind()


@pytest.fixture
async def fake() -> AsyncIterator[FakeLmStudio]:
    async with FakeLmStudio() as server:
        yield server


async def test_each_instance_is_a_model_that_claims_no_memory(fake: FakeLmStudio) -> None:
    said = await heard(fake)
    assert said.server.kind == "lm_studio"
    assert said.model == ModelClaim(
        name=NAME,
        state="ready",
        context_length=8192,
        format="gguf",
        family="qwen3",
        parameter_size="8B",
        quantization="Q4_K_M",
    )
    assert said.work.facts == LoadFacts(weights_bytes=FILE_BYTES, context_length=8192, quantization="Q4_K_M")
    assert said.work.counters is None, "it does not say whether it works"


async def test_two_instances_of_one_model_are_two(fake: FakeLmStudio) -> None:
    fake.loaded = {NAME: 8192, f"{NAME}:2": 4096}
    models = (await heard(fake)).server.models or ()
    assert [(one.name, one.context_length) for one in models] == [(NAME, 8192), (f"{NAME}:2", 4096)]


async def test_a_version_before_0_4_is_listed_in_its_own_way() -> None:
    async with FakeLmStudio(older=True) as fake:
        said = await heard(fake, times=2)
        assert fake.counts["GET", "/api/v1/models"] == 1
    assert (said.model.name, said.model.context_length, said.model.quantization) == (NAME, 8192, "Q4_K_M")


async def test_what_is_installed_is_told_with_the_size_of_its_file(fake: FakeLmStudio) -> None:
    [installed] = [one for one in (await heard(fake)).samples if isinstance(one, InstalledModels)]
    assert [(one.name, one.size_bytes) for one in installed.models] == [
        (NAME, FILE_BYTES),
        ("google/gemma-3-12b", 8_000_000_000),
    ]


@pytest.mark.parametrize(("loaded", "pause"), [({NAME: 8192}, 5.0), ({}, 15.0)])
async def test_it_is_listed_seldom(fake: FakeLmStudio, loaded: dict[str, int], pause: float) -> None:
    fake.loaded = loaded
    async with Asking(fake) as asking:
        said = await asking.look()
        assert asking.source.delay(1.0) == pause
    assert said.state == ("serving" if loaded else "idle")


async def test_a_worker_that_comes_is_a_reason_to_list_at_once(fake: FakeLmStudio) -> None:
    known = [KnownRunners(frozenset())]
    async with Asking(fake, runners=lambda: known[0]) as asking:
        await asking.look()
        assert asking.source.delay(1.0) == 5.0
        known[0] = KnownRunners(frozenset({(7, 1.0)}))
        assert asking.source.delay(1.0) == 1.0


async def test_where_its_server_is_off_it_says_how_to_switch_it_on(fake: FakeLmStudio) -> None:
    del fake.routes["/api/v1/models"]
    said = await heard(fake)
    assert (said.state, said.server.health.hint) == ("idle", "switch it on with: lms server start")


async def test_a_token_that_it_wants_is_said() -> None:
    async with FakeLmStudio(key="sesame") as fake:
        async with Asking(fake, expected=KIND) as asking:
            said = await asking.look()
        let_in = await heard(fake, headers={"Authorization": "Bearer sesame"})
    assert (said.server.kind, said.state) == ("lm_studio", "forbidden")
    assert let_in.model.name == NAME


async def test_another_program_is_not_taken_for_it(fake: FakeLmStudio) -> None:
    fake.routes["/lmstudio-greeting"] = as_json({"lmstudio": "yes"})
    assert (await heard(fake)).server.kind != "lm_studio"


async def test_an_instance_is_unloaded_by_its_name(fake: FakeLmStudio) -> None:
    fake.routes["/api/v1/models/unload"] = {"instance_id": NAME}
    assert await KIND.unload(parse_endpoint(fake.url), NAME) is None
    assert fake.asked[-1] == ("POST", "/api/v1/models/unload")


@pytest.mark.parametrize(
    ("url", "line"),
    [("http://127.0.0.1:1234", "lms unload a/b"), ("http://box:1234", "lms unload a/b --host box:1234")],
)
def test_it_is_unloaded_by_the_line_of_its_own_program(url: str, line: str) -> None:
    assert KIND.stop(url, "a/b") == line


@pytest.mark.parametrize("argv", [("llmster",), ("/opt/LM Studio/lm-studio",), ("/tmp/.mount_LM/lm-studio",)])
def test_app_and_daemon_are_servers(argv: tuple[str, ...]) -> None:
    assert KIND.recognise_process(ProcessView(argv, dict)) == FoundServer("lm_studio")


def test_helpers_of_the_app_are_none() -> None:
    argv = ("/tmp/.mount_LM/lm-studio", "--type=utility", "--utility-sub-type=node.mojom.NodeService")
    assert KIND.recognise_process(ProcessView(argv, dict)) is None


WORKER = (
    "/home/u/.lmstudio/.internal/utils/node",
    "/home/u/.lmstudio/llmster/0.0.6/.bundle/lib/llmworker.js",
)


def test_a_worker_holds_the_model_whose_file_it_has_open() -> None:
    files = ("/home/u/.lmstudio/models/q/Qwen3-8B-Q4_K_M.gguf",)
    found = KIND.recognise_process(ProcessView(WORKER, dict, model_files=lambda: files))
    assert found == FoundRunner("lm_studio_worker", RunnerSettings(model_path=files[0]), is_settled=False)


def test_other_scripts_of_its_node_are_none() -> None:
    assert KIND.recognise_process(ProcessView((WORKER[0], "/x/systemresourcesworker.js"), dict)) is None


def model_file(folder: Path, name: str) -> None:
    path = folder / "qwen" / "Qwen3-8B-GGUF" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    tiny_llama().write(path)


async def test_an_installed_model_is_described_by_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lm_studio, "FOLDERS", (str(tmp_path),))
    model_file(tmp_path, "Qwen3-8B-Q4_K_M.gguf")
    model_file(tmp_path, "mmproj-Qwen3-8B.gguf")
    endpoint = parse_endpoint("http://127.0.0.1:1234")
    said = await KIND.describe(endpoint, SystemClock(), NAME, NAME)
    assert isinstance(said, ModelFacts)
    assert (said.source, said.name, said.digest) == (endpoint.url, NAME, NAME)
    model_file(tmp_path, "Qwen3-8B-Q8_0.gguf")
    assert await KIND.describe(endpoint, SystemClock(), NAME, NAME) == (
        "2 files in LM Studio's folder may be its: gpumon fit FILE tells of one"
    )


async def test_of_another_machine_nothing_is_read() -> None:
    endpoint = parse_endpoint("http://box:1234")
    assert await KIND.describe(endpoint, SystemClock(), NAME, NAME) == "LM Studio does not say"


def test_the_file_of_a_worker_is_read_as_its_server_does_not_describe_it() -> None:
    settings = RunnerSettings(model_path="/m/a.gguf")
    assert is_undescribed("lm_studio_worker", settings)
    assert is_undescribed("koboldcpp", settings)
    assert not is_undescribed("localai_backend", settings)


async def test_after_another_program_has_answered_in_its_place_it_is_known_again(fake: FakeLmStudio) -> None:
    async with Asking(fake) as asking:
        await asking.look()
        fake.answer_all = as_json({"models": "x", "data": {}})
        assert (await asking.look(after=6.0)).state == "foreign"
        fake.answer_all = None
        assert (await asking.look(after=6.0)).server.kind == "lm_studio"
