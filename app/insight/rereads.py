"""A prompt that is read again at each turn: whether it goes on, why, and what it costs, in words."""

from __future__ import annotations

from typing import Literal

from gpumon.app.state.rates.rereads import Losses
from gpumon.app.state.records import ModelRecord
from gpumon.app.state.state import State
from gpumon.text import units

STANDS_SECONDS = 600.0
"""So long after the latest it counts as going on: people think between two turns."""
LEAST_SECONDS = 1.0
"""A loss of less at each turn is not worth a word."""
HEAD_SHARE = 0.05
"""Of a prompt: where no more than that is the same, its head has changed."""
WINDOW_SHARE = 0.25
"""Of a prompt: where more than that is the same by the log, and was not kept, no client has changed it."""
NO_WAY_BACK = ("attention.sliding_window", "ssm.state_size", "shortconv.l_cache", "kda.head_dim")
"""Keys of a file, behind the architecture, of layers that keep the last tokens or a state alone: their
context cannot go back to where a prompt differs (llama.cpp: PR 13194)."""

RereadCause = Literal[
    "others",  # requests of others take its slot between two turns
    "head",  # the prompt changes near its beginning, or nothing of it can be kept
    "middle",  # it changes further on
    "window",  # it is the same, and the context cannot go back to where it is needed
]


def rereading(model: ModelRecord, state: State) -> Losses | None:
    """Return what reading again costs now; ``None`` where it does not go on, or costs nothing."""
    runner = state.runner_of(model)
    meter = runner.meter if runner else model.served.meter if model.served else None
    rereads = meter.prompts.rereads if meter else None
    if rereads is None or rereads.lost_at is None or state.now - rereads.lost_at > STANDS_SECONDS:
        return None
    losses = rereads.losses(state.now)
    if losses is None or not losses.is_going_on:
        return None
    return None if losses.at_most_seconds_each < LEAST_SECONDS else losses


def goes_not_back(model: ModelRecord, state: State) -> bool:
    """Return whether by its file a model has layers whose context cannot go back by itself."""
    runner = state.runner_of(model)
    read = runner.file.facts if runner and runner.file else None
    facts = model.facts or read
    return facts is not None and any(facts.geometry.get(f"{facts.architecture}.{key}") for key in NO_WAY_BACK)


def cause_of(losses: Losses) -> RereadCause:
    """Return why it is read again, as far as the lengths tell, and the log where it does."""
    if losses.others_between * 2 > losses.turns:
        return "others"
    same = losses.same_tokens if losses.common_tokens is None else losses.common_tokens
    if same - losses.same_tokens > WINDOW_SHARE * losses.prompt_tokens:
        return "window"
    return "head" if same <= HEAD_SHARE * losses.prompt_tokens else "middle"


def reread_words(label: str, losses: Losses) -> str:
    """Say what is read again, and what it costs: ``reads 18,200 tokens again at each turn, 41 s each``."""
    each = f"{label} reads {units.tokens(losses.tokens_each)} tokens again at each turn"
    if losses.seconds_each is None:
        return each
    share = losses.time_share
    part = f", {units.percent(share * 100)} of its time" if share is not None else ""
    return f"{each}, {units.duration(losses.seconds_each)} each{part}"


def cause_words(losses: Losses, *, is_windowed: bool) -> str:
    """Say why; of a model that keeps the last tokens alone, two causes look the same."""
    told = losses.common_tokens
    same, is_sure = units.tokens(losses.same_tokens if told is None else told), told is not None
    match cause_of(losses):
        case "others":
            return "other requests take its slot between two turns"
        case "middle":
            return f"the prompt changes after {same} of {units.tokens(losses.prompt_tokens)} tokens"
        case "window":
            return f"{same} tokens are the same, and its sliding window keeps too little to go back to them"
        case "head" if is_windowed and not is_sure:
            return "the head of the prompt changes, or its sliding window keeps too little to go back to"
        case "head":
            return f"the head of the prompt changes: {same} tokens are the same"
