"""Keeps the names from the manifests fresh, beside the polls: a disk that hangs must not hold them up."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from gpumon.collectors.clock import Clock
from gpumon.collectors.processes.manifests import ManifestReader
from gpumon.collectors.samples import BlobNames
from gpumon.collectors.worker import Worker

REFRESH_SECONDS = 60.0
DIRECTORY_LIMIT = 8
"""Models directories read at most."""


class ModelNames:
    """Reads the manifests of each models directory in a thread of its own."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._worker = Worker("manifests")
        self._readers: dict[str, ManifestReader] = {}
        self._reading: asyncio.Task[list[BlobNames]] | None = None
        self._asked: tuple[str, ...] = ()
        self._due_at = 0.0

    def collect(self, models_paths: Iterable[str]) -> list[BlobNames]:
        """Return what was read since the last call, and start to read again when it is time. Never waits."""
        samples = self._finished()
        asked = tuple(sorted(set(models_paths)))[:DIRECTORY_LIMIT]
        now = self._clock.now()
        if self._reading is None and asked and (asked != self._asked or now >= self._due_at):
            self._asked, self._due_at = asked, now + REFRESH_SECONDS
            self._reading = asyncio.create_task(self._worker.run(lambda: self._read(asked)))
        return samples

    async def settle(self) -> None:
        """Wait until what is being read has been read."""
        if self._reading is not None:
            await asyncio.wait({self._reading})

    def close(self) -> None:
        """Stop; does not wait for a disk."""
        if self._reading is not None:
            self._reading.cancel()
        self._worker.close()

    def _finished(self) -> list[BlobNames]:
        if self._reading is None or not self._reading.done():
            return []
        reading, self._reading = self._reading, None
        return reading.result()

    def _read(self, asked: tuple[str, ...]) -> list[BlobNames]:
        """Read in the thread."""
        self._readers = {path: self._readers.get(path) or ManifestReader(path) for path in asked}
        samples = (reader.read(self._clock.now()) for reader in self._readers.values())
        return [sample for sample in samples if sample is not None]
