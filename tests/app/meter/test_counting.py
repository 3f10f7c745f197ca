"""The meter's figures are the server's own where it gives them, and marked where they are counted."""

from __future__ import annotations

import pytest
from tests.app.meter.support import EVENTS, NDJSON, chat, events, lines, metering
from tests.fakes.upstream import FakeUpstream, head, saying, streaming

from gpumon.app.meter.book import MODELS_KEPT, REQUESTS_KEPT, Book, Reading, is_inference
from gpumon.collectors.samples import MeteredModel

TIMINGS = {"prompt_n": 20, "prompt_per_second": 200.0, "predicted_n": 8, "predicted_per_second": 20.0}


class Scene:
    """A book, and time that moves when told to."""

    def __init__(self) -> None:
        self.book = Book()
        self.seconds = 100.0

    def reading(self, request: bytes = b'{"model":"m"}', content_type: str = NDJSON) -> Reading:
        reading = Reading(self.book, lambda: self.seconds)
        reading.request_piece(request)
        reading.answer_begins(content_type, "")
        return reading

    def read(
        self, *pieces: bytes, request: bytes = b'{"model":"m"}', content_type: str = NDJSON
    ) -> MeteredModel:
        """Read an answer to its end, a piece every 0.1 s."""
        reading = self.reading(request, content_type)
        for piece in pieces:
            self.seconds += 0.1
            reading.answer_piece(piece)
        reading.end("finished")
        return self.model

    @property
    def model(self) -> MeteredModel:
        [model] = self.book.models(self.seconds)
        return model


@pytest.fixture
def scene() -> Scene:
    return Scene()


def delta(text: str | None, finish: str | None = None, **more: object) -> dict[str, object]:
    return {"model": "srv", "choices": [{"delta": {"content": text}, "finish_reason": finish}], **more}


def test_ollamas_final_object_settles_the_figures(scene: Scene) -> None:
    [request] = scene.read(*chat(10)).requests
    assert (request.decoded_tokens, request.prompt_tokens) == (11, 26)
    assert request.decode_tokens_per_second == pytest.approx(5.5)
    assert not request.decoded_is_estimate
    assert not request.decode_rate_is_estimate
    assert request.first_token_seconds == pytest.approx(0.1)


def test_ollamas_prefill_rate_is_unknown_as_its_count_includes_cached_tokens(scene: Scene) -> None:
    assert scene.read(*chat(3)).requests[0].prefill_tokens_per_second is None


def test_llama_servers_timings_settle_the_figures(scene: Scene) -> None:
    usage = {"prompt_tokens": 24, "completion_tokens": 8}
    stream = events(delta("a"), delta("b", "stop"), {"choices": [], "usage": usage, "timings": TIMINGS})
    [request] = scene.read(*stream, content_type=EVENTS).requests
    assert (request.prompt_tokens, request.decoded_tokens) == (24, 8)
    assert request.prefill_tokens_per_second == pytest.approx(200.0)
    assert request.decode_tokens_per_second == pytest.approx(20.0)


def test_a_stream_without_figures_is_counted_by_its_pieces_and_says_so(scene: Scene) -> None:
    stream = events(delta(None), *(delta("x") for _ in range(11)), delta(None, "stop"))
    model = scene.read(*stream, content_type=EVENTS)
    [request] = model.requests
    assert (request.decoded_tokens, request.decoded_is_estimate) == (11, True)
    assert request.decode_tokens_per_second == pytest.approx(10.0)
    assert request.decode_rate_is_estimate
    assert model.decoded_total_is_estimate


def test_usage_without_durations_gives_an_exact_count_and_an_estimated_rate(scene: Scene) -> None:
    usage = {"prompt_tokens": 5, "completion_tokens": 6}
    stream = events(*(delta("x") for _ in range(6)), {"choices": [], "usage": usage})
    [request] = scene.read(*stream, content_type=EVENTS).requests
    assert (request.decoded_tokens, request.decoded_is_estimate) == (6, False)
    assert request.decode_rate_is_estimate


def test_a_whole_answer_is_read_as_well(scene: Scene) -> None:
    whole = b"".join(lines({"model": "m", "choices": [{"text": "abc"}], "timings": TIMINGS}))
    [request] = scene.read(whole, content_type="application/json; charset=utf-8").requests
    assert (request.decoded_tokens, request.decoded_is_estimate, request.first_token_seconds) == (
        8,
        False,
        None,
    )


def test_figures_after_a_context_of_any_length_are_found(scene: Scene) -> None:
    final = {"model": "m", "response": "", "done": True, "context": list(range(200_000)), "eval_count": 7}
    whole = b"".join(lines(final))
    pieces = [whole[at : at + 65536] for at in range(0, len(whole), 65536)]
    assert scene.read(*pieces).requests[0].decoded_tokens == 7


