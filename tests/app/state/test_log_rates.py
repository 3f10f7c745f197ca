"""Rates from a server's log: the rung below the runner's own port."""

from __future__ import annotations

from msgspec.structs import replace
from tests.fakes.process_samples import OTHER_BLOB, answer, processes, runner
from tests.fakes.samples import claim, log, ollama
from tests.scene import after

from gpumon.app.state.records import RunnerRecord
from gpumon.app.state.state import State
from gpumon.collectors.samples import AnySample, LogEvent, ModelState

PROMPT = LogEvent(kind="request_prefill", slot=0, task=7, count=100, seconds=0.5)
ANSWER = LogEvent(kind="request_decode", slot=0, task=7, count=700, seconds=10.0)


def progress(rate: float, slot: int = 0) -> LogEvent:
    return LogEvent(kind="decode_progress", slot=slot, task=7, count=100, tokens_per_second=rate)


def mute(state: ModelState = "ready") -> tuple[AnySample, ...]:
    """Return a runner whose port has no statistics, and a log that was opened a while ago."""
    return (ollama(0, [claim()]), processes(0, runner()), replace(answer(0, state), slots=None), log(0))


def only(state: State) -> RunnerRecord:
    [record] = state.runners.values()
    return record


def test_a_finished_request_is_the_last_rate() -> None:
    [request] = only(after(*mute(), log(20, PROMPT, ANSWER)).state).requests
    assert (request.decode_tokens_per_second, request.prefill_tokens_per_second, request.decoded_tokens) == (
        69.9,
        200.0,
        700,
    ), "the first token comes of the prompt"
    assert request.source == "log"
    assert request.ended - request.started == 10.5


def test_the_lines_of_a_request_under_way_are_a_rate_for_some_seconds() -> None:
    record = only(after(*mute(), log(20, progress(40.0))).state)
    assert (record.rates.decode_tokens_per_second, record.rates.running, record.rates.sources) == (
        40.0,
        1,
        ("log",),
    )
    later = only(after(*mute(), log(20, progress(40.0)), processes(30, runner())).state)
    assert later.rates.decode_tokens_per_second is None


def test_requests_side_by_side_add_up() -> None:
    record = only(after(*mute(), log(20, progress(40.0), progress(30.0, slot=1))).state)
    assert (record.rates.decode_tokens_per_second, record.rates.running) == (70.0, 2)


def test_a_finished_request_no_longer_runs() -> None:
    record = only(after(*mute(), log(20, progress(40.0)), log(21, PROMPT, ANSWER)).state)
    assert (record.rates.decode_tokens_per_second, record.rates.decoded_total) == (None, 700)
    assert record.rates.decoded_total_is_lower_bound


def test_what_was_in_the_log_before_is_not_now() -> None:
    samples = mute()
    assert not only(after(*samples[:3], log(0, PROMPT, ANSWER)).state).requests


def test_with_two_runners_a_line_is_nobodys() -> None:
    state = after(*mute(), processes(1, runner(), runner(101, OTHER_BLOB)), log(20, PROMPT, ANSWER)).state
    assert not any(record.requests for record in state.runners.values())


def test_a_port_in_front_of_a_line_says_whose_it_is() -> None:
    other = runner(101, OTHER_BLOB)
    other = replace(other, settings=replace(other.settings, port=40002))
    state = after(*mute(), processes(1, runner(), other), log(20, replace(ANSWER, port=40002))).state
    assert [key.pid for key, record in state.runners.items() if record.requests] == [101]


def test_where_the_port_tells_the_log_adds_what_no_poll_has_seen() -> None:
    record = only(after(*mute()[:2], answer(0, processing=False), log(0), log(20, PROMPT, ANSWER)).state)
    [request] = record.requests
    assert (request.source, request.decoded_tokens) == ("log", 700)
    assert record.rates.decoded_total == 700
    assert record.rates.decode_tokens_per_second is None, "one request is no rate of now"
    assert record.rates.running == 0


def test_once_the_port_tells_it_takes_over() -> None:
    state = after(
        *mute(), log(20, progress(40.0)), answer(21, processing=False), processes(22, runner())
    ).state
    assert only(state).rates.sources == ("/slots",)


def test_a_container_whose_port_cannot_be_reached_has_the_rates_of_the_log() -> None:
    assert only(after(*mute("unreachable"), log(20, PROMPT, ANSWER)).state).requests


def test_a_rate_that_nothing_was_computed_for_is_unknown() -> None:
    [request] = only(after(*mute(), log(20, replace(ANSWER, count=0))).state).requests
    assert request.decode_tokens_per_second is None


def test_the_series_of_the_model_has_the_rate() -> None:
    state = after(*mute(), log(20, progress(40.0))).state
    [model] = state.models.values()
    assert model.runner is None or model.history.decode.last_time == state.now
