"""What a poll says about a server in each state (the list of ollama.md, "must survive")."""

from __future__ import annotations

import pytest
from tests.collectors.ollama.support import BRIEF, FakeClock, MakeSource, free_port, full_backlog
from tests.fakes.http import Answer
from tests.fakes.ollama.misbehaviour import ANSWERS, MISBEHAVIOURS
from tests.fakes.ollama.server import ANY_PATH, FakeOllama

from gpumon.collectors.http.endpoint import parse_endpoint
from gpumon.collectors.http.failure import FailureKind
from gpumon.collectors.samples import ServerSample, SourceState
from gpumon.collectors.servers.ollama.classify import health_of_failure
from gpumon.collectors.servers.ollama.server import OllamaSource
from gpumon.collectors.servers.registry import DEFAULT

ENDLESS = {"hang", "hang_headers", "hang_body", "drip"}


async def polled(source: OllamaSource) -> ServerSample:
    sample = (await source.poll())[0]
    assert isinstance(sample, ServerSample)
    return sample


async def test_a_server_with_a_model_is_serving(fake: FakeOllama, make_source: MakeSource) -> None:
    fake.catalog.load("llama3:8b")
    sample = await polled(make_source(fake.url))
    assert sample.health.state == "serving"
    assert [model.name for model in sample.models or ()] == ["llama3:8b"]


async def test_a_server_without_models_is_idle(fake: FakeOllama, make_source: MakeSource) -> None:
    sample = await polled(make_source(fake.url))
    assert (sample.health.state, sample.models) == ("idle", ())


EXPECTED: dict[str, SourceState] = {
    "not_found_text": "nonsense",  # where "/" is Ollama's and the version is not old
    "not_found_json": "nonsense",
    "not_allowed": "nonsense",
    "unauthorized_json": "forbidden",
    "unauthorized_html": "forbidden",
    "forbidden_empty": "forbidden",
    "forbidden_html": "forbidden",
    "closed_request": "failing",
    "error_json": "failing",
    "error_empty": "failing",
    "error_markup": "failing",
    "bad_gateway_html": "failing",
    "unavailable_html": "failing",
    "busy_json": "failing",
    "gateway_timeout_html": "failing",
    "html_200": "nonsense",
    "html_as_json_200": "nonsense",
    "text_200": "nonsense",
    "other_json_200": "nonsense",
    "empty_200": "nonsense",
    "no_content": "nonsense",
    "truncated_json": "nonsense",
    "concatenated_json": "nonsense",
    "invalid_utf8": "nonsense",
    "deep_json": "nonsense",
    "deep_models": "nonsense",
    "nan": "nonsense",
    "infinity": "nonsense",
    "huge_integer": "serving",
    "huge_float": "serving",
    "top_list": "nonsense",
    "top_string": "nonsense",
    "top_number": "nonsense",
    "top_null": "nonsense",
    "models_null": "idle",
    "models_missing": "nonsense",
    "models_object": "nonsense",
    "models_string": "nonsense",
    "redirect_loop": "foreign",
    "not_gzip": "nonsense",
    "hang": "hanging",
    "hang_headers": "hanging",
    "hang_body": "hanging",
    "drip": "hanging",
    "reset": "failing",
    "reset_at_once": "failing",
    "short_body": "failing",
    "not_http": "foreign",
    "banner": "failing",
    "huge_body": "nonsense",
    "huge_header": "foreign",
    "gzip_bomb": "nonsense",
    "gzipped": "idle",
}


def test_every_misbehaviour_has_an_expected_state() -> None:
    assert EXPECTED.keys() == ANSWERS.keys() | MISBEHAVIOURS.keys()


@pytest.mark.parametrize(("wrong", "state"), EXPECTED.items())
async def test_ollama_that_answers_ps_wrongly(
    fake: FakeOllama, make_source: MakeSource, wrong: str, state: SourceState
) -> None:
    fake.misbehave("/api/ps", wrong)
    source = make_source(fake.url, BRIEF) if wrong in ENDLESS else make_source(fake.url)
    sample = await polled(source)
    assert sample.health.state == state
    if state not in {"serving", "idle"}:
        assert sample.models is None, "a list that could not be had is not an empty one"
        assert sample.health.detail
        assert sample.health.hint


@pytest.mark.parametrize("wrong", sorted(EXPECTED.keys() - ENDLESS))
async def test_it_recovers_at_the_next_poll(fake: FakeOllama, make_source: MakeSource, wrong: str) -> None:
    fake.catalog.load("llama3:8b")
    source = make_source(fake.url)
    fake.misbehave("/api/ps", wrong)
    await polled(source)
    fake.behave()
    sample = await polled(source)
    assert (sample.health.state, sample.version) == ("serving", "0.33.0")


