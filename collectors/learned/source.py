"""The source ``learned``: the file in the state directory, read at the start and when another changes it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from msgspec.structs import replace

from gpumon.collectors.clock import Clock
from gpumon.collectors.learned.document import Document, DocumentError, read
from gpumon.collectors.samples import AnySample, SourceHealth
from gpumon.collectors.worker import Worker

LOOK_SECONDS = 60.0

_T = TypeVar("_T")


def no_trouble() -> SourceHealth | None:
    """Return what is wrong with writing the file: nothing, where nobody writes it."""
    return None


class LearnedSource:
    """Reads ``path`` in a thread of its own; gives only what differs from what it gave before.

    ``trouble`` returns what the writer of the file has to say as long as something is wrong.
    """

    name = "learned"

    def __init__(
        self, clock: Clock, path: Path, trouble: Callable[[], SourceHealth | None] = no_trouble
    ) -> None:
        self._clock = clock
        self._path = path
        self._trouble = trouble
        self._worker = Worker("learned")
        self._document = Document()
        self._health = SourceHealth(state="idle")
        self._seen: tuple[int, int] | None = None
        """Time and inode of the file when it was last read."""
        self._told: tuple[Document, SourceHealth] | None = None

    async def poll(self) -> Sequence[AnySample]:
        """Return what is new: at first everything, later mostly nothing."""
        await self._worker.run(self._look)
        told_before, self._told = self._told, (self._document, self._trouble() or self._health)
        if self._told == told_before:
            return []
        document, health = self._told
        news = news_of(told_before[0] if told_before else Document(), document)
        return [replace(news.as_sample(self._clock.now(), self.name), health=health)]

    def delay(self, interval: float) -> float:
        """Return a minute: the file changes seldom."""
        return max(interval, LOOK_SECONDS)

    async def close(self) -> None:
        """End the thread after what it is in."""
        self._worker.close()

    def _look(self) -> None:
        """Read the file if it has changed; what was read of it before stands if it can no longer be."""
        seen = _stamp(self._path)
        if seen is not None and seen == self._seen:
            return
        self._seen = seen
        try:
            self._document = read(self._path)
        except DocumentError as error:
            hint = f"remove {self._path}"
            self._health = SourceHealth(state="nonsense", detail=f"{self._path} {error}", hint=hint)
        except OSError as error:
            words = (error.strerror or "cannot be read").lower()
            self._health = SourceHealth(state="failing", detail=f"{self._path}: {words}")
        else:
            self._health = SourceHealth(state="idle" if self._document == Document() else "serving")


def news_of(before: Document, after: Document) -> Document:
    """Return what ``after`` holds and ``before`` does not."""
    return Document(
        baselines=_new(before.baselines, after.baselines),
        scales=_new(before.scales, after.scales),
        memory=_new(before.memory, after.memory),
        ram_observed=_new(before.ram_observed, after.ram_observed),
        ram_bandwidth_bytes_per_second=after.ram_bandwidth_bytes_per_second,
    )


def _new(before: Sequence[_T], after: Sequence[_T]) -> tuple[_T, ...]:
    return tuple(one for one in after if one not in before)


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino
