"""Requests too short for the polls, by all that is asked and told: what is said of a model meanwhile."""

from __future__ import annotations

import json
from collections.abc import Collection, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.collectors.ollama.support import FakeClock
from tests.fakes.llama_server.stream import Request, StreamServer, in_a_row, spaced
from tests.fakes.process_samples import STARTED, answer, holding, processes, runner
from tests.fakes.samples import START, claim, gpu, nvml, ollama

from gpumon.app.alerts.book import AlertBook
from gpumon.app.alerts.limits import Limits
from gpumon.app.insight.activity import activity
from gpumon.app.monitor import Store
from gpumon.app.picture.model import SHORT_NOTE
from gpumon.app.picture.pictures import Pictures
from gpumon.app.session.whom import seems_busy
from gpumon.app.state.records import ModelRecord
from gpumon.app.state.work import rates_of
from gpumon.collectors.http.client import HttpClient
from gpumon.collectors.http.endpoint import parse_endpoint
from gpumon.collectors.samples import LogSample, SourceHealth
from gpumon.collectors.servers.conversation import work_sample
from gpumon.collectors.servers.llama_server.conversation import LlamaServer
from gpumon.collectors.servers.port import NotServedError, Port

PID = 100
TICK_SECONDS = 0.05
_T = TypeVar("_T")


class StreamPort(Port):
    """Answers from a server; each question takes a task number, and writes a line while nothing runs."""

    def __init__(self, server: StreamServer) -> None:
        super().__init__(HttpClient(parse_endpoint("")))
        self.idle_lines = 0
        self._server = server

    async def get_body(self, path: str, server_headers: Collection[str | None] = (None,)) -> bytes:
        if path == "/metrics" and not self._server.counts:
            raise NotServedError("off")
        if path in {"/slots", "/metrics"}:
            self._server.next_task += 1
            self.idle_lines += not self._server.working
        if path == "/metrics":
            return self._server.metrics_body().encode()
        return json.dumps(self._server.slots_body() if path == "/slots" else {}).encode()


def result_of(answer: Coroutine[object, object, _T]) -> _T:
    """Run what waits for nothing."""
    try:
        answer.send(None)
    except StopIteration as end:
        result: _T = end.value
        return result
    raise AssertionError("it waits")


@dataclass(frozen=True)
class Frame:
    """What is shown at a time, and the truth."""

    time: float
    activity: str | None
    rate: float | None
    works: bool


@dataclass
class Watch:
    """A loaded model on an Ollama, watched by turns as a live run does it."""

    requests: Sequence[Request]
    counts: bool = False
    logs: bool = False
    interval: float = 1.0
    phases: tuple[float, float, float] = (0.1, 0.45, 0.8)
    """When in each interval the processes, the runner and the log are looked at."""
    leaves_decoded: bool = False
    noise_percent: float = 0.0
    """What the process uses of the CPU besides."""
    frames: list[Frame] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.server = StreamServer(
            requests=self.requests, counts=self.counts, leaves_decoded=self.leaves_decoded
        )
        self.port = StreamPort(self.server)
        self.store, self.clock = Store(), FakeClock()
        self._talk = LlamaServer(self.port, self.clock, may_sleep=False)
        self._looked_at = 0.0

        self._turns = [0.0, 0.0, 0.0]
        self._ticks = 0

    def run(self, seconds: float) -> Watch:
        """Go on for so long."""
        actions = (self._look, self._ask, self._read_log)
        turns = self._turns
        for tick in range(self._ticks, self._ticks + round(seconds / TICK_SECONDS)):
            now = tick * TICK_SECONDS
            self.server.at(now)
            self.clock.seconds = START + now
            for index, (phase, act) in enumerate(zip(self.phases, actions, strict=True)):
                if now >= turns[index] + phase * self.interval:
                    turns[index] += self.interval
                    act(now)
            if tick % 5 == 0:
                self._draw(now)
        self._ticks += round(seconds / TICK_SECONDS)
        return self

    @property
    def total(self) -> int:
        return rates_of(self.model, self.store.state).decoded_total or 0

    def shown_rates(self, since: float = 0.0) -> list[tuple[float, float]]:
        return [(one.time, one.rate) for one in self.frames if one.rate is not None and one.time >= since]

    def idle_while_computing(self, since: float) -> list[float]:
        return [one.time for one in self.frames if one.time >= since and one.works and one.activity == "idle"]

    @property
    def model(self) -> ModelRecord:
        [model] = self.store.state.models.values()
        return model

    def _look(self, now: float) -> None:
        seconds = now - self._looked_at
        busy = 100 * self.server.busy_seconds(self._looked_at, now) / seconds if seconds else None
        self._looked_at = now
        percent = None if busy is None else busy + self.noise_percent
        self.store.apply(ollama(now, [claim()]))
        self.store.apply(processes(now, runner(PID, cpu_percent=percent)))

    def _ask(self, now: float) -> None:
        said = result_of(self._talk.ask(seems_busy(self.store.state, PID)))
        if said is not None:
            process = (PID, STARTED, 40001)
            self.store.apply(work_sample(said, START + now, f"runner {PID}", process=process))

    def _read_log(self, now: float) -> None:
        events = self.server.log_events()
        if self.logs:
            health = SourceHealth(state="serving")
            self.store.apply(LogSample(time=START + now, source="log /l", health=health, events=events))

    def _draw(self, now: float) -> None:
        state = self.store.state
        if not state.models or now < 1:
            return
        state.now = START + now
        rate = rates_of(self.model, state).decode_tokens_per_second
        self.frames.append(Frame(now, activity(self.model, state), rate, self.server.working))


TOLERANCE = 0.1
INFORMED = pytest.mark.parametrize(("counts", "logs"), [(True, False), (False, True), (True, True)])
EDITOR = spaced(23, tokens=12, rate=17.0, every=2.0, first=5.0)
AGENT = spaced(13, tokens=30, rate=38.0, every=1.5, first=5.0)
ROW = in_a_row((15.5, 19.0, 16.0, 18.0, 17.0), tokens=25, gap=0.3, first=5.0)


def is_right(watch: Watch, shown: tuple[float, float]) -> bool:
    """Whether a shown rate is that of the requests of the last seconds, to a tenth."""
    time, rate = shown
    lately = [one.rate for one in watch.requests if one.start <= time and one.end >= time - 7]
    return min(lately) * (1 - TOLERANCE) <= rate <= max(lately) * (1 + TOLERANCE)


@INFORMED
@pytest.mark.parametrize("requests", [EDITOR, AGENT], ids=["12 tokens every 2 s", "30 tokens every 1.5 s"])
def test_short_requests_have_a_rate_and_all_their_tokens(
    requests: list[Request], counts: bool, logs: bool
) -> None:
    watch = Watch(requests, counts, logs).run(requests[-1].end + 4)
    assert watch.total == watch.server.generated
    shown = watch.shown_rates()
    assert all(is_right(watch, one) for one in shown), shown
    assert len(shown) >= 0.75 * sum(one.time >= requests[2].end for one in watch.frames)


@pytest.mark.parametrize("counts", [True, False])
@pytest.mark.parametrize("requests", [EDITOR, AGENT], ids=["12 tokens every 2 s", "30 tokens every 1.5 s"])
def test_a_model_that_answers_short_requests_is_never_idle_meanwhile(
    requests: list[Request], counts: bool
) -> None:
    watch = Watch(requests, counts).run(requests[-1].end)
    assert watch.idle_while_computing(since=requests[2].end) == []


@pytest.mark.parametrize("requests", [EDITOR, AGENT], ids=["12 tokens every 2 s", "30 tokens every 1.5 s"])
@pytest.mark.parametrize("leaves_decoded", [True, False])
def test_without_counters_and_log_what_is_told_is_true(requests: list[Request], leaves_decoded: bool) -> None:
    watch = Watch(requests, leaves_decoded=leaves_decoded).run(requests[-1].end)
    rates, truth = rates_of(watch.model, watch.store.state), watch.server.generated
    assert rates.decoded_total_is_lower_bound
    assert (0.8 * truth if leaves_decoded else 0) <= watch.total <= truth
    assert rates.unmeasured_requests is not None
    assert len(requests) / 2 <= rates.unmeasured_requests <= len(requests)


def test_what_an_old_build_leaves_and_the_log_tells_is_counted_once() -> None:
    watch = Watch(EDITOR, logs=True, leaves_decoded=True).run(EDITOR[-1].end + 4)
    assert watch.total == watch.server.generated


def test_counters_are_not_added_to_what_an_old_build_leaves() -> None:
    watch = Watch(EDITOR, counts=True, leaves_decoded=True).run(EDITOR[-1].end + 4)
    assert watch.total == watch.server.generated


def test_a_row_says_why_there_is_no_rate_while_there_is_none() -> None:
    watch = Watch(EDITOR)
    said = []
    for _ in range(40):
        watch.run(1)
        if watch.store.state.models:
            notes = Pictures(watch.store.state, AlertBook(Limits())).models()[0].notes
            said += [note for note in notes if note.startswith(SHORT_NOTE)]
    assert set(said) == {f"{SHORT_NOTE}: its log would tell, or gpumon meter"}
    rated = Watch(EDITOR, counts=True).run(40)
    [model] = Pictures(rated.store.state, AlertBook(Limits())).models()
    assert not any(SHORT_NOTE in note for note in model.notes)


@pytest.mark.parametrize(
    ("after", "utilization", "others", "doing"),
    [(1.0, 20, {}, "busy"), (0.9, 90, {}, "idle"), (1.0, 19, {}, "idle"), (1.0, 90, {7: 1.0}, "idle")],
)
def test_a_gpu_that_works_for_it_alone_after_it_said_idle_tells_of_work(
    after: float, utilization: int, others: dict[int, float], doing: str
) -> None:
    store = Store()
    for sample in (
        ollama(0, [claim(gpu_gib=9.0)]),
        processes(0, runner(PID, cpu_percent=0.0)),
        answer(1.0, "ready", processing=False),
        nvml(1.0 + after, holding(gpu(utilization=utilization), {PID: 9.0} | others)),
    ):
        store.apply(sample)
    [model] = store.state.models.values()
    assert activity(model, store.state) == doing


