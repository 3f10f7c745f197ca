"""Image generators: what each tells of its model and of the picture under way; how its process is known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import msgspec
import pytest
from tests.collectors.ollama.support import PATIENT, FakeClock
from tests.fakes.http import Listening, text
from tests.fakes.koboldcpp import FakeKoboldCpp
from tests.fakes.pictures import (
    IN_PART,
    NAME,
    PROMPT,
    WHOLE,
    FakeComfyUi,
    FakeInvokeAi,
    FakeSdNext,
    FakeSdWebUi,
)
from tests.fakes.routes import FakeRoutes

from gpumon.collectors.http.endpoint import parse_endpoint
from gpumon.collectors.samples import ModelClaim, PictureJob, ServerSample, WorkSample
from gpumon.collectors.servers.comfyui.kind import ComfyUiKind
from gpumon.collectors.servers.registry import REGISTRY
from gpumon.collectors.servers.source import ServerSource
from gpumon.collectors.servers.talk import Asked

MIB = 1024**2


class Watching:
    """Polls one fake as a URL that somebody names."""

    def __init__(self, fake: Listening) -> None:
        self.clock = FakeClock()
        self._source = ServerSource(
            Asked(endpoint=parse_endpoint(fake.url), clock=self.clock, limits=PATIENT)
        )
        self.said: list[object] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._source.close()

    async def look(self, after: float = 5.0) -> tuple[ServerSample, WorkSample]:
        self.clock.seconds += after
        samples = await self._source.poll()
        self.said += samples
        first, work = samples[0], samples[-1]
        assert isinstance(first, ServerSample)
        assert isinstance(work, WorkSample)
        return first, work

    async def claim(self) -> ModelClaim:
        first, _ = await self.look()
        assert first.models is not None
        [claim] = first.models
        return claim

    async def job(self) -> PictureJob | None:
        return (await self.look())[1].job


async def looked(fake: Listening) -> tuple[ServerSample, WorkSample]:
    async with Watching(fake) as watching:
        return await watching.look()


async def job_of(fake: Listening) -> PictureJob | None:
    return (await looked(fake))[1].job


async def claim_of(fake: Listening) -> ModelClaim:
    async with Watching(fake) as watching:
        return await watching.claim()


# --- ComfyUI


async def test_a_comfyui_that_rests_is_a_row_of_its_own_name() -> None:
    async with FakeComfyUi() as fake:
        first, work = await looked(fake)
    assert (first.kind, first.version, first.health.state) == ("comfyui", "0.38.1", "serving")
    assert [claim.name for claim in first.models or ()] == ["ComfyUI"]
    assert work.job is None
    assert work.counters is not None
    assert work.counters.requests_processing == 0


async def test_a_job_has_the_steps_of_the_console_and_the_size_of_the_graph() -> None:
    async with FakeComfyUi() as fake, Watching(fake) as watching:
        await watching.look()
        fake.queue(batch=2)
        fake.queue("job-2")
        fake.load()
        fake.step(7)
        first, work = await watching.look()
    assert first.models is not None
    assert (first.models[0].name, first.models[0].family) == (NAME, "SDXL")
    assert work.job == PictureJob(
        job_id="job-1",
        started=watching.clock.now(),
        step=7,
        step_count=20,
        seconds_per_step=1.42,
        width=1024,
        height=1024,
        batch_size=2,
        waiting=1,
        seconds_left=18.0,
    )


async def test_it_per_second_is_told_as_seconds_per_step() -> None:
    async with FakeComfyUi() as fake:
        fake.queue()
        fake.step(3, rate="2.50it/s", left="1:00:06")
        job = await job_of(fake)
    assert job is not None
    assert job.seconds_per_step == pytest.approx(0.4)
    assert job.seconds_left == 3606.0


async def test_a_job_that_was_there_before_has_no_known_beginning() -> None:
    async with FakeComfyUi() as fake:
        fake.queue()
        job = await job_of(fake)
    assert job is not None
    assert job.started is None


async def test_the_bar_of_a_job_that_has_ended_is_not_that_of_the_next() -> None:
    async with FakeComfyUi() as fake, Watching(fake) as watching:
        fake.queue()
        fake.queue("job-2", steps=30)
        fake.step(20)
        await watching.look()
        fake.finish()
        job = await watching.job()
    assert job is not None
    assert (job.job_id, job.step, job.step_count) == ("job-2", None, 30), "the graph tells the steps in all"


async def test_no_word_of_a_prompt_is_kept() -> None:
    async with FakeComfyUi() as fake, Watching(fake) as watching:
        fake.queue()
        fake.log(f"wildcards made: {PROMPT}\n")
        await watching.look()
        fake.finish()
        await watching.look()
    assert PROMPT not in msgspec.json.encode(watching.said).decode()


@pytest.mark.parametrize(
    ("line", "on_gpu", "whole"),
    [
        pytest.param(WHOLE, 4897, 4897, id="as a whole"),
        pytest.param("loaded completely 10240.0 4897.05 True\n", 4897.05, 4897.05, id="as a whole, 2024"),
        pytest.param(IN_PART, 2790, 4897, id="in part"),
        pytest.param(
            "loaded partially;  2790.00 MB loaded, 2107.00 MB offloaded, 0.00 MB buffer reserved\n",
            *(2790, 4897),
            id="in part, usable not told",
        ),
        pytest.param("loaded partially 5300.2 2790.0 0\n", 2790, None, id="in part, 2024"),
        pytest.param("loaded in lowvram mode 1074.63\n", 1074.63, None, id="in lowvram mode"),
    ],
)
async def test_how_its_model_was_loaded(line: str, on_gpu: float, whole: float | None) -> None:
    async with FakeComfyUi() as fake:
        fake.queue()
        fake.load(line)
        first, work = await looked(fake)
    assert work.facts is not None
    assert work.facts.weights_on_gpu_bytes == pytest.approx(on_gpu * MIB, abs=1)
    assert work.facts.weights_bytes == (whole and pytest.approx(whole * MIB, abs=1))
    claim = first.models[0] if first.models else None
    assert claim is not None
    assert (claim.size_bytes is None) == (whole is None), "what is not told is not claimed"


async def test_what_reads_the_prompt_is_not_taken_for_what_draws() -> None:
    async with FakeComfyUi() as fake:
        fake.queue()
        fake.load()
        fake.log("Requested to load AutoencoderKL\n")
        fake.log("loaded completely; 900.00 MB usable, 159.56 MB loaded, full load: True\n")
        claim = await claim_of(fake)
    assert (claim.family, claim.size_bytes) == ("SDXL", 4897 * MIB)


async def test_weights_that_are_streamed_are_told_in_size_and_not_in_place() -> None:
    async with FakeComfyUi() as fake:
        fake.queue()
        fake.log("Model Flux prepared for dynamic VRAM loading. 11350MB Staged. 0 patches attached.\n")
        _, work = await looked(fake)
    assert work.facts is not None
    facts = work.facts
    assert (facts.model_type, facts.weights_bytes, facts.weights_on_gpu_bytes) == ("Flux", 11350 * MIB, None)


async def test_it_keeps_the_name_while_its_memory_stays_and_no_longer() -> None:
    async with FakeComfyUi() as fake, Watching(fake) as watching:
        fake.queue()
        fake.load()
        await watching.look()
        fake.finish()
        assert (await watching.claim()).name == NAME
        fake.torch_bytes = 0
        watching.clock.seconds += 10
        assert (await watching.claim()).name == "ComfyUI"


async def test_what_was_loaded_before_is_called_by_the_job_before() -> None:
    async with FakeComfyUi() as fake:
        fake.queue()
        fake.load()
        fake.finish()
        assert (await claim_of(fake)).name == NAME
    assert ("GET", "/history?max_items=1") in fake.asked


async def test_without_its_console_it_tells_queue_and_graph() -> None:
    async with FakeComfyUi() as fake:
        del fake.routes["/internal/logs/raw"]
        fake.queue()
        async with Watching(fake) as watching:
            await watching.look()
            job = await watching.job()
    assert job is not None
    assert (job.step, job.step_count, job.waiting) == (None, 20, 0)
    assert fake.counts["GET", "/internal/logs/raw"] == 1, "what is not there is not asked for again"


async def test_the_flag_that_keeps_weights_in_ram_is_told() -> None:
    async with FakeComfyUi() as fake:
        fake.argv = ["main.py", "--listen", "--lowvram"]
        claim = await claim_of(fake)
    assert claim.settings is not None
    assert claim.settings.offload == "--lowvram"


async def test_koboldcpp_is_not_called_a_comfyui() -> None:
    async with FakeKoboldCpp() as fake:
        fake.imitates = False
        first = (await looked(fake))[0]
    assert first.kind == "koboldcpp"


@pytest.mark.parametrize("bad", [{"exec_info": 5}, {"exec_info": {"queue_remaining": "many"}}, [7]])
async def test_nonsense_of_a_comfyui_is_said_to_be_that(bad: object) -> None:
    async with FakeComfyUi() as fake:
        fake.routes["/prompt"] = bad  # type: ignore[assignment]
        watching = ServerSource(
            Asked(endpoint=parse_endpoint(fake.url), clock=FakeClock(), limits=PATIENT),
            expected=ComfyUiKind(),
        )
        first = (await watching.poll())[0]
        await watching.close()
    assert isinstance(first, ServerSample)
    assert first.health.state in {"foreign", "nonsense"}


async def test_it_is_asked_to_free_what_it_has_loaded() -> None:
    async with FakeComfyUi() as fake:
        assert await ComfyUiKind().unload(parse_endpoint(fake.url), NAME) is None
        assert fake.asked == [("POST", "/free")]
        del fake.routes["/free"]
        assert await ComfyUiKind().unload(parse_endpoint(fake.url), NAME) is not None


def test_the_lines_that_free_memory_can_be_typed() -> None:
    lines = {
        kind.name: kind.stop("http://127.0.0.1:1", NAME) for kind in REGISTRY.known() if kind.makes_pictures
    }
    assert lines == {
        "comfyui": 'curl -X POST http://127.0.0.1:1/free -d \'{"unload_models":true,"free_memory":true}\'',
        "sdnext": "curl -X POST http://127.0.0.1:1/sdapi/v1/unload-checkpoint",
        "sd_webui": "curl -X POST http://127.0.0.1:1/sdapi/v1/unload-checkpoint",
        "invokeai": "curl -X POST http://127.0.0.1:1/api/v2/models/empty_model_cache",
    }


# --- The others


async def test_an_sd_next_tells_its_steps_and_its_checkpoint() -> None:
    async with FakeSdNext() as fake, Watching(fake) as watching:
        first, _ = await watching.look()
        fake.draw(7)
        job = await watching.job()
    assert first.kind == "sdnext"
    assert first.models is not None
    assert (first.models[0].name, first.models[0].family) == (NAME, "sdxl")
    assert job is not None
    assert (job.job_id, job.step, job.step_count, job.waiting, job.seconds_left) == ("9f1c", 7, 20, 1, 18.2)
    assert job.seconds_per_step is None, "it does not say; two looks do"


async def test_an_sd_next_without_a_model_is_called_by_its_own_name() -> None:
    async with FakeSdNext() as fake:
        fake.checkpoint = {"type": None, "class": None}
        assert (await claim_of(fake)).name == "SD.Next"


async def test_an_sd_webui_tells_what_is_chosen_while_memory_is_held_and_nothing_of_its_work() -> None:
    async with FakeSdWebUi() as fake, Watching(fake) as watching:
        first, work = await watching.look()
        assert first.kind == "sd_webui"
        assert first.models is not None
        assert first.models[0].name == NAME
        assert (work.job, work.counters) == (None, None)
        assert "decode" in (work.detail or "")
        fake.allocated_bytes = 0
        assert (await watching.claim()).name == "SD WebUI"


async def test_an_invokeai_tells_that_it_works_and_what_waits() -> None:
    async with FakeInvokeAi() as fake, Watching(fake) as watching:
        first, work = await watching.look()
        assert (first.kind, work.job) == ("invokeai", None)
        fake.running, fake.pending = 1, 3
        job = await watching.job()
    assert job == PictureJob(job_id="41", waiting=3, started=watching.clock.now())


@pytest.mark.parametrize(
    ("fake", "kind", "paths"),
    [
        (FakeSdNext(), "sdnext", ["/sdapi/v1/status"]),
        (FakeSdWebUi(), "sd_webui", ["/sdapi/v1/memory"]),
        (FakeInvokeAi(), "invokeai", ["/api/v1/queue/default/status"]),
    ],
)
async def test_one_that_wants_a_password_is_named_and_asked_rarely(
    fake: FakeRoutes, kind: str, paths: Sequence[str]
) -> None:
    fake.unauthorized = text(401, "Unauthorized")
    for path in paths:
        fake.routes[path] = fake.unauthorized
    async with fake:
        source = ServerSource(Asked(endpoint=parse_endpoint(fake.url), clock=FakeClock(), limits=PATIENT))
        first = (await source.poll())[0]
        pause = source.delay(1.0)
        await source.close()
    assert isinstance(first, ServerSample)
    assert (first.kind, first.health.state) == (kind, "forbidden")
    assert pause >= 60.0
