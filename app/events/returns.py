"""What comes back: memory that others gave back while a model spills, and the rate of one that is whole."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import takewhile
from typing import NamedTuple

from msgspec.structs import replace

from gpumon.app.events.entries import Entries
from gpumon.app.events.event import Said, change_words, named
from gpumon.app.events.work import Paces
from gpumon.app.insight.health import spilled_models
from gpumon.app.insight.leaving import moves_weights
from gpumon.app.insight.wording import amount, model_id
from gpumon.app.state.places import is_local
from gpumon.app.state.records import GaveBack, ModelKey, ModelRecord
from gpumon.app.state.state import State
from gpumon.text.safe import visible

LATELY_KEPT = 32
LOAD_SECONDS = 60.0
"""What came back longer ago is no news when a load is over."""
WORTH_TELLING_SHARE = 0.05
"""A smaller change of a rate is noise."""


class Back(NamedTuple):
    """Memory that came back while a model spilled."""

    key: ModelKey
    time: float
    said: Said


class Returns:
    """Finds what was given back, and what a model that spills has of it."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._last: GaveBack | None = None
        self._waiting: list[GaveBack] = []
        """Those that came back while a model that spills was not wholly loaded yet."""

    def fresh(self) -> Iterator[Back]:
        """Yield what is worth telling of what was given back since the last time."""
        given = self._state.given_back
        is_news = bool(given) and given[-1] is not self._last
        if not is_news and not self._waiting:
            return
        new = [*takewhile(lambda one: one is not self._last, reversed(given))][::-1] if is_news else []
        self._last = given[-1] if is_news else self._last
        due, self._waiting = [*self._waiting, *_by_program(new)], []
        for one in due:
            if self._is_early(one):
                self._waiting.append(one)
            else:
                yield from self._told(one)

    def _is_early(self, given: GaveBack) -> bool:
        """Return whether a model that spills is still loading: what it lacks is known when that is over."""
        loads = (model.runner in self._state.loads for model in spilled_models(self._state))
        return self._state.now - given.time < LOAD_SECONDS and any(loads)

    def _told(self, given: GaveBack) -> Iterator[Back]:
        state = self._state
        for model in spilled_models(state):
            runner = state.runner_of(model)
            is_own = given.name == model.claim.name or (runner is not None and given.pid in runner.pids)
            is_settled = model.runner is None or model.runner not in state.loads
            if is_settled and not is_own and is_local(model.key.source, state.servers):
                missing = _missing_bytes(model, state)
                if missing == 0 or given.vram_bytes * 2 >= (model.split.ram_bytes or 0):
                    yield Back(model.key, given.time, said_of_return(given, model, state, missing))


def _by_program(given: list[GaveBack]) -> list[GaveBack]:
    """Add up what one program gave back of several GPUs, or by several processes, at once."""
    sums: dict[tuple[int | str, float], GaveBack] = {}
    for one in given:
        key = (one.name or one.pid, one.time)
        before = sums.get(key)
        size = one.vram_bytes + (before.vram_bytes if before else 0)
        sums[key] = one._replace(vram_bytes=size)
    return [*sums.values()]


def _missing_bytes(model: ModelRecord, state: State) -> int | None:
    """Return what a model still lacks; 0 where it would fit if it were loaded again."""
    from gpumon.app.diagnosis.subject import subject_of  # noqa: PLC0415 - keeps the start quick
    from gpumon.app.diagnosis.takers import missing_now  # noqa: PLC0415
    from gpumon.app.insight.loaded import loaded  # noqa: PLC0415
    from gpumon.app.insight.shapes import Shapes  # noqa: PLC0415

    return missing_now(subject_of(loaded(model, state), state, Shapes().of(model, state)))


def said_of_return(given: GaveBack, model: ModelRecord, state: State, missing: int | None) -> Said:
    """Say what came back, and what that is to a model that stays where it was loaded."""
    giver, name = visible(given.name or f"process {given.pid}"), visible(model.claim.name)
    back, line = f"{giver} gave back {amount(given.vram_bytes)}", None
    if missing == 0 and not moves_weights(model, state):
        line = model.kind.stop(model.key.source, model.claim.name) or "it has to be started again"
    ways = [f"{back}; {name} still spills"]
    bare = [f"{back}; this model still spills"]
    if missing:
        ways.insert(0, f"{ways[0]}: {amount(missing)} are missing")
        bare.insert(0, f"{bare[0]}: {amount(missing)} are missing")
    elif line is not None:
        shown = visible(line, 1000)
        ways.insert(0, f"{ways[0]}: {shown}")
        ways.insert(0, f"{back}; {name} still spills, as it stays where it was loaded: {shown}")
        bare.insert(0, f"{back}; this model stays where it was loaded: {shown}")
    return Said(tuple(ways), (name, giver), tuple(bare))


class Recoveries:
    """Says of a model that is whole again how fast it has become, once that is measured."""

    def __init__(self, entries: Entries, paces: Paces) -> None:
        self._entries = entries
        self._paces = paces
        self._lately: dict[str, tuple[int, float]] = {}
        """Number and time of the event, by the model's identity."""

    def note(self, subject_id: str, number: int | None, at: float) -> None:
        """Note that a model is whole again."""
        if number is not None:
            self._lately[subject_id] = (number, at)
            if len(self._lately) > LATELY_KEPT:
                del self._lately[next(iter(self._lately))]

    def follow(self, key: ModelKey) -> None:
        """Add to the event what became of the rate of a model that has worked."""
        number, at = self._lately.get(model_id(key), (0, 0.0))
        change = self._paces.change(key, at) if number else None
        if change is None:
            return
        del self._lately[model_id(key)]
        before, after = change
        event = next((one for one in self._entries if one.number == number), None)
        if event is None or after < before * (1 + WORTH_TELLING_SHARE):
            return
        words = change_words(before, after)
        ways = [f"{way}: {words}" for way in event.said.bare]
        self._entries.revise(replace(event, said=named(event.said.names[0], *ways, *event.said.bare)))
