"""How far a prompt is read that a server works on, of how much, and how long that will take still.

No server says how long a prompt is before it is read. What is known: what the log says, where it does; else
what the turn before of its conversation held, as the least that it may have. So it is an estimate.
"""

from __future__ import annotations

from bisect import bisect
from collections import OrderedDict
from collections.abc import Sequence
from itertools import pairwise

from msgspec import Struct
from msgspec.structs import replace

from gpumon.app.state.rates.figures import FinishedRequest, PromptProgress, Request, SlotRates
from gpumon.app.state.rates.requests import ReadSoFar, Task
from gpumon.app.state.rates.rereads import Rereads
from gpumon.collectors.samples import LogEvent, Slot

SHORTEST_PROMPT_TOKENS = 512
"""Shorter prompts are read at whatever rate the start of a batch has."""
MOST_CACHED_SHARE = 0.1
"""The rate of a prompt of which more was kept is that of its end."""
WEIGHED = 5
"""A rate counts as much as the mean of so many at the most."""
TELLING_SECONDS = 2.0
"""From here on what it has taken so far tells how fast this one is read."""
MOST_OFF = 2.0
"""Taken to be so much faster or slower than those before at the most."""
PROMPTS_KEPT = 64


class _Point(Struct):
    """Prompts of about one length."""

    tokens: float
    seconds: float
    count: int = 1


class PrefillCurve:
    """How long prompts take by their length: one point for each power of two, from requests that ended."""

    def __init__(self) -> None:
        self._points: dict[int, _Point] = {}

    def note(self, request: FinishedRequest) -> None:
        """Take in a request; one of which much was kept, or whose rate is not known, says nothing."""
        tokens, rate = request.prompt_tokens or request.held_tokens, request.prefill_tokens_per_second
        if tokens is None or tokens < SHORTEST_PROMPT_TOKENS or not rate:
            return
        if (request.cached_tokens or 0) > MOST_CACHED_SHARE * tokens:
            return
        point = self._points.setdefault(tokens.bit_length(), _Point(tokens, tokens / rate, 0))
        point.count = min(point.count + 1, WEIGHED)
        point.tokens += (tokens - point.tokens) / point.count
        point.seconds += (tokens / rate - point.seconds) / point.count

    def seconds(self, tokens: float) -> float | None:
        """Return about how long a prompt of so many tokens takes; ``None`` where none was read so far.

        Between two lengths the time is drawn straight; beyond them the rate is that of the nearest.
        """
        points = sorted((point.tokens, point.seconds) for point in self._points.values())
        if not points:
            return None
        place = bisect(points, (tokens, float("inf")))
        if place in {0, len(points)}:
            known, took = points[0] if place == 0 else points[-1]
            return took * tokens / known
        (below, took_below), (above, took_above) = points[place - 1], points[place]
        return took_below + (took_above - took_below) * (tokens - below) / (above - below)

    @property
    def is_sound(self) -> bool:
        """Whether longer prompts take longer by it."""
        points = sorted((point.tokens, point.seconds) for point in self._points.values())
        return all(before[1] < after[1] for before, after in pairwise(points))


class Prefills:
    """Knows of one model how long its prompts took, and what its log says of those under way."""

    def __init__(self) -> None:
        self.curve = PrefillCurve()
        self._told: OrderedDict[Request, int] = OrderedDict()
        """Length of the prompt, by the log."""
        self._compared: dict[int, int] = {}
        """The same by slot, of the latest prompt that was compared with what a slot holds."""

    def note(self, request: FinishedRequest) -> None:
        """Take in a request that has ended: what was said of its prompt says nothing of the next one."""
        self.curve.note(request)
        told = self._compared.get(request.slot_id)
        if told is not None and told in {request.prompt_tokens, request.held_tokens}:
            del self._compared[request.slot_id]

    def hear(self, event: LogEvent) -> None:
        """Take in a line of the log that tells of a prompt."""
        if event.slot is None or event.count is None:
            return
        if event.kind == "prompt_compared" and event.total:
            self._compared[event.slot % PROMPTS_KEPT] = event.total
        elif event.kind == "prefill_progress" and event.task is not None and event.fraction:
            self._told[Request(event.slot, event.task)] = round(event.count / event.fraction)
            if len(self._told) > PROMPTS_KEPT:
                self._told.popitem(last=False)

    def progress(self, now: ReadSoFar, turns: Sequence[int]) -> PromptProgress | None:
        """Return how far a prompt is read; ``turns`` are the lengths from which it may go on."""
        done = now.done
        if done is None:
            return None
        expected = self._expected(now.slot, done, turns)
        left = None if expected is None else self._seconds_left(now, done, expected)
        return PromptProgress(done_tokens=done, expected_tokens=expected, seconds_left=left)

    def _expected(self, slot: Slot, done: int, turns: Sequence[int]) -> int | None:
        """Return about how long the prompt is: by the log, else the least that a next turn may have."""
        least = max(done, slot.prompt_tokens or 0)
        told = self._told.get(Request(slot.slot_id, slot.task_id)) or self._compared.get(slot.slot_id)
        if told is not None and told >= least:
            return told
        return min((one for one in turns if one > least), default=None)

    def _seconds_left(self, now: ReadSoFar, done: int, expected: int) -> float | None:
        """Return how long the rest takes: by those before, faster or slower as this one is so far."""
        curve = self.curve
        whole, begun, kept = curve.seconds(expected), curve.seconds(done), curve.seconds(now.cached)
        if whole is None or begun is None or kept is None or not curve.is_sound or whole <= begun:
            return (expected - done) / now.tokens_per_second if now.tokens_per_second else None
        pace = 1.0
        if now.seconds is not None and now.seconds >= TELLING_SECONDS and begun > kept:
            pace = min(max(now.seconds / (begun - kept), 1 / MOST_OFF), MOST_OFF)
        return (whole - begun) * pace


class PromptTrack:
    """Takes the requests of one model as they end, and what its server's log says of them."""

    def __init__(self) -> None:
        self.rereads = Rereads()
        self._prefills = Prefills()
        self._cached: dict[int, tuple[Request, int | None]] = {}
        """What the latest request of each slot found there."""

    def hear(self, event: LogEvent) -> None:
        """Take in a line of the log."""
        self._prefills.hear(event)
        self.rereads.hear(event)

    def note(self, request: FinishedRequest) -> None:
        """Take in a request that has ended."""
        self.rereads.note(request)
        self._prefills.note(request)
        key = Request(request.slot_id, request.task_id)
        self._cached[request.slot_id] = (key, request.cached_tokens)

    def rates_of(self, task: Task) -> SlotRates:
        """Return what a request does now, with how far its prompt is while that is read."""
        reading = task.reading
        if reading is None:
            return task.rates()
        turns = self.rereads.may_go_on(reading.cached)
        return replace(task.rates(), prompt=self._prefills.progress(reading, turns))

    def cached_of(self, slot: Slot) -> int | None:
        """Return what the latest request of a slot found there; a slot that rests does not say so itself."""
        if slot.processing:
            return slot.prompt_tokens_cached
        request, kept = self._cached.get(slot.slot_id, (None, None))
        return kept if request == Request(slot.slot_id, slot.task_id) else None
