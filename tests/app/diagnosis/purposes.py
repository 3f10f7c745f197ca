"""A llama-server that was told where to put its model, and what is said of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tests.app.picture.test_agreement import check
from tests.fakes.samples import START
from tests.scene import Gpu, Machine

from gpumon.app.diagnosis.report import report_lines
from gpumon.app.picture.model import ModelPicture
from gpumon.collectors.samples import GpuFacts, Learned, ModelFacts
from gpumon.collectors.servers.llama_server.command_line import settings_of

CARD = GpuFacts(memory_bus_width_bits=192, max_memory_clock_mhz=7501)
RAM_BYTES_PER_SECOND = 50e9


def card(gib: float = 12.0) -> Gpu:
    return Gpu(gib=gib, name="NVIDIA GeForce RTX 3060", facts=CARD)


def told(
    line: str,
    file: ModelFacts | None,
    measured: float | Mapping[int, float],
    *,
    gpus: Sequence[Gpu] = (),
    variables: Mapping[str, str] | None = None,
    weights_gib: float = 16.0,
    ram: bool = True,
) -> Machine:
    """Return a machine on which a llama-server was started so, and holds so many GiB of each card."""
    settings = settings_of(["llama-server", "-m", "/m.gguf", *line.split()], lambda: variables or {})
    assert settings is not None
    machine = Machine(*(gpus or [card()]))
    held = {0: measured} if isinstance(measured, float | int) else dict(measured)
    fields = settings.__struct_fields__
    machine.llama_server(
        settings={name: getattr(settings, name) for name in fields} | {"model_name": "m", "port": 8080},
        file=file,
        weights_gib=weights_gib,
        held=held,
    )
    if ram:
        machine.say(
            Learned(time=START, source="learned", ram_bandwidth_bytes_per_second=RAM_BYTES_PER_SECOND)
        )
    machine.run(20)
    check(machine.monitor)
    return machine


def picture(machine: Machine) -> ModelPicture:
    (model,) = machine.monitor.pictures.models()
    return model


def words(machine: Machine) -> str:
    model = picture(machine)
    return "\n".join(report_lines(model.label, model.diagnosis))
