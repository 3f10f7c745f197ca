"""An image generator: one process that keeps its model as long as it runs, and moves it out of the GPU."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tests.fakes.process_samples import STARTED
from tests.fakes.samples import GIB, START

from gpumon.collectors.samples import (
    AnySample,
    ModelClaim,
    PictureJob,
    RunnerProcess,
    RunnerSettings,
    ServerSample,
    SourceHealth,
    WorkSample,
)

URL = "http://127.0.0.1:7778"


@dataclass
class Painter:
    """With no model it holds what its libraries take; it claims what it has of one where that is told."""

    name: str = "flux"
    gib: float = 0.4
    """By the driver."""
    pid: int = 700
    gpu: int = 0
    url: str = URL
    claimed_gib: float | None = None
    """Of its model on the GPU."""
    ram_gib: float = 0.0
    is_loaded: bool = False
    step_seconds: float | None = None
    """While it works on a picture."""
    job: str = "a"
    width: int = 1024
    started: float = STARTED

    def loads(self, gib: float = 9.1) -> None:
        """Load its model."""
        self.gib, self.is_loaded = gib, True

    def frees(self, gib: float = 0.4) -> None:
        """Give back all but what its libraries take."""
        self.gib, self.is_loaded, self.step_seconds = gib, False, None

    def process(self) -> RunnerProcess:
        """Return its process."""
        port = int(self.url.rpartition(":")[2])
        settings = RunnerSettings(model_name=self.name, port=port)
        return RunnerProcess(pid=self.pid, started=self.started, kind="painter_process", settings=settings)

    def by_url(self, now: float) -> Iterator[AnySample]:
        """Return what its URL says."""
        claimed = None if self.claimed_gib is None else int(self.claimed_gib * GIB)
        claim = ModelClaim(
            name=self.name,
            size_vram_bytes=claimed,
            size_bytes=None if claimed is None else claimed + int(self.ram_gib * GIB),
        )
        at = START + now
        yield ServerSample(
            time=at,
            source=self.url,
            kind="painter",
            health=SourceHealth(state="serving"),
            models=(claim,) if self.is_loaded else (),
        )
        if self.is_loaded:
            busy = self.step_seconds is not None
            job = PictureJob(
                job_id=self.job, seconds_per_step=self.step_seconds, width=self.width, height=1024
            )
            yield WorkSample(
                "busy" if busy else "ready",
                time=at,
                source=self.url,
                model=self.name,
                job=job if busy else None,
            )