@pytest.mark.parametrize(
    "wrong", ["not_found_text", "not_found_json", "not_allowed", "html_200", "other_json_200", "top_list"]
)
async def test_another_program_on_the_port_is_foreign(
    fake: FakeOllama, make_source: MakeSource, wrong: str
) -> None:
    fake.misbehave(ANY_PATH, wrong)
    sample = await polled(make_source(fake.url))
    assert sample.health.state == "foreign"
    assert sample.health.detail == f"another program answers at 127.0.0.1:{fake.port}"


async def test_who_answers_is_asked_once_while_in_doubt(fake: FakeOllama, make_source: MakeSource) -> None:
    fake.misbehave(ANY_PATH, "html_200")
    source = make_source(fake.url)
    for _ in range(5):
        await polled(source)
    assert fake.counts()["/"] == 1


async def test_a_closed_port_on_this_machine_says_how_to_start_ollama(make_source: MakeSource) -> None:
    port = free_port()
    health = (await polled(make_source(f"127.0.0.1:{port}"))).health
    assert health.state == "not_running"
    assert health.detail == f"connection refused at 127.0.0.1:{port}"
    assert health.hint == "start it with: ollama serve"


async def test_a_port_that_takes_no_connections_is_hanging(make_source: MakeSource) -> None:
    with full_backlog() as port:
        health = (await polled(make_source(f"127.0.0.1:{port}", BRIEF))).health
    assert (health.state, health.detail) == ("hanging", "not answering")


async def test_a_server_that_answers_nothing_is_not_answering(
    fake: FakeOllama, make_source: MakeSource
) -> None:
    fake.misbehave(ANY_PATH, "hang")
    health = (await polled(make_source(fake.url, BRIEF))).health
    assert (health.state, health.detail) == ("hanging", "not answering")


async def test_a_server_that_still_answers_version_is_busy(fake: FakeOllama, make_source: MakeSource) -> None:
    fake.misbehave("/api/ps", "hang")
    health = (await polled(make_source(fake.url, BRIEF))).health
    assert (health.state, health.detail) == ("hanging", "busy: loading or unloading a model")


@pytest.mark.parametrize(
    ("kind", "state", "detail"),
    [
        ("refused", "refused", "connection refused at gpu.example:11434"),
        ("connect_timeout", "unreachable", "no answer from gpu.example:11434"),
        ("no_such_host", "unreachable", "no such host: gpu.example"),
        ("no_route", "unreachable", "no route to gpu.example"),
        ("certificate", "unreachable", "certificate of gpu.example is not trusted"),
        ("ca_file", "unreachable", "the certificates to trust cannot be read"),
        ("timeout", "hanging", "not answering"),
    ],
)
def test_another_machine_is_told_apart_from_this_one(
    kind: FailureKind, state: SourceState, detail: str
) -> None:
    health = health_of_failure(kind, parse_endpoint("gpu.example"), DEFAULT)
    assert (health.state, health.detail) == (state, detail)


@pytest.mark.parametrize("version", ["0.1.37", "0.1.14-rc1", "0.1"])
async def test_an_ollama_without_ps_is_named_too_old(
    fake: FakeOllama, make_source: MakeSource, version: str
) -> None:
    fake.version = version
    fake.misbehave("/api/ps", "not_found_text")
    health = (await polled(make_source(fake.url))).health
    assert health.detail == f"Ollama {version} is too old to list loaded models"
    assert health.hint == "update Ollama to 0.1.38 or newer"


async def test_an_ollama_without_version_is_older_still(fake: FakeOllama, make_source: MakeSource) -> None:
    fake.misbehave("/api/ps", "not_found_text")
    fake.misbehave("/api/version", "not_found_text")
    health = (await polled(make_source(fake.url))).health
    assert "too old" in (health.detail or "")


@pytest.mark.parametrize("version", ["0.1.38", "0.33.0-rc2", "0.0.0", "1.0"])
async def test_a_new_ollama_that_lacks_the_path_is_not_called_old(
    fake: FakeOllama, make_source: MakeSource, version: str
) -> None:
    fake.version = version
    fake.misbehave("/api/ps", "not_found_text")
    health = (await polled(make_source(fake.url))).health
    assert health.detail == "HTTP 404 (Not Found) instead of a list of models"


async def test_an_empty_403_points_at_the_host_header(fake: FakeOllama, make_source: MakeSource) -> None:
    fake.misbehave("/api/ps", "forbidden_empty")
    health = (await polled(make_source(fake.url))).health
    assert "Host" in (health.detail or "")
    assert "--header 'Host: localhost:11434'" in (health.hint or "")


async def test_ollamas_own_error_is_quoted_on_one_line(fake: FakeOllama, make_source: MakeSource) -> None:
    fake.misbehave("/api/ps", "error_markup")
    health = (await polled(make_source(fake.url))).health
    assert health.detail == "HTTP 500: [bold]\x1b[31mred second line"


