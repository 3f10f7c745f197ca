"""Counters are left out while they cannot have moved: the meter makes the same of it as of all of them."""

from __future__ import annotations

import json
from collections.abc import Collection, Coroutine, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.collectors.ollama.support import FakeClock
from tests.fakes.llama_server.simulation import Simulation

from gpumon.app.state.rates.figures import FinishedRequest
from gpumon.app.state.rates.meter import RateMeter
from gpumon.collectors.http.client import HttpClient
from gpumon.collectors.http.endpoint import parse_endpoint
from gpumon.collectors.samples import Said, WorkSample
from gpumon.collectors.servers.llama_server.conversation import LlamaServer
from gpumon.collectors.servers.port import Port

SLOTS = 2
_T = TypeVar("_T")


@dataclass(frozen=True)
class Step:
    """What a server does."""

    what: Literal["start", "read", "decode", "end", "cancel"]
    slot: int
    amount: int


@dataclass(frozen=True)
class Turn:
    """The time from one poll to the next."""

    seconds: float
    before: list[Step]
    """What is done before the poll."""
    meanwhile: list[Step]
    """What is done while it is answered, one step after each answer."""


requests = st.sampled_from(
    [Step(what, slot, 9) for what in ("start", "decode", "end") for slot in range(SLOTS)]
    + [Step("read", 0, 5), Step("cancel", 0, 0)]
)
something: st.SearchStrategy[list[Step]] = st.just([]) | st.lists(requests, min_size=1, max_size=5)
turns = st.builds(Turn, st.sampled_from([0.25, 1.0, 1.0, 3.0]), something, something)
histories = st.lists(turns, min_size=5, max_size=30)


def act(server: Simulation, step: Step) -> None:
    match step.what:
        case "start":
            server.start(step.slot, prompt=1 + step.amount)
        case "read":
            server.read(step.slot, step.amount)
        case "decode":
            before = server.counted_prompt
            server.decode(step.slot, step.amount)
            server.counted_prompt_seconds += 0.01 * (server.counted_prompt - before)
        case "end" | "cancel":
            before = server.counted
            server.end(step.slot, cancelled=step.what == "cancel")
            server.counted_seconds += 0.02 * (server.counted - before)


class MemoryPort(Port):
    """Answers from a simulation; after each answer the server does what is next to be done meanwhile."""

    def __init__(self, server: Simulation) -> None:
        super().__init__(HttpClient(parse_endpoint("")))
        self.asked: list[str] = []
        self.meanwhile: list[Step] = []
        self._server = server

    async def get_body(self, path: str, server_headers: Collection[str | None] = (None,)) -> bytes:
        self.asked.append(path)
        bodies: dict[str, object] = {"/slots": self._server.slots_body()}
        body = json.dumps(bodies.get(path, {})).encode()
        if path == "/metrics":
            body = self._server.metrics_body().encode()
        if self.meanwhile:
            act(self._server, self.meanwhile.pop(0))
        return body


class Run:
    """A server that works, what is asked of it, and what a meter makes of the answers."""

    def __init__(self) -> None:
        self.server = Simulation(SLOTS)
        self.port = MemoryPort(self.server)
        self.clock = FakeClock()
        self.meter, self.reference = RateMeter(), RateMeter()
        self._conversation = LlamaServer(self.port, self.clock, may_sleep=False)

    def poll(self, seconds: float) -> tuple[Sequence[FinishedRequest], Sequence[FinishedRequest]]:
        """Return the requests that end: as it is, and as it would be with counters in every answer."""
        self.clock.seconds += seconds
        said = result_of(self._conversation.ask(True))
        if said is None:
            return (), ()
        sample = sample_of(said, self.clock.seconds)
        complete = replace(sample, counters=sample.counters or self.server.counter_sample())
        return self.meter.feed(sample), self.reference.feed(complete)

    def finish(self) -> None:
        for slot in range(SLOTS):
            self.server.end(slot)
        for _ in range(3):
            self.poll(21.0)  # longer than the longest pause after a false alarm


def result_of(answer: Coroutine[object, object, _T]) -> _T:
    """Run what waits for nothing."""
    try:
        answer.send(None)
    except StopIteration as end:
        result: _T = end.value
        return result
    raise AssertionError("it waits")


def sample_of(said: Said, time: float) -> WorkSample:
    return WorkSample(
        time=time,
        source="runner 7",
        pid=7,
        started=1.0,
        state=said.state,
        slots=said.slots,
        counters=said.counters,
    )


@given(histories)
def test_rates_totals_and_finished_requests_are_those_of_all_counters(history: list[Turn]) -> None:
    run = Run()
    run.server.start(0, prompt=5)
    for turn in history:
        for step in turn.before:
            act(run.server, step)
        finished, expected = run.poll(turn.seconds)
        assert finished == expected
        assert run.meter.rates == run.reference.rates


@given(histories)
def test_what_happens_between_two_answers_is_neither_lost_nor_counted_twice(history: list[Turn]) -> None:
    run = Run()
    run.server.start(0, prompt=5)
    for turn in history:
        for step in turn.before:
            act(run.server, step)
        run.port.meanwhile = list(turn.meanwhile)
        run.poll(turn.seconds)
        assert (run.meter.rates.decoded_total or 0) <= run.server.generated
    run.finish()
    assert run.meter.rates.decoded_total == run.server.generated


def test_a_long_request_is_followed_by_its_slots_alone() -> None:
    run = Run()
    run.server.start(0, prompt=10)
    for _ in range(60):
        run.server.decode(0, 40)
        run.poll(1.0)
    assert run.port.asked.count("/metrics") <= 14
    assert run.meter.rates.decode_tokens_per_second == 40.0
