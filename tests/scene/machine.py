"""A machine with its servers and their models, and the samples that its sources would give."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from msgspec.structs import replace
from tests.fakes import process_samples as process_fakes
from tests.fakes import samples as fakes
from tests.fakes import served_samples as served_fakes
from tests.fakes.samples import OLLAMA, START
from tests.scene.things import Gpu, Program, Weights, resting_slot, working_slot

from gpumon.app.alerts.alert import Alert
from gpumon.app.alerts.limits import Limits
from gpumon.app.monitor import Monitor
from gpumon.app.state.records import ModelRecord
from gpumon.app.state.state import State
from gpumon.collectors.samples import (
    AnySample,
    FileFacts,
    GpuReading,
    HolderProcess,
    LogEvent,
    LogSample,
    ModelClaim,
    ModelFacts,
    RunnerProcess,
    Slot,
    SourceHealth,
    SourceState,
)

SERVED_CONTEXT = 8192
POLL_SECONDS = 0.5
PROMPT_TOKENS = 500
BLOB = process_fakes.BLOB

Rate = float | Callable[[float], float]
"""Tokens per second of one request, or what it is at a time of the machine."""
PortState = Literal["starting", "loading", "ready", "asleep", "busy", "failing"]


@dataclass
class Model:
    """A loaded model with its process; what is set before a look is so in it."""

    name: str = "llama3:70b"
    gpu_gib: float = 10.0
    ram_gib: float = 0.0
    measured_gib: float | None = None
    """What the driver sees of the process; what is claimed unless told."""
    pid: int = 100
    """Of another process than every other model's: the server's ``load`` does not look."""
    started: float = process_fakes.STARTED
    kind: str = "llama_server"
    gpu: int = 0
    context: int = SERVED_CONTEXT
    cpu_percent: float | None = None
    expires_seconds: float | None = None
    """Until the server means to unload it, by the clock of the machine's start."""
    is_claimed: bool = True
    is_described: bool = True
    is_running: bool = True
    blob: str | None = BLOB
    quantization: str | None = None
    weights: Weights | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    """Further settings of its command line."""
    counts: dict[str, Any] = field(default_factory=dict)
    """Further fields of its process."""
    port: PortState | None = None
    """What its own port says; nobody reads it where this is ``None``."""
    slots: Sequence[Slot] | None = None
    shape: AnySample | None = None
    """All that the server says of its file, where ``weights`` are not enough."""
    tasks: int = 0
    machine: Machine = field(init=False, repr=False)
    """Where it is loaded."""

    @property
    def monitor(self) -> Monitor:
        return self.machine.monitor

    @property
    def record(self) -> ModelRecord:
        """Return what is known of it."""
        return next(one for one in self.machine.state.models.values() if one.claim.name == self.name)

    @property
    def held_gib(self) -> float:
        return self.gpu_gib if self.measured_gib is None else self.measured_gib

    def works(self, *, processing: bool = True) -> None:
        """Have its port say, from now on, that it answers a request or none."""
        self.port, self.slots = "ready", (Slot(slot_id=0, processing=processing),)

    def dies(self) -> None:
        """End its process, of which the server knows nothing."""
        self.is_running, self.port = False, None

    def claim(self) -> ModelClaim:
        """Return the row of the server's list."""
        row = fakes.claim(self.name, gpu_gib=self.gpu_gib, ram_gib=self.ram_gib)
        left = self.expires_seconds
        return replace(
            row,
            context_length=self.context,
            quantization=self.quantization,
            expires_at=None if left is None else START + left,
        )

    def process(self) -> RunnerProcess:
        """Return its process."""
        one = process_fakes.runner(
            self.pid, self.blob, kind=self.kind, started=self.started, cpu_percent=self.cpu_percent
        )
        return replace(one, settings=replace(one.settings, **self.settings), **self.counts)

    def answer(self) -> AnySample:
        """Return what its port says."""
        said = process_fakes.answer(
            self.machine.now, self.port or "ready", pid=self.pid, started=self.started
        )
        return replace(said, slots=None if self.slots is None else tuple(self.slots))

    def facts(self, source: str) -> AnySample:
        """Return what the server says of its file."""
        if self.shape is not None:
            return self.shape
        architecture = self.weights.architecture if self.weights else None
        blobs = (self.blob,) if self.blob else ()
        said = process_fakes.facts(
            self.machine.now, self.name, *blobs, source=source, architecture=architecture
        )
        return replace(said, **self.weights.fields()) if self.weights else said

    def request(
        self, rate: Rate = 40.0, seconds: float = 6.0, *, prompt: int = PROMPT_TOKENS, parallel: int = 1
    ) -> None:
        """Answer as many requests at once for a while, with a look each second, then rest."""
        first, decoded = self.tasks, 1.0
        self.tasks += parallel
        port, self.port = self.port, None  # it is polled twice as often as it is looked at
        for step in range(int(seconds / POLL_SECONDS) + 1):
            if step % 2 == 0:
                self.machine.look()
            self.polled([working_slot(slot, first + slot, prompt, int(decoded)) for slot in range(parallel)])
            self.machine.now += POLL_SECONDS
            decoded += POLL_SECONDS * (rate(self.machine.now) if callable(rate) else rate)
        self.polled([resting_slot(slot, first + slot, prompt, int(decoded)) for slot in range(parallel)])
        self.port, self.slots = port, None
        self.machine.now += 1.0

    def usual(
        self, rate: Rate = 40.0, count: int = 6, *, prompt: int = PROMPT_TOKENS, parallel: int = 1
    ) -> None:
        """Answer enough requests for a baseline."""
        for _ in range(count):
            self.request(rate, prompt=prompt, parallel=parallel)

    def polled(self, slots: Sequence[Slot]) -> None:
        """Have its port say once what its slots do."""
        self.slots = slots
        self.machine.say(self.answer())


