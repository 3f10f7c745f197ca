"""What helps against a prompt that is read again at each turn, or that fills its context."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from gpumon.app.diagnosis.arithmetic import NoArithmetic
from gpumon.app.diagnosis.diagnosis import Remedy
from gpumon.app.diagnosis.remedies import commands
from gpumon.app.diagnosis.remedies.settings import computed
from gpumon.app.diagnosis.remedies.waiting import more_slots
from gpumon.app.diagnosis.subject import Subject
from gpumon.app.insight.rereads import cause_of, goes_not_back
from gpumon.app.physics.placement import largest_context
from gpumon.app.state.rates.rereads import Losses
from gpumon.text import units

GROWTH = 4
"""A context that is full is often far too small: Ollama's own default is 4,096 tokens on most cards."""
KNOWN_CLIENT = "CLAUDE_CODE_ATTRIBUTION_HEADER=0"
"""Claude Code writes a header that differs at each turn into its first message (claude-code#32636)."""


def prompt_remedies(subject: Subject) -> Iterator[Remedy]:
    """Yield what would help, the likeliest first; nothing where all is well."""
    yield from _more_context(subject)
    losses = subject.loaded.rereads
    if losses is None:
        return
    match cause_of(losses):
        case "others":
            yield from _own_slot(subject, losses)
        case "head":
            if losses.common_tokens is None and goes_not_back(subject.model, subject.state):
                yield from _keep_window(subject)
            yield _steady_head(losses)
        case "middle":
            yield _steady(losses)
        case "window":
            yield from _keep_window(subject)


def _more_context(subject: Subject) -> Iterator[Remedy]:
    """Advise a context twice as long, or as much longer as fits; nothing beyond what it was trained on."""
    arithmetic = subject.arithmetic if subject.loaded.filled else None
    if arithmetic is None or isinstance(arithmetic, NoArithmetic):
        return
    options = arithmetic.options
    free = arithmetic.usable(arithmetic.room.free_bytes)
    most = largest_context(arithmetic.geometry, options, free, options.cache_type_k, arithmetic.margin_bytes)
    tokens = min(most or 0, GROWTH * options.context_length)
    if tokens <= options.context_length:
        return
    wanted = replace(options, context_length=tokens)
    command = subject.model.kind.set_context(tokens, commands.caches(options))
    words = f"give it a context of {tokens} tokens"
    yield computed("raise_context", words, command, subject, arithmetic, wanted)


def _own_slot(subject: Subject, losses: Losses) -> Iterator[Remedy]:
    """Advise one slot more, where its place in memory can be reckoned with what it takes."""
    settings = subject.runner.process.settings if subject.runner else None
    slots = ((settings.parallel if settings else None) or 1) + 1
    words = f"give each client a slot of its own: {slots} slots"
    yield from more_slots(subject, slots, words, _saves(losses), must_fit=False)


def _keep_window(subject: Subject) -> Iterator[Remedy]:
    line = subject.model.kind.keep_window
    if line.line is not None:
        words = "keep the whole context of its sliding-window layers"
        yield Remedy("keep_window", words, line.line, "takes more memory for the context", where=line.where)


def _steady_head(losses: Losses) -> Remedy:
    words = "have the client send the same beginning with each turn; this ends it for Claude Code"
    where = "in the environment of Claude Code, if it is the client"
    return Remedy("steady_prompt", words, KNOWN_CLIENT, _saves(losses), where=where)


def _steady(losses: Losses) -> Remedy:
    same = units.tokens(losses.same_tokens if losses.common_tokens is None else losses.common_tokens)
    words = f"have the client put what changes at the end of its prompt, not after {same} tokens"
    return Remedy("steady_prompt", words, None, _saves(losses))


def _saves(losses: Losses) -> str:
    if losses.seconds_each is None:
        return f"saves {units.tokens(losses.tokens_each)} tokens at each turn"
    return f"saves about {units.duration(losses.seconds_each)} at each turn"
