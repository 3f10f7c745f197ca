"""Requests that a llama-server answers one after the other, at any time: its slots, counters, log and CPU."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.fakes.llama_server.simulation import Simulation, Work

from gpumon.collectors.samples import LogEvent


@dataclass(frozen=True)
class Request:
    """One request; the first token comes when its prompt has been read."""

    start: float
    tokens: int
    """0 for an embedding: a prompt only."""
    rate: float
    """Tokens per second between its first token and its last."""
    prompt: int = 20
    prompt_seconds: float = 0.05

    @property
    def first_token(self) -> float:
        return self.start + self.prompt_seconds

    @property
    def seconds(self) -> float:
        """From the first token to the last."""
        return max(self.tokens - 1, 0) / self.rate

    @property
    def end(self) -> float:
        return self.first_token + self.seconds

    def decoded(self, time: float) -> int:
        if time < self.first_token:
            return 0
        return min(int((time - self.first_token) * self.rate + 1e-9) + 1, self.tokens)


def spaced(count: int, tokens: int, rate: float, every: float, first: float = 0.0) -> list[Request]:
    """Return requests that begin ``every`` so many seconds."""
    return [Request(first + number * every, tokens, rate) for number in range(count)]


def in_a_row(rates: Sequence[float], tokens: int, gap: float, first: float = 0.0) -> list[Request]:
    """Return requests of which each begins a while after the one before has ended."""
    requests: list[Request] = []
    for rate in rates:
        start = requests[-1].end + gap if requests else first
        requests.append(Request(start, tokens, rate))
    return requests


@dataclass
class StreamServer(Simulation):
    """A server with one slot, as it is at a time that only goes on."""

    requests: Sequence[Request] = ()
    counts: bool = True
    """Whether it has counters."""
    leaves_decoded: bool = False
    now: float = 0.0
    told: int = field(default=0, init=False)
    """Requests whose end the log has told."""
    tasks: list[int] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        self.slot_count = 1
        super().__post_init__()

    def at(self, time: float) -> None:
        """Go on to ``time``."""
        self.now = time
        begun = [one for one in self.requests if one.start <= time]
        while len(self.tasks) < len(begun):  # each turn of its loop takes a number, as each question does
            self.next_task += 2 + (begun[len(self.tasks) - 1].tokens if self.tasks else 0)
            self.tasks.append(self.next_task)
        ended = [one for one in begun if one.end <= time]
        self.generated = sum(one.decoded(time) for one in begun)
        self.counted = sum(one.tokens for one in ended)
        self.counted_seconds = sum(one.seconds for one in ended)
        read = [one for one in begun if one.first_token <= time]
        self.counted_prompt = sum(one.prompt for one in read)
        self.counted_prompt_seconds = sum(one.prompt_seconds for one in read)
        if begun:
            self.slots = [self._slot(begun[-1], time)]

    def _slot(self, latest: Request, time: float) -> Work:
        if latest.end <= time:
            kept = latest.prompt + max(latest.tokens - 1, 0)
            left = latest.tokens if self.leaves_decoded else 0
            return Work(
                self.tasks[-1],
                kept=kept,
                prompt=latest.prompt,
                decoded=left,
                leaves_decoded=self.leaves_decoded,
            )
        decoded = latest.decoded(time)
        processed = latest.prompt if decoded else 0
        return Work(self.tasks[-1], True, latest.prompt, processed, decoded)

    def busy_seconds(self, since: float, until: float) -> float:
        """Return for how long it was at work."""
        return sum(max(min(one.end, until) - max(one.start, since), 0.0) for one in self.requests)

    def log_events(self) -> tuple[LogEvent, ...]:
        """Return the lines on requests that have ended since the last call."""
        ended = [one for one in self.requests if one.end <= self.now]
        new, self.told = list(enumerate(ended))[self.told :], len(ended)
        return tuple(
            line for number, one in new if one.tokens for line in self._lines(one, self.tasks[number])
        )

    def _lines(self, one: Request, task: int) -> tuple[LogEvent, LogEvent]:
        return (
            LogEvent(kind="request_prefill", slot=0, task=task, count=one.prompt, seconds=one.prompt_seconds),
            LogEvent(kind="request_decode", slot=0, task=task, count=one.tokens, seconds=one.seconds),
        )