def test_anthropics_messages_are_understood(scene: Scene) -> None:
    stream = [
        b'event: message_start\ndata: {"type":"message_start","message":{"model":"m",'
        b'"usage":{"input_tokens":9,"output_tokens":1}}}\n\n',
        b'event: content_block_delta\ndata: {"type":"content_block_delta","delta":{"text":"a"}}\n\n',
        b'event: message_delta\ndata: {"type":"message_delta","delta":{},"usage":{"output_tokens":3}}\n\n',
        b'event: message_stop\ndata: {"type":"message_stop"}\n\n',
    ]
    [request] = scene.read(*stream, content_type=EVENTS).requests
    assert (request.prompt_tokens, request.decoded_tokens) == (9, 3)


def test_openais_responses_are_understood(scene: Scene) -> None:
    stream = [
        b'data: {"type":"response.output_text.delta","delta":"a"}\n\n',
        b'data: {"type":"response.completed","response":{"model":"m",'
        b'"usage":{"input_tokens":2,"output_tokens":5}}}\n\n',
    ]
    [request] = scene.read(*stream, content_type=EVENTS).requests
    assert (request.prompt_tokens, request.decoded_tokens) == (2, 5)


def test_a_load_is_no_request_that_generates(scene: Scene) -> None:
    reading = scene.reading()
    assert scene.model.requests_running == 1
    reading.answer_piece(b'{"model":"m","response":"","done":true,"done_reason":"load"}\n')
    reading.end("finished")
    assert scene.book.models(scene.seconds) == ()


def test_the_rate_is_live_and_follows_a_stall(scene: Scene) -> None:
    reading = scene.reading()
    assert scene.model.decode_tokens_per_second is None, "nothing is generated yet"
    for piece in chat(30)[:30]:
        scene.seconds += 0.05
        reading.answer_piece(piece)
    assert scene.model.decode_tokens_per_second == pytest.approx(20.0)
    assert scene.model.decode_rate_is_estimate
    scene.seconds += 1.5
    assert scene.model.decode_tokens_per_second == pytest.approx(5.0, rel=0.1), "over 2 s"
    reading.end("finished")
    assert scene.model.decode_tokens_per_second is None


def test_the_rates_of_parallel_requests_add_up(scene: Scene) -> None:
    readings = [scene.reading(), scene.reading()]
    for piece in chat(20)[:20]:
        scene.seconds += 0.1
        for reading in readings:
            reading.answer_piece(piece)
    assert scene.model.decode_tokens_per_second == pytest.approx(20.0)
    assert (scene.model.requests_running, scene.model.decoded_tokens_total) == (2, 40)


def test_a_request_that_names_no_model_goes_by_the_answer(scene: Scene) -> None:
    assert scene.read(*chat(1), request=b'{"prompt":"x"}').name == "gemma3:4b"


def test_what_is_compressed_is_not_read(scene: Scene) -> None:
    reading = Reading(scene.book, lambda: scene.seconds)
    reading.answer_begins(NDJSON, "gzip")
    reading.answer_piece(b"".join(chat(3)))
    reading.end("finished")
    assert scene.book.models(scene.seconds) == ()


def test_the_book_is_bounded(scene: Scene) -> None:
    for number in range(MODELS_KEPT + 5):
        _read(scene, number)
    for _ in range(REQUESTS_KEPT + 5):
        _read(scene, 0)
    models = {model.name: model for model in scene.book.models(scene.seconds)}
    assert len(models) == MODELS_KEPT
    assert len(models["m0"].requests) == REQUESTS_KEPT


def _read(scene: Scene, number: int) -> None:
    reading = scene.reading(b'{"model":"m%d"}' % number)
    reading.answer_piece(b"".join(chat(1)))
    reading.end("finished")


@pytest.mark.parametrize(
    ("method", "path", "counted"),
    [
        ("POST", "/api/chat", True),
        ("POST", "/base/v1/chat/completions", True),
        ("POST", "/completion", True),
        ("POST", "/api/show", False),
        ("POST", "/api/pull", False),
        ("GET", "/api/chat", False),
    ],
)
def test_only_requests_that_have_a_model_work_are_counted(method: str, path: str, counted: bool) -> None:
    assert is_inference(method, path) is counted


async def test_the_report_holds_nothing_of_prompts_and_answers() -> None:
    answer = streaming(NDJSON, *chat(5))
    async with FakeUpstream(answer) as upstream, metering(upstream.url) as meter:
        body = {"messages": [{"role": "user", "content": "a secret"}], "model": "gemma3:4b"}
        await meter.client.post("/api/chat", json=body)
        report = await meter.client.get("/.gpumon/meter")
    assert "secret" not in report.text
    assert " w1" not in report.text
    assert report.headers["cache-control"] == "no-store"
    [model] = report.json()["models"]
    assert (model["name"], model["decoded_tokens_total"], model["requests_ended"]) == ("gemma3:4b", 6, 1)


async def test_the_report_is_not_passed_on() -> None:
    async with FakeUpstream(saying(head(content_length="0"))) as upstream, metering(upstream.url) as meter:
        reply = await meter.client.get("/.gpumon/meter")
    assert reply.json() == {"version": 1, "upstream": upstream.url}
    assert upstream.heard == []
