"""A llama-server with one model, asked by its URL alone."""

from __future__ import annotations

from itertools import pairwise

from tests.collectors.llama_server.support import Url, url_of
from tests.fakes.llama_server.server import OFF, FakeLlamaServer

from gpumon.collectors.samples import ModelClaim


async def test_its_model_is_told_from_its_answers(url: Url) -> None:
    listed = await url.listed()
    assert listed.health.state == "serving"
    assert listed.models == (ModelClaim(name="tiny", state="ready"),)
    assert listed.version == "b1-fake"


async def test_a_model_without_alias_has_the_name_of_its_file(fake: FakeLlamaServer, url: Url) -> None:
    fake.alias = "/models/llama-3-8b.gguf"
    listed = await url.listed()
    assert [model.name for model in listed.models or ()] == ["llama-3-8b.gguf"]


async def test_the_first_poll_says_what_the_model_is(url: Url) -> None:
    [said] = await url.said()
    assert said.facts is not None
    assert (said.facts.weights_bytes, said.facts.parameter_count) == (70, 7)
    assert said.facts.context_length == 4096


async def test_slots_are_read_at_every_poll_while_it_works(fake: FakeLlamaServer, url: Url) -> None:
    await url.poll()
    url.active = True
    fake.simulation.start(0, prompt=3)
    fake.simulation.decode(0, 5)
    decoded = [said.slots[0].decoded_tokens for said in await url.run(3) if said.slots]
    assert decoded == [5, 5, 5]


async def test_idling_is_one_line_in_its_log_in_ten_seconds(fake: FakeLlamaServer, url: Url) -> None:
    await url.poll()
    fake.idle_log_lines = 0
    await url.run(60)
    assert fake.idle_log_lines <= 6


async def test_a_server_far_away_is_left_alone_long_enough_to_fall_asleep(fake: FakeLlamaServer) -> None:
    fake.metrics = False
    url = url_of(fake)
    await url.poll()
    asked: list[float] = []
    for _ in range(90):
        before = fake.counts()["/slots"]
        await url.run(20, interval=20)
        if fake.counts()["/slots"] > before:
            asked.append(url.clock.seconds)
    gaps = [later - earlier for earlier, later in pairwise(asked)]
    assert max(gaps) > 300, "with --sleep-idle-seconds 300 it would never sleep"
    await url.source.close()


async def test_a_sleeping_model_is_not_woken(fake: FakeLlamaServer, url: Url) -> None:
    await url.poll()
    fake.sleeping = True
    await url.run(60, interval=4)
    assert fake.wakes == 0
    listed = await url.listed()
    assert [model.state for model in listed.models or ()] == ["asleep"]


async def test_while_it_loads_it_serves_no_model(fake: FakeLlamaServer, url: Url) -> None:
    fake.loading = True
    listed = await url.listed()
    assert (listed.health.state, listed.models) == ("serving", ())
    fake.loading = False
    assert [model.name for model in (await url.listed()).models or ()] == ["tiny"]


async def test_a_server_that_is_gone_is_not_running(fake: FakeLlamaServer, url: Url) -> None:
    await url.poll()
    await fake.refuse()
    listed = await url.listed()
    assert (listed.health.state, listed.models) == ("not_running", None)
    assert "llama-server" in (listed.health.hint or ""), "the next step is not Ollama's"


async def test_another_model_after_a_restart_is_told(fake: FakeLlamaServer, url: Url) -> None:
    await url.poll()
    await fake.refuse()
    await url.poll()
    fake.alias = "other"
    await fake.listen()
    assert [model.name for model in (await url.listed()).models or ()] == ["other"]
    [said] = await url.run(10)
    assert said.facts is None, "facts came with the poll before"


async def test_a_key_that_is_missing_is_asked_for_once_a_minute(fake: FakeLlamaServer, url: Url) -> None:
    fake.api_key = "sesame"
    listed = await url.listed()
    assert listed.health.state == "forbidden"
    assert "API key" in (listed.health.detail or "")
    assert url.source.delay(1.0) >= 60, "each refusal is a warning in its log"


async def test_a_key_in_the_headers_opens_it(fake: FakeLlamaServer) -> None:
    fake.api_key = "sesame"
    url = url_of(fake, {"Authorization": "Bearer sesame"})
    assert (await url.listed()).health.state == "serving"
    await url.source.close()


async def test_statistics_that_are_turned_off_are_no_outage(fake: FakeLlamaServer, url: Url) -> None:
    fake.metrics = False
    fake.answers["/slots"] = OFF
    [said] = await url.said()
    assert said.state == "ready"
    assert said.detail is not None, "it says why there are no slots"
    assert (await url.listed()).health.state == "serving"