EMBEDDINGS = [Request(5.0 + 0.8 * number, 0, 1.0, prompt=181, prompt_seconds=0.5) for number in range(20)]


@pytest.mark.parametrize("counts", [True, False])
@pytest.mark.parametrize("interval", [0.25, 1.0])
def test_embeddings_are_work_and_have_a_rate_where_prompts_are_counted(counts: bool, interval: float) -> None:
    watch = Watch(EMBEDDINGS, counts, interval=interval).run(EMBEDDINGS[-1].end)
    assert watch.idle_while_computing(since=EMBEDDINGS[3].end) == []
    prefill = rates_of(watch.model, watch.store.state).prefill_tokens_per_second
    assert prefill == (pytest.approx(362.0) if counts else None)


@INFORMED
@pytest.mark.parametrize("interval", [0.25, 1.0])
def test_the_time_between_two_requests_is_no_part_of_their_rates(
    interval: float, counts: bool, logs: bool
) -> None:
    watch = Watch(ROW, counts, logs, interval).run(ROW[-1].end + 3)
    assert watch.total == 125
    shown = watch.shown_rates()
    assert shown
    assert all(is_right(watch, one) for one in shown), shown


@pytest.mark.parametrize("logs", [True, False])
def test_a_request_soon_after_a_load_is_seen_from_its_start(logs: bool) -> None:
    watch = Watch([Request(3.0, 94, 17.0)], logs=logs).run(12)
    assert watch.total == 94
    assert [one.time for one in watch.frames if one.works and one.activity == "idle" and one.time > 4.5] == []


def test_what_the_log_told_before_the_port_did_stays_counted() -> None:
    first = Watch(ROW, logs=True, phases=(0.5, 0.0, 0.0)).run(ROW[-1].end + 3)
    assert first.total == 125


def test_after_the_last_request_it_is_idle_within_five_seconds_and_left_alone() -> None:
    watch = Watch(EDITOR).run(EDITOR[-1].end + 5.3)
    assert watch.frames[-1].activity == "idle"
    assert watch.frames[-1].rate is None
    lines = watch.port.idle_lines
    watch.run(120)
    assert watch.port.idle_lines == lines


def test_one_request_that_has_ended_is_not_awaited_again() -> None:
    watch = Watch([Request(5.0, 90, 30.0)], counts=True).run(11)
    assert {one.activity for one in watch.frames if one.time > 9.5} == {"idle"}


def test_what_else_uses_the_processor_costs_six_lines_a_minute_at_most() -> None:
    watch = Watch([], noise_percent=50.0).run(60)
    assert watch.port.idle_lines <= 1 + 6, "that after the load, and the false alarms"


short_streams = st.lists(
    st.tuples(st.integers(12, 60), st.floats(8, 60), st.floats(0.1, 2.0)), min_size=4, max_size=8
)
TEN_COUNTS = [(16, 36.25, 0.162109375), *[(12, 8.0, 1.0)] * 3]
"""Two looks in 0.25 s see 10 tokens where 9.06 were generated: a rate too high by more than a tenth."""
phases = st.tuples(st.floats(0, 0.9), st.floats(0, 0.9), st.floats(0, 0.9))


def stream(drawn: Sequence[tuple[int, float, float]]) -> list[Request]:
    requests: list[Request] = []
    for tokens, rate, gap in drawn:
        requests.append(Request((requests[-1].end if requests else 4.0) + gap, tokens, rate))
    return requests


@settings(max_examples=25, deadline=None)
@given(short_streams, phases, st.sampled_from([0.25, 0.5, 1.0]), st.booleans(), st.booleans())
@example(TEN_COUNTS, (0, 0.25, 0), 0.25, True, True)
def test_of_any_stream_of_requests_every_token_is_counted_and_no_rate_is_wrong(
    drawn: list[tuple[int, float, float]],
    phases: tuple[float, float, float],
    interval: float,
    counts: bool,
    logs: bool,
) -> None:
    watch = Watch(stream(drawn), counts, logs or not counts, interval, phases)
    watch.run(watch.requests[-1].end + 5)
    truth = watch.server.generated
    assert 0.9 * truth <= watch.total <= truth
    wrong = [one for one in watch.shown_rates() if not is_right(watch, one)]
    assert not wrong


@settings(max_examples=25, deadline=None)
@given(short_streams, phases, st.sampled_from([0.25, 0.5, 1.0]), st.booleans())
def test_in_any_stream_of_short_requests_it_is_not_idle_while_it_computes(
    drawn: list[tuple[int, float, float]], phases: tuple[float, float, float], interval: float, counts: bool
) -> None:
    short = [(max(min(tokens, int(3 * rate)), 12), rate, gap) for tokens, rate, gap in drawn]
    watch = Watch(stream(short), counts, not counts, interval, phases)
    watch.run(watch.requests[-1].end)
    assert watch.idle_while_computing(since=watch.requests[2].end + 2 * interval) == []
