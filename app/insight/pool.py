"""The memory that a model's server has set aside for all contexts: how large, how full, where."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct, field

from gpumon.app.physics.hardware import memory_bandwidth
from gpumon.app.state.rates.pool import PoolFigures
from gpumon.app.state.records import ModelRecord, RunnerRecord
from gpumon.app.state.state import State
from gpumon.app.state.work import answer_of, pool_figures
from gpumon.text import units
from gpumon.text.safe import visible


class Pool(Struct, frozen=True, kw_only=True):
    """What is known of a cache of all contexts; ``None`` is unknown."""

    figures: PoolFigures = field(default_factory=PoolFigures)
    capacity_tokens: int | None = None
    by_gpu: dict[str, int] = field(default_factory=dict)
    """Bytes that it takes on each GPU, by UUID; empty where its size is not known."""
    is_estimate: bool = False
    """Whether ``by_gpu`` rests on more than what its server or its log tells of each GPU."""
    source: str = ""
    """Where the size stands."""
    read_fraction: float | None = None
    """Of what its GPUs' memory can give, how much is read; ``None`` where its server does not reckon it."""

    @property
    def size_bytes(self) -> int | None:
        """On all GPUs together."""
        return sum(self.by_gpu.values()) or None

    def unused_bytes(self, uuid: str) -> int:
        """Return what of a GPU is set aside and holds no context now: all of it where that is not told."""
        return round(self.by_gpu.get(uuid, 0) * (1.0 - (self.figures.used_fraction or 0.0)))


def pool_of(model: ModelRecord, state: State) -> Pool | None:
    """Return the cache of a model; ``None`` where its server sets none aside, or has given it back."""
    runner, answer = state.runner_of(model), answer_of(model, state)
    figures = pool_figures(model, state)
    placement = runner.placement if runner else None
    is_logged = placement is not None and placement.cache_tokens is not None
    if (figures is None and not is_logged) or (answer is not None and answer.state == "asleep"):
        return None
    figures = figures or PoolFigures()
    by_gpu, source, is_estimate = _sizes(figures, runner)
    return Pool(
        figures=figures,
        capacity_tokens=figures.capacity_tokens or (placement.cache_tokens if placement else None),
        by_gpu=by_gpu,
        is_estimate=is_estimate,
        source=source,
        read_fraction=_read_fraction(figures, runner, state),
    )


def _sizes(figures: PoolFigures, runner: RunnerRecord | None) -> tuple[dict[str, int], str, bool]:
    """Return its bytes on each GPU, where they stand, and whether some are taken to be as the rest."""
    held = runner.vram_by_gpu if runner else {}
    if runner is None or not held:
        return {}, "", False
    if figures.size_bytes is not None:
        return _evenly(figures.size_bytes // len(held), held), "server", len(held) > 1
    if runner.placement is not None and (each := runner.placement.on_each_gpu("kv_cache")):
        return _evenly(each, held), "server log", 0 < runner.placement.rank_count < len(held)
    if told := runner.process.settings.reserve.cache_bytes:
        return _evenly(told, held), "command line", True
    return {}, "", False


def _evenly(each: int, held: dict[str, int]) -> dict[str, int]:
    """Return the same for each GPU, and no more than its process holds there."""
    return {uuid: min(each, size) for uuid, size in held.items()}


def _read_fraction(figures: PoolFigures, runner: RunnerRecord | None, state: State) -> float | None:
    rate, held = figures.read_bytes_per_second, runner.vram_by_gpu if runner else {}
    facts = (state.gpus[uuid].facts for uuid in held if uuid in state.gpus)
    peaks = [peak for one in facts if (peak := memory_bandwidth(one))]
    return rate / min(peaks) if rate and peaks else None


def pool_notes(pool: Pool | None) -> Iterator[str]:
    """Say how full the cache of all contexts is, where requests are at work in it, and who waits for what."""
    used = pool.figures.used_fraction if pool else None
    if pool is None or not used:
        return
    of = "" if pool.capacity_tokens is None else f" of {units.tokens(pool.capacity_tokens)} tokens"
    yield f"KV cache {units.percent(used * 100)}{of}"
    if pool.figures.waiting_by_reason:
        yield f"waiting: {waiting_words(pool)}"


def waiting_words(pool: Pool) -> str:
    """Say how many requests wait for what, in the server's words: ``3 for capacity``."""
    return ", ".join(f"{count} for {visible(reason)}" for reason, count in pool.figures.waiting_by_reason)
