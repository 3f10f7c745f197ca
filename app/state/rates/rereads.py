"""Prompts that a server reads again though it had read them a moment ago, from requests that have ended.

A conversation, as that of a coding agent, sends all that was said so far with each turn, and its server
keeps what it has read. Where it does not, each turn begins with a prompt that is read anew. No server says
so. What it says of each request is the length of its prompt and how much of that was kept. Which of the
requests before it goes on from is told by the lengths alone: the prompt of a next turn is the prompt and the
answer of the turn before, and a little more.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Sequence
from itertools import takewhile
from statistics import median
from typing import NamedTuple

from msgspec import Struct

from gpumon.app.state.rates.figures import FinishedRequest
from gpumon.collectors.samples import LogEvent

LONG_PROMPT_TOKENS = 1000
"""Shorter prompts are read in no time, and are passed over."""
TURNS_TO_BE_SURE = 6
"""So many times in a row one prompt must go on where another ended; prompts that have nothing to do with each
other do so by chance. With ``MOST_SHARE`` it was chosen so that of 40 prompts with lengths drawn at random at
most two runs of a hundred are mistaken (docs/diagnosis.md), and of agents, alone or two in one slot, none is
missed."""
TURNS_AMONG_MANY = 9
"""The same where there are many requests that neither go on from another nor are gone on from: a batch."""
MANY_LOOSE_TURNS = 20
LOOK_BACK = 4
"""Turns of so many other conversations may lie between two of one."""
SHORTEST_ANSWER_TOKENS = 16
"""With shorter answers two prompts of one length look like two turns."""
SLACK_TOKENS = 2
"""The end of an answer may be written otherwise in the next prompt."""
GROWTH_SHARE = 0.25
"""What a turn adds is no more than that part of what there was,"""
GROWTH_TOKENS = 2048
"""or, of a long prompt, no more than that: a file that an agent has read."""
LONG_CONVERSATION_TOKENS = 8000
LOST_SHARE = 0.25
"""Of what could have been kept; a little is always read again."""
TURNS_KEPT = 400
HOUR_SECONDS = 3600.0
LATELY = 10
"""Requests with long prompts that say how it is now."""
LEAST_SECONDS = 2.0
"""Two looks are too near to each other to tell the time of a shorter request."""
LEAST_LOSSES = 4
MOST_SHARE = 0.7
TURNS_IF_TOLD = 3
"""So many are enough where the server's log says of each that its prompt begins as what its slot held."""
SAME_SHARE = 0.5
"""It does where so much of that is the same: other prompts have a few tokens of a head in common."""
TURNS_TO_EXPECT = 2
"""After so many a next one is expected: what that may hold is an estimate, and marked as one."""
COMPARED_KEPT = 64


class Conversation(Struct):
    """Turns of which each goes on where the one before ended."""

    turns: int = 0
    turns_to_be_sure: int = TURNS_TO_BE_SURE
    told: int = 0
    """Turns whose prompt begins by the server's log as what its slot held."""

    @property
    def is_sure(self) -> bool:
        """Whether it is too long for chance, or the log says so."""
        return self.turns >= self.turns_to_be_sure or self.told >= TURNS_IF_TOLD


class Turn(Struct):
    """A request with a long prompt."""

    ended: float
    slot_id: int
    prompt_tokens: int
    cached_tokens: int
    held_tokens: int
    """Prompt and answer: what the next turn could find."""
    answer_tokens: int | None
    """``None`` where it was generated between two looks."""
    seconds_a_token: float | None
    """Of its prompt; ``None`` where that is not known."""
    seconds: float
    """How long it took in all."""
    first_token_seconds: float | None
    conversation: Conversation
    kept_before: int = 0
    """What it could have found of the turn before."""
    between: int = 0
    """Requests of others in its slot since the turn before."""
    is_followed: bool = False
    """Whether a turn has gone on from it."""
    common_tokens: int | None = None
    """Its first tokens that its slot held as well, by the server's log."""

    @property
    def is_told(self) -> bool:
        """Whether the log says that it begins as what its slot held."""
        return self.common_tokens is not None and self.common_tokens >= SAME_SHARE * max(self.kept_before, 1)

    @property
    def lost_tokens(self) -> int:
        """Tokens that were read again; 0 where it is not sure, or nearly all was kept."""
        lost = self.kept_before - self.cached_tokens
        return lost if self.conversation.is_sure and lost >= LOST_SHARE * self.kept_before else 0

    @property
    def lost_seconds(self) -> float | None:
        """What that took."""
        return None if self.seconds_a_token is None else self.lost_tokens * self.seconds_a_token


