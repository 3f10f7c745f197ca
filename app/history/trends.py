"""How the figures of a model or GPU went over days and weeks, for charts: out of the file, and live since."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from gpumon.app.history.reader import History, HistoryError, TrendPoint
from gpumon.app.history.rows import ModelName, Span
from gpumon.app.history.tallies import model_name
from gpumon.app.picture.gpu import GpuSeries
from gpumon.app.picture.memory import ModelSeries
from gpumon.app.state.series import Bucket, Series
from gpumon.collectors.worker import Errand

if TYPE_CHECKING:
    from gpumon.app.picture.gpu import GpuPicture
    from gpumon.app.picture.model import ModelPicture

FROM_SECONDS = 86_400.0
"""Windows of so long and longer are drawn from the history; shorter ones this run knows by the second."""
POINTS = 600
"""Into about so many a span is divided: some for each cell of a chart, so that none is a gap by rounding."""
AGE_SECONDS = 60.0
"""What was read stands so long: no more than a minute is added to it meanwhile."""
KEPT = 8
"""Subjects and lengths of which it is remembered what was read."""

Points = Sequence[TrendPoint]
Key = tuple[ModelName | str, float]


class KeptSeries(Series):
    """A series that is told by the history up to where the live one begins to know better."""

    __slots__ = ("_cells", "_live", "_points", "_width")

    def __init__(self, points: Sequence[tuple[float, Bucket]], width: float, live: Series) -> None:
        """``points`` are times and what was there for ``width`` seconds from then on, oldest first."""
        super().__init__()
        self._points = points
        self._width = width
        self._live = live
        self._cells: tuple[tuple[int, float, int], list[Bucket | None]] | None = None
        newest = points[-1][0] + width if points else None
        self.last_time = max((time for time in (newest, live.last_time) if time is not None), default=None)
        self.last = live.last

    def window(self, until: float, seconds: float, cells: int) -> list[Bucket | None]:
        """Return ``cells`` buckets as any series does, the live one where the history knows none.

        In cells that are finer than what was read the live one knows better.
        """
        width = seconds / cells
        key = (math.floor(until / width), width, cells)
        if self._cells is None or self._cells[0] != key:
            self._cells = (key, self._kept(*key))
        live = self._live.window(until, seconds, cells)
        pairs = zip(self._cells[1], live, strict=True)
        if width < self._width:
            return [old if new is None else new for old, new in pairs]
        return [new if old is None else old for old, new in pairs]

    def _kept(self, last_cell: int, width: float, cells: int) -> list[Bucket | None]:
        first, found = last_cell - cells + 1, [list[Bucket]() for _ in range(cells)]
        for start, bucket in self._points:
            middle = math.floor((start + self._width / 2) / width)
            if width < self._width:
                covered = range(math.ceil(start / width), math.ceil((start + self._width) / width))
            else:
                covered = range(middle, middle + 1)
            for cell in covered:
                if 0 <= cell - first < cells:
                    found[cell - first].append(bucket)
        return [_merged(buckets) if buckets else None for buckets in found]


def _merged(buckets: Sequence[Bucket]) -> Bucket:
    mean = sum(bucket.mean for bucket in buckets) / len(buckets)
    return Bucket(min(one.minimum for one in buckets), mean, max(one.maximum for one in buckets))


class _Read(NamedTuple):
    at: float
    points: Points
    step_seconds: float


class Trends:
    """Reads what charts need in a thread, when they ask; until it is there they show what this run knows."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._errand: Errand[tuple[Key, _Read]] = Errand("history of charts")
        self._read: dict[Key, _Read] = {}

    def of_model(self, model: ModelPicture, seconds: float) -> ModelSeries:
        """Return the series of a model over the ``seconds`` before now."""
        live, name = model.series, model_name(model)
        read = self._known((name, seconds), model.at)
        if read is None:
            return live
        vram = _series(read, "vram_bytes", live.measured_vram)
        claimed = _series(read, "vram_bytes", live.claimed_vram)
        return ModelSeries(
            claimed_vram=claimed,
            claimed_ram=_series(read, "ram_bytes", live.claimed_ram),
            measured_vram=vram,
            decode=_series(read, "decode_tokens_per_second", live.decode),
            prefill=_series(read, "prefill_tokens_per_second", live.prefill),
            context=_series(read, "context_tokens", live.context),
        )

    def of_gpu(self, gpu: GpuPicture, seconds: float) -> GpuSeries:
        """Return the series of a GPU over the ``seconds`` before now."""
        live = gpu.series
        read = self._known((gpu.uuid, seconds), gpu.at)
        if read is None:
            return live
        return GpuSeries(
            vram=_series(read, "used_bytes", live.vram),
            utilization=_series(read, "utilization_percent", live.utilization),
            power=_series(read, "power_watts", live.power),
            temperature=_series(read, "temperature_celsius", live.temperature),
        )

    def close(self) -> None:
        """Read nothing more; does not wait for a disk."""
        self._errand.close()

    def _known(self, key: Key, now: float) -> _Read | None:
        """Return what was read last of a subject, and have it read again where that is a while ago."""
        if key[1] < FROM_SECONDS:
            return None
        for of, read in self._errand.outcome():
            self._read.pop(of, None)
            self._read[of] = read
            if len(self._read) > KEPT:
                del self._read[next(iter(self._read))]
        found = self._read.get(key)
        is_old = found is None or not 0 <= now - found.at < AGE_SECONDS
        if is_old and not self._errand.is_running:
            self._errand.start(self._job(key, now))
        return found

    def _job(self, key: Key, now: float) -> Callable[[], list[tuple[Key, _Read]]]:
        path, (subject, seconds) = self._path, key
        step = max(60.0, seconds / POINTS // 60 * 60)
        span = Span(now - seconds - step, now + step)

        def read() -> list[tuple[Key, _Read]]:
            try:
                with History.open(path) as history:
                    points = history.trend(span, subject, step)
            except HistoryError:  # nothing is kept yet, or it is told elsewhere that it cannot be
                points = []
            return [(key, _Read(now, points, step))]

        return read


def _series(read: _Read, figure: str, live: Series) -> KeptSeries:
    points = [(one.start, bucket) for one in read.points if (bucket := one.figures.get(figure)) is not None]
    return KeptSeries(points, read.step_seconds, live)
