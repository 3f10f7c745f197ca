"""What makes one snapshot news after another: a state that changed, or figures that moved for long enough.

Documented in docs/snapshot.md.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator

from gpumon.app.snapshot.schema import GpuEntry, ModelEntry, Snapshot, SourceEntry
from gpumon.collectors.samples import HEALTHY_STATES

FIGURES_SECONDS = 10.0
"""Figures that moved make a line at most so often."""

_MIB = 1024**2
_STEPS: dict[str, float] = {
    "vram_used_bytes": 256 * _MIB,
    "measured_vram_bytes": 256 * _MIB,
    "claimed_vram_bytes": 256 * _MIB,
    "available_bytes": 256 * _MIB,
    "swap_used_bytes": 256 * _MIB,
    "utilization_percent": 10,
    "temperature_celsius": 3,
    "power_watts": 10,
    "context_used_tokens": 1,
    "tokens_generated_total": 1,
    "requests_running": 1,
    "requests_waiting": 1,
    "expires_at": 30,
}
"""By how much a figure has to move, in its own unit."""
_RATES = ("decode_tokens_per_second", "prefill_tokens_per_second")
_RATE_SHARE = 0.05
"""By what part of itself a rate has to move."""

_FIGURE = re.compile(r"[~<>]?\d+(?:[.,:]\d+)*(?: ?[kKMGT]?i?B(?:/s)?\b)?")
"""A number in a sentence, with its unit: which one of bytes it is depends on the number."""

Figures = dict[tuple[str, str], float | None]


class Changes:
    """Follows snapshots, and tells which of them are news."""

    def __init__(self) -> None:
        self._state: Hashable = None
        self._figures: Figures = {}
        self._told: float | None = None

    def is_news(self, snapshot: Snapshot) -> bool:
        """Take the next snapshot; return whether it is to be told, as the first one is."""
        state, figures = state_of(snapshot), figures_of(snapshot)
        if self._told is not None and state == self._state:
            is_early = snapshot.time - self._told < FIGURES_SECONDS
            if is_early or not have_moved(self._figures, figures):
                return False
        self._state, self._figures, self._told = state, figures, snapshot.time
        return True


def state_of(snapshot: Snapshot) -> Hashable:
    """Return what may not change in silence. Of sentences the words count, not the figures in them."""
    return (
        snapshot.level,
        without_figures(snapshot.sentence),
        snapshot.missing,
        tuple(map(_source, snapshot.sources)),
        tuple(map(_gpu, snapshot.gpus)),
        tuple(map(_model, snapshot.models)),
        tuple((one.kind, one.subject, one.severity, one.since) for one in snapshot.alerts),
        snapshot.returned[-1].time if snapshot.returned else None,
    )


def figures_of(snapshot: Snapshot) -> Figures:
    """Return the figures that move, by what they are of and their name."""
    return {
        (subject, name): getattr(entry, name)
        for subject, entry in _entries(snapshot)
        for name in (*_STEPS, *_RATES)
        if hasattr(entry, name)
    }


def have_moved(before: Figures, after: Figures) -> bool:
    """Return whether any figure differs by its step, or is known now and was not, or the other way round."""
    return before.keys() != after.keys() or any(
        _has_moved(name, before[subject, name], value) for (subject, name), value in after.items()
    )


def without_figures(sentence: str) -> str:
    """Return a sentence with a mark for each number in it."""
    return _FIGURE.sub("#", sentence)


def _has_moved(name: str, before: float | None, after: float | None) -> bool:
    if before is None or after is None:
        return before is not after
    step = _STEPS.get(name, _RATE_SHARE * before)
    return before != after and abs(after - before) >= step


def _entries(snapshot: Snapshot) -> Iterator[tuple[str, object]]:
    yield "memory", snapshot.memory
    yield from ((gpu.uuid, gpu) for gpu in snapshot.gpus)
    yield from ((f"{model.url} {model.digest} {model.name}", model) for model in snapshot.models)


def _source(source: SourceEntry) -> Hashable:
    """Return how it is; those that are well come and go between work and rest."""
    return source.name, None if source.state in HEALTHY_STATES else source.state


def _gpu(gpu: GpuEntry) -> Hashable:
    """Return how it is, and which kinds of other programs hold memory of it."""
    groups = None if gpu.holders is None else frozenset(one.group for one in gpu.holders)
    return gpu.uuid, gpu.state, groups


def _model(model: ModelEntry) -> Hashable:
    """Return where it is, what it does, and what is wrong with it: of one that is well the words may vary."""
    percent, load = model.spill_percent or "", model.load
    return (
        (model.name, model.digest, model.url, model.runner and model.runner.pid),
        model.level,
        None if model.level == "ok" else (without_figures(model.sentence), model.verdict.kind),
        (model.processor, percent if not percent.startswith("~") else "~"),
        model.context_length,
        model.activity,
        load and (load.phase, None if load.fraction is None else int(load.fraction * 10)),
    )
