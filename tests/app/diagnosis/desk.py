"""A machine on which a model works, is unloaded, and spills when it is loaded again."""

from __future__ import annotations

from dataclasses import dataclass

from tests.fakes.samples import START
from tests.scene import Gpu, Machine, Model, Server, Weights

from gpumon.app.diagnosis.diagnose import diagnose
from gpumon.app.diagnosis.diagnosis import Cause, Diagnosis, Remedy
from gpumon.collectors.samples import GpuFacts
from gpumon.text import units

QWEN = "qwen3:8b"
NEEDED_GIB = 6.0
"""What it takes wholly on a card, by the arithmetic of its file."""
CARD = GpuFacts(memory_bus_width_bits=192, max_memory_clock_mhz=10501)
SECOND = "http://127.0.0.1:11435"


@dataclass
class Desk:
    """A machine with an Ollama, on which somebody works."""

    machine: Machine
    server: Server
    loads: int = 0

    def load(
        self, gpu_gib: float = NEEDED_GIB, ram_gib: float = 0.0, name: str = QWEN, **more: object
    ) -> Model:
        """Load a model by a process that starts now."""
        self.loads += 1
        model = Model(
            name,
            gpu_gib=gpu_gib,
            ram_gib=ram_gib,
            pid=100 + self.loads,
            started=START + self.machine.now,
            context=8192,
            quantization="Q4_K_M",
            weights=Weights(),
            settings={
                "model_path": f"/m/{name}",
                "context_length": 8192,
                "parallel": 1,
                "micro_batch_size": 512,
                "model_name": name,
            },
            **more,  # type: ignore[arg-type]
        )
        return self.server.load(model)

    def was_whole(self, rate: float = 46.0) -> None:
        """Work with the model wholly on the card for a while, and unload it."""
        model = self.load()
        self.machine.run(3)
        for _ in range(3):
            model.request(rate)
        self.server.unload(model)
        self.machine.goes_on(5)

    def spills(self, rate: float | None = 7.0, gpu_gib: float = 2.0) -> Model:
        """Load it again, now with a part in RAM, and work with it."""
        model = self.load(gpu_gib, NEEDED_GIB - gpu_gib)
        self.machine.run(3)
        for _ in range(3 if rate else 0):
            model.request(rate or 0.0)
        self.machine.look()
        return model

    def found(self, name: str = QWEN) -> Diagnosis:
        """Return the diagnosis of a model."""
        state = self.machine.state
        return diagnose(next(one for one in state.models.values() if one.claim.name == name), state)

    def cause(self, name: str = QWEN) -> Cause:
        cause = self.found(name).cause
        assert cause is not None
        return cause

    def remedies(self, name: str = QWEN) -> tuple[Remedy, ...]:
        return self.found(name).remedies


def desk(*cards: Gpu) -> Desk:
    machine = Machine(*(cards or (Gpu(gib=12, reserved_gib=0.25, facts=CARD),)))
    return Desk(machine, machine.ollama())


def at(seconds: float) -> str:
    """Write a time of the scene as sentences do."""
    return units.clock(START + seconds, units.TO_THE_MINUTE)
