"""ik_llama.cpp, a fork of llama-server: known by its header, counted once, and its prompts left unread."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import msgspec
import pytest
from tests.collectors.llama_server.support import Url, url_of
from tests.fakes.llama_server.ik import PROMPT, FakeIkLlama

from gpumon.app.state.rates.meter import RateMeter
from gpumon.collectors.samples import ServerSample, WorkSample
from gpumon.collectors.servers.llama_server.command_line import settings_of


@pytest.fixture
async def ik() -> AsyncIterator[FakeIkLlama]:
    async with FakeIkLlama() as server:
        yield server


@pytest.fixture
async def asked(ik: FakeIkLlama) -> AsyncIterator[Url]:
    url = url_of(ik)
    yield url
    await url.source.close()


async def test_it_is_a_llama_server_that_goes_by_its_own_name(asked: Url) -> None:
    sample = await asked.listed()
    assert (sample.kind, sample.version, sample.health.state) == ("llama_server", "ik_llama.cpp", "serving")
    [claim] = sample.models or ()
    assert (claim.name, claim.state) == ("tiny", "ready")


async def test_one_that_loads_or_wants_a_key_is_known_by_its_header_alone(ik: FakeIkLlama) -> None:
    ik.loading = True
    url = url_of(ik)
    sample = await url.listed()
    assert (sample.kind, sample.health.detail) == ("llama_server", "loading its model")
    await url.source.close()
    ik.loading, ik.api_key = False, "sesame"
    url = url_of(ik)
    sample = await url.listed()
    assert (sample.kind, sample.health.state) == ("llama_server", "forbidden")
    await url.source.close()


async def test_its_health_is_not_asked_again_and_again_as_it_waits_for_a_batch(
    ik: FakeIkLlama, asked: Url
) -> None:
    await asked.run(30)
    assert ik.counts()["/health"] <= 1
    assert "/props" in ik.counts()


async def test_a_server_that_computes_a_batch_is_busy_and_not_failing(ik: FakeIkLlama, asked: Url) -> None:
    ik.simulation.start(0, 5000)
    await asked.run(2)
    ik.hanging = {"/slots", "/metrics", "/health"}
    [said] = await asked.run(1)
    assert (said.state, said.detail) == ("busy", "statistics wait behind a batch")


async def test_with_all_slots_at_work_it_is_well(ik: FakeIkLlama, asked: Url) -> None:
    for slot in range(ik.simulation.slot_count):
        ik.simulation.start(slot, 10)
        ik.simulation.decode(slot, 3)
    assert ik._bodies()["/health"]["status"] == "no slot available"
    assert (await asked.listed()).health.state == "serving"


async def test_no_word_of_a_prompt_is_kept(ik: FakeIkLlama, asked: Url) -> None:
    ik.simulation.start(0, 100)
    ik.simulation.decode(0, 5)
    samples = [sample for _ in range(3) for sample in await asked.poll()]
    assert any(isinstance(sample, WorkSample) and sample.slots for sample in samples)
    for sample in samples:
        assert PROMPT.encode() not in msgspec.json.encode(sample)
        assert PROMPT not in repr(sample)


async def test_a_slot_that_was_never_used_has_no_task(ik: FakeIkLlama, asked: Url) -> None:
    ik.metrics = False
    [said] = await asked.said()
    assert {(slot.task_id, slot.processing) for slot in said.slots or ()} == {(None, False)}


Step = Callable[[FakeIkLlama], None]
TRUTH = 29.0
"""Tokens per second of each of two requests."""


def _spell(fake: FakeIkLlama, *, cancelled: bool, pause: int) -> list[Step]:
    """Return the seconds of a while in which requests follow one another in two slots."""

    def begin(slot: int) -> Step:
        return lambda one: one.simulation.start(slot, 2000)

    def generate(one: FakeIkLlama) -> None:
        for number, slot in enumerate(one.simulation.slots):
            if slot.processing and slot.processed >= slot.prompt:
                one.simulation.decode(number, round(TRUTH))

    def read(slot: int) -> Step:
        return lambda one: one.simulation.read(slot, 2000)

    def end(slot: int) -> Step:
        return lambda one: one.end(slot, cancelled)

    steps: list[Step] = []
    for slot in (0, 1):
        steps += [begin(slot), generate, read(slot)]
    for _ in range(6):
        steps += [generate] * 5 + [end(0)] + [generate] * pause + [begin(0), generate, generate, read(0)]
    return steps


@pytest.mark.parametrize("cancelled", [False, True])
@pytest.mark.parametrize("pause", [0, 3])
@pytest.mark.parametrize("metrics", [True, False])
async def test_what_a_request_has_generated_counts_once(
    ik: FakeIkLlama, asked: Url, cancelled: bool, pause: int, metrics: bool
) -> None:
    """While a prompt is read its slot shows the tokens of the request before."""
    ik.metrics, ik.simulation.counts_cancelled = metrics, False
    meter, rates = RateMeter(), []
    for step in _spell(ik, cancelled=cancelled, pause=pause):
        step(ik)
        for said in await asked.run(1):
            meter.feed(said)
            rates.append(meter.rates.decode_tokens_per_second)
            total = meter.rates.decoded_total or 0
            assert total <= ik.simulation.generated
    told = [rate for rate in rates if rate is not None]
    assert told
    assert max(told) <= 2 * TRUTH * 1.05


async def test_a_request_that_ends_between_two_questions_counts_once(ik: FakeIkLlama, asked: Url) -> None:
    meter = RateMeter()
    ik.simulation.start(0, 10)
    ik.simulation.read(0, 10)
    answer, ends = ik._answer, iter([False, False, False, True, False, False])

    def between(path: str) -> object:
        if path == "/slots" and next(ends, False):
            ik.end(0)
        return answer(path)

    ik._answer = between  # type: ignore[method-assign, assignment]
    for _ in range(8):
        ik.simulation.decode(0, 50)
        for said in await asked.run(1):
            meter.feed(said)
            assert (meter.rates.decoded_total or 0) <= ik.simulation.generated
            assert (meter.rates.decode_tokens_per_second or 0) <= 55


FLAGS = "-ser 7,1 -rtr -fmoe -mla 3 -amb 512 -ot exps=CPU -ngl 99 -c 32768 -np 2 --port 8020 -m /m/a.gguf"


def test_its_own_flags_hide_none_of_the_others() -> None:
    settings = settings_of(["llama-server", *FLAGS.split()])
    assert settings is not None
    assert (settings.gpu_layers, settings.context_length, settings.port) == (99, 16384, 8020)
    assert settings.orders.overrides[0].pattern == "exps"
    assert settings.orders.load_mode == "none", "-rtr packs the weights anew, so no file is mapped"


async def test_how_far_a_prompt_is_read_it_does_not_tell(ik: FakeIkLlama, asked: Url) -> None:
    ik.simulation.start(0, 100)
    first, *rest = await asked.poll()
    assert isinstance(first, ServerSample)
    [said] = [sample for sample in rest if isinstance(sample, WorkSample)]
    [slot, *_] = said.slots or ()
    assert (slot.prompt_tokens, slot.prompt_tokens_processed) == (None, None)
