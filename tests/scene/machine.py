"""A machine with its servers and their models, and the samples that its sources would give."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

from msgspec.structs import replace
from tests.fakes import process_samples as process_fakes
from tests.fakes import samples as fakes
from tests.fakes.samples import OLLAMA
from tests.scene.models import LlamaServer, Model, Server
from tests.scene.painter import Painter
from tests.scene.things import Gpu, Program

from gpumon.app.alerts.alert import Alert, AlertKind
from gpumon.app.alerts.limits import Limits
from gpumon.app.monitor import Monitor
from gpumon.app.picture.pictures import Pictures
from gpumon.app.state.records import Load, ModelRecord
from gpumon.app.state.state import State
from gpumon.collectors.samples import (
    AnySample,
    GpuReading,
    HolderProcess,
    LogEvent,
    SourceState,
)

Voice = Literal["driver", "processes", "servers", "ports", "system"]
EVERYBODY: tuple[Voice, ...] = ("driver", "processes", "servers", "ports", "system")
"""In the order in which they speak."""


class Machine:
    """Cards, servers and programs, and what is made of what they say."""

    def __init__(self, *gpus: Gpu, ram_gib: float = 64.0, limits: Limits | None = None) -> None:
        self.gpus = list(gpus) or [Gpu()]
        self.ram_gib = ram_gib
        self.available_gib = ram_gib / 2
        self.swap_in: float | None = 0.0
        self.swap_out: float | None = 0.0
        """Bytes per second."""
        self.io_waiting: float | None = None
        """Percent of the time."""
        self.now = 0.0
        self.spread_seconds = 0.0
        """How much later each source speaks than the one before, of what was so when the look began."""
        self.servers: list[Server] = []
        self.alone: list[LlamaServer] = []
        self.programs: list[Program] = []
        self.painters: list[Painter] = []
        self.driver: SourceState = "serving"
        self.driver_detail: str | None = None
        self.driver_hint: str | None = None
        self.driver_version: str | None = None
        self.other_makers: tuple[str, ...] = ()
        """Of GPUs that the driver knows nothing of."""
        self.is_listed_backwards = False
        """Whether the driver names its last card first."""
        self.monitor = Monitor(limits or Limits())
        self.sent: list[AnySample] = []
        self.retouch: Callable[[GpuReading], GpuReading] = lambda reading: reading
        """Changes each reading of a GPU before it is told."""

    @property
    def state(self) -> State:
        return self.monitor.state

    @property
    def pictures(self) -> Pictures:
        return self.monitor.pictures

    def ollama(
        self,
        url: str = OLLAMA,
        pid: int = process_fakes.SERVER_PID,
        settings: Mapping[str, str] | None = None,
    ) -> Server:
        """Start a server; ``settings`` are in the environment of its process."""
        self.servers.append(Server(self, url, pid, dict(settings or {})))
        return self.servers[-1]

    def llama_server(
        self,
        measured_gib: float = 6.0,
        *,
        gpu_layers: int | None = None,
        is_asked: bool = False,
        **more: Any,  # noqa: ANN401 - further fields
    ) -> LlamaServer:
        """Start a llama-server of its own."""
        one = LlamaServer(self, measured_gib=measured_gib, gpu_layers=gpu_layers, is_asked=is_asked, **more)
        self.alone.append(one)
        return one

    def painter(self, painter: Painter | None = None) -> Painter:
        """Start an image generator."""
        self.painters.append(painter or Painter())
        return self.painters[-1]

    def starts(self, program: Program) -> Program:
        """Have a program hold memory of a GPU."""
        self.programs.append(program)
        return program

    def logs(self, *events: LogEvent, source: str = "log /l") -> None:
        """Write events to a server's log."""
        self.say(fakes.log(self.now, *events, source=source))

    def is_silent(self, source: str = OLLAMA, seconds: float = 2.0, *, at: float | None = None) -> Machine:
        """Have a source leave a question unanswered for so long, now or at a time from which it goes on."""
        self.now = self.now if at is None else at
        return self.say(fakes.silent(self.now, source, seconds=seconds))

    def say(self, *samples: AnySample) -> Machine:
        """Have the monitor take samples, in this order."""
        for sample in samples:
            self.sent.append(sample)
            self.monitor.feed(sample)
        return self

    def look(self, *whom: Voice, at: float | None = None) -> Machine:
        """Have every source speak once, or these alone, now or at a time from which it goes on."""
        self.now = self.now if at is None else at
        return self.say(*self.samples(*whom))

    def run(self, seconds: float = 1.0, every: float = 1.0) -> Machine:
        """Look now and as often as time allows, up to ``seconds`` from now."""
        end = self.now + seconds
        self.look()
        while self.now + every <= end:
            self.now += every
            self.look()
        return self

    def goes_on(self, seconds: int, *gpus: Gpu) -> Machine:
        """Look once a second for so long, with these cards from now on if there are any."""
        self.gpus = list(gpus) or self.gpus
        for _ in range(seconds):
            self.look(at=self.now + 1)
        return self

    def samples(self, *whom: Voice) -> list[AnySample]:
        """Return one look of every source, or of these alone."""
        spoken = (self._spoken(voice) for voice in whom or EVERYBODY)
        return [
            replace(sample, time=sample.time + self.spread_seconds * place)
            for place, said in enumerate(spoken)
            for sample in said
        ]

    def only_model(self) -> ModelRecord:
        """Return what is known of the one model that there is."""
        [model] = self.state.models.values()
        return model

    def only_load(self) -> Load:
        """Return the one load that goes on."""
        [load] = self.state.loads.values()
        return load

    def alerts(self, kind: str | None = None) -> list[Alert]:
        """Return the alerts that are active, of one kind if told."""
        return [alert for alert in self.monitor.alerts.active if kind in (None, alert.kind)]

    def alert(self, kind: AlertKind) -> Alert | None:
        """Return the active alert of a kind, if there is one."""
        found = self.alerts(kind)
        assert len(found) <= 1, f"more than one {kind} alert"
        return found[0] if found else None

    def raised(self, kind: AlertKind) -> Alert:
        """Return the active alert of a kind, which there must be."""
        alert = self.alert(kind)
        assert alert is not None, f"no {kind} alert"
        return alert

    def news(self, kind: AlertKind | None = None) -> list[str]:
        """Return what has happened to alerts, of one kind if told, since it was asked before."""
        events = self.monitor.alerts.fresh()
        return [event.change for event in events if kind in (None, event.alert.kind)]

    def _spoken(self, voice: Voice) -> list[AnySample]:
        models = [model for server in self.servers if server.is_here for model in server.models]
        match voice:
            case "driver":
                return [self._driver(models)]
            case "processes":
                return [self._processes(models)]
            case "servers":
                asked = [server.samples() for server in self.servers if server.is_asked]
                asked += [one.by_url() for one in self.alone if one.is_asked]
                asked += [one.by_url(self.now) for one in self.painters]
                return [sample for said in asked for sample in said]
            case "ports":
                ports = [model.answer() for model in models if model.is_heard]
                ports += [said for one in self.alone if (said := one.read_file()) is not None]
                return ports + [one.by_port() for one in self.alone if not one.is_asked]
            case "system":
                return [self._memory()]

    def _memory(self) -> AnySample:
        said = fakes.system(
            self.now,
            available_gib=self.available_gib,
            total_gib=self.ram_gib,
            swap_in=self.swap_in,
            swap_out=self.swap_out,
        )
        return replace(said, io_waiting_percent=self.io_waiting)

    def _driver(self, models: Sequence[Model]) -> AnySample:
        readings = list(self._readings(models))
        readings = readings[::-1] if self.is_listed_backwards else readings
        said = fakes.nvml(self.now, *readings, state=self.driver, detail=self.driver_detail)
        health = replace(said.health, hint=self.driver_hint)
        return replace(
            said, driver_version=self.driver_version, health=health, other_makers=self.other_makers
        )

    def _readings(self, models: Sequence[Model]) -> Iterator[GpuReading]:
        for index, card in enumerate(self.gpus):
            held = {one.pid: one.held().get(index, 0.0) for one in models if one.is_running}
            held |= {one.pid: one.gib for one in self.programs if one.gpu == index}
            held |= {one.pid: one.gib for one in self.painters if one.gpu == index}
            held |= {one.pid: one.holds(index) for one in self.alone if one.holds(index) and one.is_here}
            yield self.retouch(card.reading(index, held))

    def _processes(self, models: Sequence[Model]) -> AnySample:
        holders = [
            HolderProcess(pid=one.pid, name=one.name, started=one.started, group=one.group)
            for one in self.programs
        ]
        runners = [one.process() for one in models if one.is_running]
        runners += [one.process() for one in self.alone if one.is_here]
        runners += [one.process() for one in self.painters]
        servers = [one.process() for one in self.servers if one.is_here]
        return process_fakes.processes(self.now, *runners, servers=servers, holders=holders)


def after(*samples: AnySample, limits: Limits | None = None) -> Machine:
    """Return a machine of which this was heard: for samples that no machine of its own would give."""
    return Machine(limits=limits).say(*samples)


def loaded(model: Model | None = None, machine: Machine | None = None) -> Model:
    """Return a model on the Ollama of a machine, of one busy GPU unless told otherwise."""
    return (machine or Machine(Gpu(utilization=90))).ollama().load(model or Model())
