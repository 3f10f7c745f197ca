"""A whole machine: cards, host, Ollama and other programs, stepped once a second."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from gpumon.app.cuda import CUDA_CONTEXT_BYTES
from gpumon.app.demo.generator import Generator
from gpumon.app.demo.hardware import Card, Gpu, Host
from gpumon.app.demo.runner import Work
from gpumon.app.demo.server import Server
from gpumon.app.demo.watching import process_sample, runner_samples
from gpumon.collectors.samples import AnySample, GpuProcess, NvmlSample, SourceHealth

DRIVER_VERSION = "580.82.09"


class Program(Struct, frozen=True):
    """Something else that holds VRAM: a desktop, a game, an image generator."""

    name: str
    pid: int
    gpu: int
    vram_bytes: int
    graphics: bool = True
    gpu_share: float = 0.0
    started: float = 0.0
    until: float = float("inf")


class Machine:
    """The world of a scenario. What it says leaves it as samples only."""

    def __init__(
        self,
        cards: tuple[Card, ...],
        host: Host,
        keep_alive_seconds: float = 300.0,
        read_bytes_per_second: float = 1.9e9,
        generator: Generator | None = None,
    ) -> None:
        self.gpus = [Gpu(card, index, watts=card.idle_watts) for index, card in enumerate(cards)]
        self.host = host
        self.programs: list[Program] = []
        self.generators = [generator] if generator is not None else []
        self.now = 0.0
        self.server = Server(
            self._free_bytes, keep_alive_seconds, read_bytes_per_second, cards[0].bandwidth_bytes_per_second
        )

    def lose_gpu(self, index: int, seconds: float) -> None:
        """Let a card fall off the bus for a while; its runners end."""
        self.gpus[index].lost_until = self.now + seconds
        self.server.crash(index, self.now)

    def block_airflow(self, index: int, factor: float, seconds: float) -> None:
        """Let a card keep ``factor`` times the usual heat for a while."""
        self.gpus[index].airflow = factor
        self.gpus[index].airflow_until = self.now + seconds

    def tick(self) -> None:
        """Let the second that ends at ``now`` pass."""
        self.server.tick(self.now)
        self.programs = [program for program in self.programs if self.now < program.until]
        self._step_generators()
        for gpu in self.gpus:
            gpu.step([] if gpu.lost(self.now) else self._works_on(gpu.index), self.now)
        self._step_runners()
        works = [runner.work(self.now) for runner in self.server.runners]
        works += [one.work(self.now) for one in self.generators]
        ram = sum(runner.ram_bytes(self.now) for runner in self.server.runners)
        ram += sum(one.ram_bytes for one in self.generators)
        self.host.step(ram, sum(work.cpu_threads for work in works), self.now)

    def _step_generators(self) -> None:
        """Let each generator load and draw, beside the models at work on its card."""
        for one in self.generators:
            at_work = [other for other in self.server.runners if other.asked(self.now) is not None]
            others = sum(one.gpu in other.placement.gpu_bytes for other in at_work)
            one.step(self.now, self._free_on(self.gpus[one.gpu]), others)

    def _step_runners(self) -> None:
        """Let each runner decode as fast as its GPUs allow, which it shares with the others at work there."""
        at_work = [runner for runner in self.server.runners if runner.asked(self.now) is not None]
        for runner in at_work:
            own = runner.placement.gpu_bytes.keys()
            # Of a model on several cards one works at a time.
            others = [
                sum(1 / len(one.placement.gpu_bytes) for one in at_work if gpu in one.placement.gpu_bytes)
                - 1 / len(own)
                + sum(one.gpu == gpu and one.draws(self.now) for one in self.generators)
                for gpu in own
            ]
            clock = min((self.gpus[gpu].clock_share for gpu in own), default=1.0)
            runner.step(clock, max(others, default=0.0), self.now)

    def samples(self) -> Iterator[AnySample]:
        """Say what collectors would say at ``now``."""
        yield NvmlSample(
            time=self.now,
            source="nvml",
            health=SourceHealth(state="serving"),
            driver_version=DRIVER_VERSION,
            gpus=tuple(gpu.reading(self.now, self._processes_on(gpu.index)) for gpu in self.gpus),
        )
        yield self.host.sample(self.now)
        runners = self.server.runners
        others = [one.process(self.now) for one in self.generators]
        yield process_sample(self.now, self.server.up_since(self.now), runners, self.programs, others)
        yield from runner_samples(self.now, runners)
        yield from (one.said(self.now) for one in self.generators)
        yield from self.server.samples(self.now)

    def _works_on(self, gpu: int) -> list[Work]:
        works = [runner.work(self.now) for runner in self.server.runners if gpu in runner.placement.gpu_bytes]
        works += [one.work(self.now) for one in self.generators if one.gpu == gpu]
        shares = [program.gpu_share for program in self.programs if program.gpu == gpu]
        return works + [Work(gpu_share=share, gpu_effort=share) for share in shares]

    def _processes_on(self, gpu: int) -> tuple[GpuProcess, ...]:
        runners = self.server.runners + [runner for runner, _ in self.server.leaving]
        held = [(runner, runner.vram_bytes(gpu, self.now)) for runner in runners]
        others = [
            GpuProcess(
                pid=program.pid,
                vram_bytes=program.vram_bytes,
                kinds=("graphics",) if program.graphics else ("compute",),
                name=program.name,
                started=program.started,
            )
            for program in self.programs
            if program.gpu == gpu
        ]
        others += [one.on_card() for one in self.generators if one.gpu == gpu]
        return tuple(others) + tuple(
            GpuProcess(
                pid=runner.pid,
                vram_bytes=vram_bytes,
                kinds=("compute",),
                name="llama-server",
                started=runner.started,
            )
            for runner, vram_bytes in held
            if vram_bytes
        )

    def _free_bytes(self) -> dict[int, int]:
        """Return what the scheduler may plan with; memory of runners that have ended is on its way back."""
        return {gpu.index: self._free_on(gpu) for gpu in self.gpus if not gpu.lost(self.now)}

    def _free_on(self, gpu: Gpu) -> int:
        runners = sum(
            runner.placement.gpu_bytes[gpu.index] + CUDA_CONTEXT_BYTES
            for runner in self.server.runners
            if gpu.index in runner.placement.gpu_bytes
        )
        programs = sum(program.vram_bytes for program in self.programs if program.gpu == gpu.index)
        generators = sum(one.vram_bytes for one in self.generators if one.gpu == gpu.index)
        return gpu.card.usable_bytes - runners - programs - generators