@dataclass
class Server:
    """An Ollama of this machine."""

    machine: Machine
    url: str = OLLAMA
    pid: int = process_fakes.SERVER_PID
    settings: dict[str, str] = field(default_factory=dict)
    """Variables of its process's environment."""
    state: SourceState | None = None
    """As it answers unless told otherwise: then nothing is known of its models."""
    detail: str | None = None
    models: list[Model] = field(default_factory=list)
    described: set[str] = field(default_factory=set)

    def load(self, model: Model) -> Model:
        """Have a model from now on."""
        model.machine = self.machine
        self.models.append(model)
        return model

    def unload(self, model: Model) -> None:
        """Let a model go, with its process."""
        self.models.remove(model)

    def samples(self) -> Iterator[AnySample]:
        """Return its look, and what it says of models that are new."""
        if self.state is not None:
            yield fakes.ollama(self.machine.now, None, source=self.url, state=self.state, detail=self.detail)
            return
        for model in self.models:
            if model.is_described and model.name not in self.described:
                self.described.add(model.name)
                yield model.facts(self.url)
        claims = [model.claim() for model in self.models if model.is_claimed]
        yield fakes.ollama(self.machine.now, claims, source=self.url)


@dataclass
class LlamaServer:
    """A llama-server that Ollama has not started: it tells its weights, and nothing of where they are."""

    machine: Machine
    name: str = "llama-3-8b"
    measured_gib: float = 6.0
    pid: int = 500
    gpu: int = 0
    gpu_layers: int | None = None
    is_asked: bool = False
    """Whether it is asked by its URL, and not only by the port of its process."""
    port: PortState = "ready"
    settings: dict[str, Any] = field(default_factory=dict)
    """Further settings of its command line."""
    file: ModelFacts | None = None
    """What its file holds; nobody reads it where this is ``None``."""
    weights_gib: float | None = None
    """As it states them; 5 unless told otherwise."""
    held: dict[int, float] = field(default_factory=dict)
    """What it holds by GPU, where that is more than one."""
    slots: Sequence[Slot] | None = None
    rss_gib: float | None = None

    def process(self) -> RunnerProcess:
        """Return its process."""
        one = served_fakes.alone(self.pid, alias=self.name, gpu_layers=self.gpu_layers)
        rss_bytes = None if self.rss_gib is None else int(self.rss_gib * fakes.GIB)
        return replace(one, rss_bytes=rss_bytes, settings=replace(one.settings, **self.settings))

    def holds(self, gpu: int) -> float:
        """Return what it holds of a GPU, in GiB."""
        return self.held.get(gpu, 0.0) if self.held else self.measured_gib if gpu == self.gpu else 0.0

    def samples(self) -> Iterator[AnySample]:
        """Return what it says: by its URL or by the port of its process; and what its file holds."""
        if self.file is not None:
            yield FileFacts(
                time=START + self.machine.now,
                source="files",
                pid=self.pid,
                started=self.process().started,
                facts=self.file,
            )
        facts = served_fakes.FACTS
        if self.weights_gib is not None:
            facts = replace(facts, weights_bytes=round(self.weights_gib * fakes.GIB))
        if self.is_asked:
            yield served_fakes.served(self.machine.now, self.name)
            yield served_fakes.statistics(self.machine.now, name=self.name, facts=facts, state=self.port)
            return
        said = process_fakes.answer(self.machine.now, self.port, pid=self.pid, processing=False)
        yield replace(said, facts=facts, slots=said.slots if self.slots is None else tuple(self.slots))


