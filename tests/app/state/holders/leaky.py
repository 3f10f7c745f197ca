"""Scenes of runners that no server lists, and of one that was killed."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace
from tests.fakes import process_samples as fakes
from tests.scene import Gpu, Machine, Model, Program

from gpumon.collectors.samples import AnySample, LogEvent, ProcessSample, RunnerProcess

OTHER = "sha256-" + 64 * "c"
THIRD = "sha256-" + 64 * "d"


class Leaky(Machine):
    """A machine whose process list has runners that no server lists."""

    def __init__(self, *leaked: RunnerProcess) -> None:
        super().__init__(Gpu(gib=24))
        self.leaked = leaked
        self.has_server = True
        for one in leaked:
            self.starts(Program("llama-server", 7, pid=one.pid))

    def _processes(self, models: Sequence[Model]) -> AnySample:
        sample = super()._processes(models)
        assert isinstance(sample, ProcessSample)
        assert sample.holders is not None
        assert sample.runners is not None
        holders = tuple(one for one in sample.holders if one.pid not in {leak.pid for leak in self.leaked})
        servers = sample.servers if self.has_server else ()
        return replace(sample, runners=(*sample.runners, *self.leaked), holders=holders, servers=servers)


def leaked(pid: int, blob: str, **more: object) -> RunnerProcess:
    return replace(fakes.runner(pid, blob), **more)


WORDS = (
    "14.0 GiB are held by 2 runners that Ollama does not list (pid 301, 302); to free it: sudo kill 301 302"
)


def killed(seconds: float = 6, *, how: str | None = None) -> Machine:
    machine = Machine(Gpu(gib=24))
    model = machine.ollama().load(Model("qwen3:8b", gpu_gib=5, ram_gib=2))
    machine.run(5)
    model.dies()
    machine.run(1)
    if how is not None:
        machine.logs(LogEvent(kind="runner_ended", text=how))
    machine.run(seconds)
    return machine