async def test_a_long_error_is_cut(fake: FakeOllama, make_source: MakeSource) -> None:
    fake.misbehave("/api/ps", Answer(500, b'{"error":"' + b"x" * 100_000 + b'"}'))
    health = (await polled(make_source(fake.url))).health
    assert len(health.detail or "") < 250


async def test_a_proxys_error_page_is_said_to_be_one(fake: FakeOllama, make_source: MakeSource) -> None:
    fake.misbehave("/api/ps", "bad_gateway_html")
    health = (await polled(make_source(fake.url))).health
    assert health.detail == "HTTP 502 (Bad Gateway), from a proxy"


async def test_a_status_without_a_name_is_shown_as_a_number(
    fake: FakeOllama, make_source: MakeSource
) -> None:
    fake.misbehave("/api/ps", Answer(599, b""))
    assert (await polled(make_source(fake.url))).health.detail == "HTTP 599"


@pytest.mark.parametrize(
    ("location", "detail"),
    [
        ("https://user:pw@other.example/x?token=t", "redirects to https://other.example"),
        ("/login", "redirects"),
        ("http://[", "redirects"),
    ],
)
async def test_a_redirect_is_named_by_its_origin_alone(
    fake: FakeOllama, make_source: MakeSource, location: str, detail: str
) -> None:
    fake.misbehave("/api/ps", Answer(302, b"", None, {"Location": location}))
    health = (await polled(make_source(fake.url))).health
    assert (health.detail or "").endswith(detail)


async def test_no_secret_gets_into_a_sample(fake: FakeOllama, make_source: MakeSource) -> None:
    fake.misbehave("/api/ps", Answer(500, b'{"error":"bad token hunter2 and Basic dXNlcjpodW50ZXIy"}'))
    source = make_source(f"http://user:hunter2@127.0.0.1:{fake.port}", headers={"X-Key": "sesame"})
    text = repr(await source.poll()) + source.name
    assert not any(secret in text for secret in ("hunter2", "dXNlcjpodW50ZXIy", "sesame"))
    assert "***" in text


async def test_a_row_that_is_not_understood_costs_only_itself(
    fake: FakeOllama, make_source: MakeSource
) -> None:
    fake.catalog.raw_ps_rows = [{"size": 5}, None]
    fake.catalog.load("llama3:8b")
    sample = await polled(make_source(fake.url))
    assert (sample.health.state, sample.rejected_rows) == ("serving", 2)
    assert sample.health.detail == "2 models could not be understood"


async def test_a_list_without_one_good_row_is_nonsense(fake: FakeOllama, make_source: MakeSource) -> None:
    fake.catalog.raw_ps_rows = [{"size": 5}]
    sample = await polled(make_source(fake.url))
    assert (sample.health.state, sample.models) == ("nonsense", None)
    assert sample.health.detail == "none of 1 models could be understood"


async def test_a_thousand_models_are_listed(fake: FakeOllama, make_source: MakeSource) -> None:
    for number in range(1000):
        fake.catalog.load(f"model:{number}")
    assert len((await polled(make_source(fake.url))).models or ()) == 1000


@pytest.mark.parametrize("skew", [0.0, 3600.0, -86400.0])
async def test_the_servers_clock_is_compared_with_ours(
    fake: FakeOllama, make_source: MakeSource, clock: FakeClock, skew: float
) -> None:
    fake.wall_time = lambda: clock.now() + skew
    offset = (await polled(make_source(fake.url))).clock_offset_seconds
    assert offset == pytest.approx(skew, abs=0.5)


@pytest.mark.parametrize("date", ["nonsense", "Mon, 99 Jan 2026 00:00:00 GMT", ""])
async def test_a_date_that_cannot_be_read_gives_no_offset(
    fake: FakeOllama, make_source: MakeSource, date: str
) -> None:
    fake.misbehave("/api/ps", Answer(200, b'{"models":[]}', headers={"Date": date}))
    assert (await polled(make_source(fake.url))).clock_offset_seconds is None


@pytest.mark.parametrize(
    ("version", "size_vram"),
    [("0.1.38", 0), ("0.1.41", 0), ("0.1.42", None), ("0.33.0", None), ("0.0.0", None)],
)
async def test_up_to_0_1_41_a_size_in_vram_that_is_left_out_is_0(
    fake: FakeOllama, make_source: MakeSource, version: str, size_vram: int | None
) -> None:
    fake.version = version
    row = b'{"models":[{"name":"a","model":"a","size":1000,"digest":"d"}]}'
    fake.misbehave("/api/ps", Answer(body=row))
    sample = await polled(make_source(fake.url))
    assert [(model.size_bytes, model.size_vram_bytes) for model in sample.models or ()] == [(1000, size_vram)]