class Losses(NamedTuple):
    """What reading again has cost lately."""

    turns: int
    """In the last hour, or since it is watched."""
    tokens_each: int
    """Read again, in the middle of them."""
    seconds_each: float | None
    at_most_seconds_each: float
    """That, or where it is not known how long they took."""
    time_share: float | None
    """Of the time in which requests with long prompts were at work, 0 to 1."""
    same_tokens: int
    """From the head of the prompt on, in the middle of them, were found again."""
    prompt_tokens: int
    """Of the latest."""
    others_between: int
    """Of the turns: those with requests of others in their slot meanwhile."""
    latest: float
    """When the latest ended."""
    is_going_on: bool
    """Whether most of the latest requests lose so."""
    common_tokens: int | None = None
    """From the head on, in the middle of them, were the same as before by the log; ``None`` where it does not
    say so of most."""


class Rereads:
    """Takes the requests of one model as they end."""

    def __init__(self) -> None:
        self._turns: deque[Turn] = deque(maxlen=TURNS_KEPT)
        self.lost_at: float | None = None
        """When the latest turn that lost anything ended."""
        self._short: deque[tuple[float, int]] = deque(maxlen=TURNS_KEPT)
        """When a request with a short prompt ended, and in which slot."""
        self._compared: OrderedDict[tuple[int, int], int] = OrderedDict()
        """Tokens that a prompt had in common with what a slot held, by slot and length of the prompt."""

    def hear(self, event: LogEvent) -> None:
        """Take in a line of the log that compares a prompt with what a slot holds."""
        if event.kind != "prompt_compared" or None in {event.slot, event.count, event.total}:
            return
        self._compared[event.slot or 0, event.total or 0] = event.count or 0
        if len(self._compared) > COMPARED_KEPT:
            self._compared.popitem(last=False)

    def may_go_on(self, cached_tokens: int) -> tuple[int, ...]:
        """Return the lengths that a next turn has at the least, one for each conversation under way.

        ``cached_tokens`` were kept of it: it goes on from none that held less.
        """
        recent = list(self._turns)[-LOOK_BACK:]
        ahead = (one for one in recent if not one.is_followed and one.conversation.turns >= TURNS_TO_EXPECT)
        return tuple(one.held_tokens for one in ahead if one.held_tokens >= cached_tokens - SLACK_TOKENS)

    def note(self, request: FinishedRequest) -> None:
        """Take in a request; one of which the lengths are not known says nothing."""
        lengths, cached = _lengths(request), request.cached_tokens
        if lengths is not None and lengths.prompt < LONG_PROMPT_TOKENS:
            self._short.append((request.ended, request.slot_id))
        if lengths is None or lengths.prompt < LONG_PROMPT_TOKENS or cached is None:
            return
        turn = _turn(request, lengths, cached)
        turn.common_tokens = self._compared.pop((turn.slot_id, turn.prompt_tokens), None)
        before = self._before(turn)
        if before is not None:
            self._go_on(before, turn)
        self._turns.append(turn)

    def turn_of(self, request: FinishedRequest) -> Turn | None:
        """Return what is known of one of the latest requests as a turn; ``None`` of one that says nothing."""
        of_its_end = (turn for turn in reversed(self._turns) if turn.ended <= request.ended)
        latest = takewhile(lambda turn: turn.ended == request.ended, of_its_end)
        return next((turn for turn in latest if turn.slot_id == request.slot_id), None)

    def _before(self, turn: Turn) -> Turn | None:
        """Return the turn that it goes on from: of those it may, the longest."""
        recent = list(self._turns)[-LOOK_BACK:]
        ahead = (one for one in recent if _goes_on(one, turn))
        return max(ahead, key=lambda one: one.held_tokens, default=None)

    def _go_on(self, before: Turn, turn: Turn) -> None:
        before.is_followed = True
        turn.conversation = before.conversation
        turn.conversation.turns += 1
        turn.kept_before = min(before.held_tokens, turn.prompt_tokens)
        turn.conversation.told += turn.is_told
        if self._is_among_many():
            turn.conversation.turns_to_be_sure = TURNS_AMONG_MANY
        since = [one for one in self._turns if one.ended > before.ended and one.slot_id == turn.slot_id]
        short = [ended for ended, slot in self._short if ended > before.ended and slot == turn.slot_id]
        turn.between = len(since) + len(short)
        self.lost_at = turn.ended if turn.lost_tokens else self.lost_at

    def _is_among_many(self) -> bool:
        loose = (turn for turn in self._turns if not turn.is_followed and not turn.kept_before)
        return sum(1 for _ in loose) > MANY_LOOSE_TURNS

    def losses(self, now: float) -> Losses | None:
        """Return what was read again in the last hour; ``None`` where nothing was."""
        hour = [turn for turn in self._turns if now - turn.ended <= HOUR_SECONDS]
        lost = [turn for turn in hour if turn.lost_tokens]
        if not lost:
            return None
        seconds = [one for turn in lost if (one := turn.lost_seconds) is not None]
        worked = sum(turn.seconds for turn in hour)
        return Losses(
            turns=len(lost),
            tokens_each=round(median(turn.lost_tokens for turn in lost)),
            seconds_each=median(seconds) if seconds else None,
            at_most_seconds_each=median(seconds) if seconds else median(map(_at_most_seconds, lost)),
            time_share=min(sum(seconds) / worked, 1.0) if len(seconds) == len(lost) and worked else None,
            same_tokens=round(median(turn.cached_tokens for turn in lost)),
            prompt_tokens=lost[-1].prompt_tokens,
            others_between=sum(turn.between > 0 for turn in lost),
            latest=lost[-1].ended,
            is_going_on=_goes_wrong(hour[-LATELY:]),
            common_tokens=_common(lost),
        )


