"""A load as events: how it began, whether it is a reload and why, and how it ended."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from gpumon.app.events.departures import RELOADED_WITHIN_SECONDS, is_of
from gpumon.app.events.event import HappeningKind, Said, named
from gpumon.app.insight.wording import model_id
from gpumon.app.picture.load import load_id
from gpumon.app.state.loads.endings import reload_of
from gpumon.app.state.records import FinishedLoad, Load, ModelRecord, RunnerKey, SettingChange
from gpumon.app.state.state import State
from gpumon.text import units
from gpumon.text.safe import visible


class Begun(NamedTuple):
    """How a load began, or ended."""

    kind: HappeningKind
    said: Said
    subject_id: str | None = None
    """That of the model, where it is known by that already."""


def begun(load: Load, state: State) -> Begun:
    """Return how a load began, as far as is known now."""
    name = visible(load.name)
    if (before := _before(load, state)) is None:
        return Begun("load", named(name, f"loads{_context(load)}", "loads"))
    changes = changes_of(load, state)
    asked = "a request asked for" if load.server_pid is not None else "with"
    clauses = [_clause(change, asked) for change in changes]
    ways = [f"reloads: {', '.join(clauses)}"] if clauses else ["reloads"]
    if changes and changes[0].setting == "context":
        ways.append(f"reloads for context {changes[0].after}")
    return Begun("reload", named(name, *ways), model_id(before.key))


def changes_of(load: Load, state: State) -> tuple[SettingChange, ...]:
    """Return the settings in which a load differs from the one before, of the same model."""
    if changes := reload_of(state, load).changes:
        return changes
    before = _before(load, state)
    old, new = before.claim.context_length if before else None, load.settings.context_length
    return () if old is None or new is None or old == new else (SettingChange("context", old, new),)


AGAIN = "wholly on GPU again"


def ended(load: FinishedLoad, *, recovered: bool) -> Begun | None:
    """Return how a load ended; ``None`` where an alert says it.

    ``recovered`` tells that the model spilled until it was loaded again, and does so no more.
    """
    name, took = visible(load.name), units.duration(load.total_seconds)
    if load.outcome == "loaded":
        ways = [f"ready after {took}{_context(load)}", f"ready after {took}"]
        return Begun(
            "ready", named(name, *(f"{way}, {AGAIN}" if recovered else way for way in ways), ways[1])
        )
    if load.outcome == "retried_smaller_context":
        return Begun("load_ended", named(name, "failed to load, is tried again with less context"))
    if load.outcome == "aborted":
        return Begun("load_ended", named(name, f"was no longer wanted after {took} of its load"))
    return None


def subject_of(key: RunnerKey, state: State) -> str:
    """Return the identity of what a process loads: of the model once it is claimed, else of the load."""
    runner, load = state.runners.get(key), state.loads.get(key)
    model = (runner.model if runner else None) or (load.model if load else None)
    return load_id(key) if model is None else model_id(model)


def _before(load: Load, state: State) -> ModelRecord | None:
    """Return the same model as it was loaded until a moment before, by another process."""
    return next(_earlier(load, state), None)


def _earlier(load: Load, state: State) -> Iterator[ModelRecord]:
    for model in state.models.values():
        if model.first_seen < load.started and model.runner != load.key and is_of(state, model, load):
            yield model
    for model in reversed(state.departed):
        is_near = (model.gone or 0.0) >= load.started - RELOADED_WITHIN_SECONDS
        if is_near and model.first_seen < load.started and is_of(state, model, load):
            yield model


def _clause(change: SettingChange, asked: str) -> str:
    was = "default" if change.before is None else change.before
    return f"{asked} {change.setting} {'default' if change.after is None else change.after} (was {was})"


def _context(load: Load | FinishedLoad) -> str:
    length = load.settings.context_length
    return "" if length is None else f", context {length}"