@dataclass(init=False)
class Machine:
    """Cards, servers and programs, and what is made of what they say."""

    def __init__(self, *gpus: Gpu, ram_gib: float = 64.0, limits: Limits | None = None) -> None:
        self.gpus = list(gpus) or [Gpu()]
        self.ram_gib = ram_gib
        self.available_gib = ram_gib / 2
        self.swap_in = 0.0
        """Bytes per second."""
        self.io_waiting: float | None = None
        """Percent of the time."""
        self.now = 0.0
        self.servers: list[Server] = []
        self.alone: list[LlamaServer] = []
        self.programs: list[Program] = []
        self.driver: SourceState = "serving"
        self.other_makers: tuple[str, ...] = ()
        """Of GPUs that the driver knows nothing of."""
        self.monitor = Monitor(limits or Limits())
        self.sent: list[AnySample] = []
        self.retouch: Callable[[GpuReading], GpuReading] = lambda reading: reading
        """Changes each reading of a GPU before it is told."""

    @property
    def state(self) -> State:
        return self.monitor.state

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

    def starts(self, program: Program) -> Program:
        """Have a program hold memory of a GPU."""
        self.programs.append(program)
        return program

    def logs(self, *events: LogEvent, source: str = "log x") -> None:
        """Write events to a server's log."""
        healthy = SourceHealth(state="serving")
        self.say(LogSample(time=START + self.now, source=source, health=healthy, events=events))

    def say(self, *samples: AnySample) -> None:
        """Have the monitor take samples, in this order."""
        for sample in samples:
            self.sent.append(sample)
            self.monitor.feed(sample)

    def look(self) -> None:
        """Have every source speak once."""
        self.say(*self.samples())

    def run(self, seconds: float = 1.0, every: float = 1.0) -> Machine:
        """Look now and as often as time allows, up to ``seconds`` from now."""
        end = self.now + seconds
        self.look()
        while self.now + every <= end:
            self.now += every
            self.look()
        return self

    def samples(self) -> list[AnySample]:
        """Return one look of every source."""
        models = [model for server in self.servers for model in server.models]
        looks = [self._driver(models), self._processes(models)]
        looks += [sample for server in self.servers for sample in server.samples()]
        looks += [model.answer() for model in models if model.port]
        looks += [sample for one in self.alone for sample in one.samples()]
        return [
            *looks,
            replace(
                fakes.system(
                    self.now, available_gib=self.available_gib, total_gib=self.ram_gib, swap_in=self.swap_in
                ),
                io_waiting_percent=self.io_waiting,
            ),
        ]

    def alerts(self, kind: str | None = None) -> list[Alert]:
        """Return the alerts that are active, of one kind if told."""
        return [alert for alert in self.monitor.alerts.active if kind in (None, alert.kind)]

    def _driver(self, models: Sequence[Model]) -> AnySample:
        said = fakes.nvml(self.now, *self._readings(models), state=self.driver)
        return replace(said, other_makers=self.other_makers)

    def _readings(self, models: Sequence[Model]) -> Iterator[GpuReading]:
        for index, card in enumerate(self.gpus):
            held = {one.pid: one.held_gib for one in models if one.gpu == index and one.is_running}
            held |= {one.pid: one.gib for one in self.programs if one.gpu == index}
            held |= {one.pid: one.holds(index) for one in self.alone if one.holds(index)}
            yield self.retouch(card.reading(index, held))

    def _processes(self, models: Sequence[Model]) -> AnySample:
        holders = [
            HolderProcess(pid=one.pid, name=one.name, started=one.started, group=one.group)
            for one in self.programs
        ]
        runners = [one.process() for one in models if one.is_running]
        runners += [one.process() for one in self.alone]
        servers = [process_fakes.server(one.pid, one.url, settings=one.settings) for one in self.servers]
        return process_fakes.processes(self.now, *runners, servers=servers, holders=holders)


def loaded(model: Model | None = None, machine: Machine | None = None) -> Model:
    """Return a model on the Ollama of a machine, of one busy GPU unless told otherwise."""
    return (machine or Machine(Gpu(utilization=90))).ollama().load(model or Model())