class _Lengths(NamedTuple):
    prompt: int
    held: int
    answer: int | None


def _lengths(request: FinishedRequest) -> _Lengths | None:
    """Return how long it was; an answer that no look has seen is short, and counts to the prompt."""
    prompt, answer, held = request.prompt_tokens, request.decoded_tokens, request.held_tokens
    if prompt is not None and answer is not None:
        return _Lengths(prompt, prompt + answer - 1, answer)
    return None if held is None else _Lengths(held, held, None)


def _turn(request: FinishedRequest, lengths: _Lengths, cached: int) -> Turn:
    read, seconds = lengths.prompt - cached, request.ended - request.started
    is_all_prompt = lengths.answer is None and seconds >= LEAST_SECONDS
    rate = request.prefill_tokens_per_second or (read / seconds if is_all_prompt else None)
    return Turn(
        ended=request.ended,
        slot_id=request.slot_id,
        prompt_tokens=lengths.prompt,
        cached_tokens=cached,
        held_tokens=lengths.held,
        answer_tokens=lengths.answer,
        seconds_a_token=1 / rate if rate and read > 0 else None,
        seconds=seconds,
        first_token_seconds=request.first_token_seconds,
        conversation=Conversation(),
    )


def _at_most_seconds(turn: Turn) -> float:
    return turn.seconds if turn.first_token_seconds is None else turn.first_token_seconds


def _common(lost: Sequence[Turn]) -> int | None:
    known = [turn.common_tokens for turn in lost if turn.common_tokens is not None]
    return round(median(known)) if 2 * len(known) > len(lost) else None


def _goes_wrong(recent: Sequence[Turn]) -> bool:
    """Return whether most of the latest turns, and the last of them, read again what was there."""
    lost = sum(turn.lost_tokens > 0 for turn in recent)
    is_told = all(turn.is_told for turn in recent if turn.lost_tokens)
    least = TURNS_IF_TOLD if is_told else LEAST_LOSSES
    return lost >= max(least, MOST_SHARE * len(recent)) and recent[-1].lost_tokens > 0


def _goes_on(before: Turn, turn: Turn) -> bool:
    """Return whether a prompt may be the next turn of a conversation."""
    is_long = before.held_tokens > LONG_CONVERSATION_TOKENS
    answer = before.answer_tokens
    is_answered = is_long if answer is None else answer >= SHORTEST_ANSWER_TOKENS
    if before.is_followed or not is_answered:
        return False
    grown = turn.prompt_tokens - before.held_tokens
    most = GROWTH_SHARE * before.held_tokens
    if is_long:
        most = max(most, GROWTH_TOKENS)
    return -SLACK_TOKENS <= grown <= most
