"""What a meter counts fills the rates of the models behind it."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from tests.fakes.samples import OLLAMA, START, claim, nvml, ollama
from tests.scene import after

from gpumon.app.insight.activity import activity
from gpumon.app.picture.pictures import Pictures
from gpumon.app.recording.lines import decode_line, encode_line
from gpumon.app.snapshot.build import build_snapshot
from gpumon.app.state.state import State
from gpumon.app.state.work import HOLD_SECONDS, rates_of
from gpumon.app.views.model_page import model_facts
from gpumon.collectors.samples import (
    MeteredModel,
    MeteredRequest,
    MeterSample,
    ProcessSample,
    RunnerProcess,
    RunnerSettings,
    ServerProcess,
    Slot,
    WorkSample,
)

METERED = "http://127.0.0.1:11435"
REQUEST = MeteredRequest(
    ended_seconds_ago=1.0, seconds=2.5, decoded_tokens=80, decode_tokens_per_second=40.0, prompt_tokens=12
)
MODEL = MeteredModel(
    name="qwen3", requests_running=2, decode_tokens_per_second=41.0, decode_rate_is_estimate=True,
    decoded_tokens_total=500,
)  # fmt: skip


def meter(at: float, *models: MeteredModel, server: str = METERED, gone: bool = False) -> MeterSample:
    return MeterSample(
        time=START + at,
        source="meter 127.0.0.1:11435",
        server=server,
        upstream=None if gone else OLLAMA,
        models=None if gone else models,
    )


LOADED = replace(ollama(1, [claim("qwen3:latest")], source=METERED), metered=True)


def rate(state: State) -> float | None:
    [model] = state.models.values()
    return rates_of(model, state).decode_tokens_per_second


def test_a_model_has_the_rate_that_its_meter_counts() -> None:
    state = after(LOADED, meter(2, MODEL)).state
    [model] = state.models.values()
    [entry] = build_snapshot(Pictures(state)).models
    assert (entry.decode_tokens_per_second, entry.rate_source, entry.rate_is_estimate) == (
        41.0,
        "meter",
        True,
    )
    assert (entry.requests_running, entry.tokens_generated_total) == (2, 500)
    assert entry.tokens_generated_is_lower_bound, "requests may go past the meter"
    assert model.history.decode.last == 41.0


def test_a_model_that_answers_through_a_meter_is_busy() -> None:
    state = after(LOADED, meter(2, MODEL)).state
    [model] = state.models.values()
    assert activity(model, state) == "busy"


def test_the_meter_of_one_server_says_nothing_of_another() -> None:
    assert rate(after(LOADED, meter(2, MODEL, server="http://box:11435")).state) is None


@pytest.mark.parametrize("later", [meter(3, gone=True), nvml(2 + HOLD_SECONDS + 1)], ids=["gone", "silent"])
def test_the_word_of_a_meter_that_no_longer_answers_does_not_stand(later: MeterSample) -> None:
    assert rate(after(LOADED, meter(2, MODEL), later).state) is None


def test_prefill_is_known_when_a_request_has_ended() -> None:
    ended = replace(REQUEST, prefill_tokens_per_second=900.0)
    later = replace(MODEL, requests_ended=1, requests=(ended,))
    state = after(LOADED, meter(2, MODEL), meter(3, later)).state
    [model] = state.models.values()
    assert model.history.prefill.last == 900.0


def test_an_answer_without_a_meter_ends_the_watch_on_it() -> None:
    state = after(LOADED).state
    assert state.metered == {METERED: None}
    assert after(LOADED, replace(LOADED, time=START + 2, metered=False)).state.metered == {}


RUNNER = RunnerProcess(
    pid=50,
    started=START,
    kind="llama_server",
    server_pid=40,
    settings=RunnerSettings(model_name="qwen3", port=4000),
)
SERVER = ServerProcess(kind="ollama", pid=40, started=START, urls=(OLLAMA,))
PROCESSES = ProcessSample(time=START, source="processes", servers=(SERVER,), runners=(RUNNER,))


def test_a_runner_is_joined_to_its_model_through_the_meter() -> None:
    state = after(PROCESSES, LOADED, meter(2, MODEL)).state
    [model] = state.models.values()
    assert model.runner is not None
    assert model.runner.pid == 50


def test_what_the_runner_itself_says_comes_first() -> None:
    slots = (Slot(slot_id=0, processing=True, task_id=1, decoded_tokens=5),)
    said = WorkSample(time=START + 3, source="runner 50", pid=50, started=START, state="ready", slots=slots)
    state = after(PROCESSES, LOADED, meter(2, MODEL), said).state
    [model] = state.models.values()
    assert rates_of(model, state).sources == ("/slots",)


def test_the_page_marks_what_is_estimated() -> None:
    state = after(LOADED, meter(2, replace(MODEL, requests=(REQUEST,)))).state
    [key] = state.models
    details = Pictures(state).details(key)
    assert details is not None
    facts = {fact.label: fact.value for fact in model_facts(details, {})}
    assert facts["decode rate"] == "~41 tok/s"
    assert facts["last metered request"] == "80 tokens in 2s, decode 40 tok/s"


def test_a_sample_survives_a_recording() -> None:
    sample = meter(2, replace(MODEL, requests=(REQUEST,)))
    assert decode_line(encode_line(sample)) == sample
