"""An image generator of a scenario: a ComfyUI that loads what there is room for, and draws."""

from __future__ import annotations

from typing import NamedTuple

from msgspec import Struct, field

from gpumon.app.cuda import CUDA_CONTEXT_BYTES
from gpumon.app.demo.runner import Work
from gpumon.collectors.samples import (
    GpuProcess,
    LoadFacts,
    PictureJob,
    RunnerProcess,
    RunnerSettings,
    WorkCounters,
    WorkSample,
)
from gpumon.text.units import MIB

PID, PORT = 51_207, 8188
KIND, LABEL, CONSOLE = "comfyui", "ComfyUI", "/internal/logs/raw"
LOAD_BYTES_PER_SECOND = 1.9e9
LAST_SECONDS = 2.0
"""After the steps: the picture is decoded."""
STREAM_BYTES_PER_SECOND = 3.0e9
"""How fast weights that stay in RAM come to the card, for each step again."""
OWN_BYTES = 900 * MIB
"""Of RAM, without weights."""
SPARE_BYTES = 400 * MIB
"""Of the card, which it leaves free."""


class Diffusion(NamedTuple):
    """A model that draws, at 1024x1024."""

    file: str
    sort: str
    weights_bytes: int
    work_bytes: int
    """What a step works with."""
    seconds_per_step: float
    """With all of it on the card."""


SDXL = Diffusion("sd_xl_base_1.0.safetensors", "SDXL", 4897 * MIB, 1500 * MIB, 0.36)
FLUX = Diffusion("flux1-dev-Q6_K.gguf", "Flux", 9400 * MIB, 1300 * MIB, 2.0)


class Job(NamedTuple):
    """A picture to draw."""

    model: Diffusion
    steps: int
    number: int


class Generator(Struct):
    """The process; times are seconds since the Unix epoch."""

    started: float
    gpu: int = 0
    _jobs: list[Job] = field(default_factory=list)
    """The first is under way."""
    _model: Diffusion | None = None
    _on_gpu_bytes: int = 0
    _loaded_at: float = 0.0
    _began: float = 0.0
    _step: float = 0.0
    """Steps done, with what is done of the next."""
    _ends: float = float("inf")
    _number: int = 0
    _share: float = 1.0

    def draw(self, model: Diffusion, steps: int) -> None:
        """Queue a picture."""
        self._number += 1
        self._jobs.append(Job(model, steps, self._number))

    def free(self) -> None:
        """Give back all memory, as ``POST /free`` has it do."""
        self._model, self._on_gpu_bytes = None, 0

    def step(self, now: float, free_bytes: int, others: int) -> None:
        """Pass a second: ``free_bytes`` are left on its card, and ``others`` work there."""
        job = self._jobs[0] if self._jobs else None
        if job is None:
            return
        if self._began == 0.0:
            self._begin(job, now, free_bytes)
        if now < self._loaded_at:
            return
        self._share = 1 / (1 + others)
        self._step = min(float(job.steps), self._step + self._share / self._seconds_per_step)
        if self._step >= job.steps and self._ends == float("inf"):
            self._ends = now + LAST_SECONDS
        if now >= self._ends:
            self._jobs.pop(0)
            self._began, self._step, self._ends = 0.0, 0.0, float("inf")

    def _begin(self, job: Job, now: float, free_bytes: int) -> None:
        self._began, self._loaded_at = now, now
        if self._model is job.model and self._is_whole:
            return
        room = free_bytes + self.vram_bytes - CUDA_CONTEXT_BYTES - job.model.work_bytes - SPARE_BYTES
        read = 0 if self._model is job.model else job.model.weights_bytes
        self._model, self._on_gpu_bytes = job.model, max(0, min(job.model.weights_bytes, room))
        self._loaded_at = now + read / LOAD_BYTES_PER_SECOND

    @property
    def _is_whole(self) -> bool:
        return self._model is not None and self._on_gpu_bytes == self._model.weights_bytes

    @property
    def _in_ram_bytes(self) -> int:
        return self._model.weights_bytes - self._on_gpu_bytes if self._model else 0

    @property
    def _seconds_per_step(self) -> float:
        base = self._model.seconds_per_step if self._model else 1.0
        return base + self._in_ram_bytes / STREAM_BYTES_PER_SECOND

    def draws(self, now: float) -> bool:
        """Whether it computes steps."""
        return bool(self._jobs) and self._began > 0 and now >= self._loaded_at

    @property
    def vram_bytes(self) -> int:
        """Return what the driver sees of it: torch keeps what a step has worked with."""
        work = self._model.work_bytes if self._model else 0
        return CUDA_CONTEXT_BYTES + self._on_gpu_bytes + work

    @property
    def ram_bytes(self) -> int:
        """Return what it holds in RAM."""
        return OWN_BYTES + self._in_ram_bytes

    def work(self, now: float) -> Work:
        """Return what it does to the machine."""
        if not self._jobs or self._began == 0.0:
            return Work()
        if now < self._loaded_at:
            return Work(0.03, 0.1, cpu_threads=1.0, receive_bytes_per_second=LOAD_BYTES_PER_SECOND)
        streamed = self._in_ram_bytes / self._seconds_per_step
        share = 1 - self._in_ram_bytes / STREAM_BYTES_PER_SECOND / self._seconds_per_step
        return Work(0.98 * share, 0.95 * share, cpu_threads=1.1, receive_bytes_per_second=streamed)

    def on_card(self) -> GpuProcess:
        """Return its row of the driver's list."""
        held, started = self.vram_bytes, self.started
        return GpuProcess(pid=PID, vram_bytes=held, kinds=("compute",), name="python3", started=started)

    def process(self, now: float) -> RunnerProcess:
        """Return its process."""
        return RunnerProcess(
            pid=PID,
            started=self.started,
            kind=KIND,
            settings=RunnerSettings(model_name=LABEL, port=PORT),
            user="ann",
            rss_bytes=self.ram_bytes,
            cpu_percent=100 * self.work(now).cpu_threads,
            thread_count=38,
        )

    def said(self, now: float) -> WorkSample:
        """Return what its port says."""
        job = self._jobs[0] if self._jobs and self._began else None
        counters = WorkCounters(grows_live=True, requests_processing=int(job is not None))
        return WorkSample(
            *("ready", None, None, self._facts(), None, counters),
            job=None if job is None else self._told(job, now),
            origin=CONSOLE,
            time=now,
            source=f"runner {PID}",
            pid=PID,
            started=self.started,
            port=PORT,
        )

    def _facts(self) -> LoadFacts:
        model = self._model
        return LoadFacts(
            build="0.38.1",
            model_path=model.file if model else None,
            model_type=model.sort if model else None,
            weights_bytes=model.weights_bytes if model else None,
            weights_on_gpu_bytes=self._on_gpu_bytes if model else None,
        )

    def _told(self, job: Job, now: float) -> PictureJob:
        is_drawn = now >= self._loaded_at and self._step >= 1
        taken = self._seconds_per_step / self._share
        return PictureJob(
            job_id=str(job.number),
            started=self._began,
            step=int(self._step) if is_drawn else None,
            step_count=job.steps,
            seconds_per_step=taken if is_drawn else None,
            seconds_left=(job.steps - int(self._step)) * taken if is_drawn else None,
            width=1024,
            height=1024,
            batch_size=1,
            waiting=len(self._jobs) - 1,
        )
