"""Models that a server has loaded, and the servers, with what they say."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace
from tests.fakes import process_samples as process_fakes
from tests.fakes import samples as fakes
from tests.fakes import served_samples as served_fakes
from tests.fakes.samples import OLLAMA, START
from tests.scene.loading import Loading
from tests.scene.things import Weights, resting_slot, working_slot

from gpumon.app.monitor import Monitor
from gpumon.app.state.records import ModelRecord
from gpumon.collectors.samples import (
    AnySample,
    FileFacts,
    KnownBy,
    LoadFacts,
    ModelClaim,
    ModelFacts,
    ModelState,
    RunnerProcess,
    ServerProcess,
    Slot,
    SourceState,
)

if TYPE_CHECKING:
    from tests.scene.machine import Machine

SERVED_CONTEXT = 8192
POLL_SECONDS = 0.5
PROMPT_TOKENS = 500
BLOB = process_fakes.BLOB

Rate = float | Callable[[float], float]
"""Tokens per second of one request, or what it is at a time of the machine."""


@dataclass
class Model:
    """A loaded model with its process; what is set before a look is so in it."""

    name: str = "llama3:70b"
    gpu_gib: float = 10.0
    ram_gib: float | None = 0.0
    """Unknown, as is its size, where it is ``None``."""
    measured_gib: float | Mapping[int, float] | None = None
    """What the driver sees of the process, or sees by GPU; what is claimed unless told."""
    pid: int = 100
    """Of another process than every other model's: the server's ``load`` does not look."""
    started: float = process_fakes.STARTED
    kind: str = "llama_server"
    gpu: int = 0
    context: int = SERVED_CONTEXT
    file_gib: float | None = None
    """As the list of what is installed has it, which is not asked unless told."""
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
    figures: dict[str, Any] = field(default_factory=dict)
    """Further figures of its process."""
    loading: Loading | None = None
    """How it is loaded from its start on, where that is told: then memory and port follow it."""
    port: ModelState | None = None
    """What its own port says; nobody reads it where this is ``None``."""
    slots: Sequence[Slot] | None = None
    load_facts: LoadFacts | None = None
    """What its own port says of how it was loaded."""
    shape: AnySample | None = None
    """All that the server says of its file, where ``weights`` are not enough."""
    tasks: int = 0
    server: Server = field(init=False, repr=False)
    """By which it is loaded."""

    @property
    def machine(self) -> Machine:
        return self.server.machine

    @property
    def monitor(self) -> Monitor:
        return self.machine.monitor

    @property
    def record(self) -> ModelRecord:
        """Return what is known of it."""
        return next(one for one in self.machine.state.models.values() if one.claim.name == self.name)

    @property
    def age(self) -> float:
        """Return the seconds since the start of its process."""
        return self.machine.now - (self.started - START)

    @property
    def is_loading(self) -> bool:
        return self.loading is not None and self.age < self.loading.seconds

    @property
    def is_heard(self) -> bool:
        return self.port is not None or self.loading is not None

    def held(self) -> dict[int, float]:
        """Return the GiB that it holds of each GPU."""
        if self.loading is not None:
            gpus = self.loading.gpus
            return {index: self.loading.after(self.age).vram / gpus for index in range(gpus)}
        held = self.gpu_gib if self.measured_gib is None else self.measured_gib
        return dict(held) if isinstance(held, Mapping) else {self.gpu: held}

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
            self.pid,
            self.blob,
            kind=self.kind,
            server_pid=self.server.pid,
            started=self.started,
            cpu_percent=self.cpu_percent,
        )
        figures = self.figures | (self.loading.figures(self.age) if self.loading else {})
        return replace(one, settings=replace(one.settings, **self.settings), **figures)

    def answer(self) -> AnySample:
        """Return what its port says."""
        said = process_fakes.answer(
            self.machine.now,
            self.loading.after(self.age).port if self.loading else self.port or "ready",
            pid=self.pid,
            started=self.started,
            progress=self.loading.progress(self.age) if self.loading else None,
        )
        slots = None if self.slots is None else tuple(self.slots)
        return replace(said, slots=slots, facts=self.load_facts)

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
    hint: str | None = None
    version: str | None = None
    clock_offset_seconds: float | None = None
    """How far its clock is ahead."""
    is_here: bool = True
    """Whether its process, and those of its models, are seen on this machine."""
    is_contained: bool = False
    is_published: bool = False
    """Whether it is known that its container is reached at ``url``."""
    models_path: str | None = None
    is_asked: bool = True
    known_by: KnownBy = "url"
    """Who has named it to us."""
    models: list[Model] = field(default_factory=list)
    described: set[str] = field(default_factory=set)

    def load(self, model: Model) -> Model:
        """Have a model from now on."""
        model.server = self
        self.models.append(model)
        return model

    def starts(self, model: Model, after: float = 0.0) -> Model:
        """Start the process of a model, ``after`` seconds from now; the server claims it later."""
        model.started, model.is_claimed = START + self.machine.now + after, False
        return self.load(model)

    def brings_up(self, model: Model) -> Model:
        """Load a model before everybody's eyes: its process is ready after 3 s and claimed after 4."""
        machine, began = self.machine, self.machine.now
        self.starts(model)
        machine.look("processes", at=began + 0.5)
        model.port = "loading"
        machine.look("ports", at=began + 1)
        model.port = "ready"
        machine.look("ports", at=began + 3)
        model.is_claimed = True
        machine.look("servers", at=began + 4)
        return model

    def drops(self, model: Model, at: float) -> None:
        """Unload a model before everybody's eyes."""
        self.unload(model)
        self.machine.look("servers", "processes", at=at)

    def unload(self, model: Model) -> None:
        """Let a model go, with its process."""
        self.models.remove(model)

    def process(self) -> ServerProcess:
        """Return its process; inside its container it listens where Ollama does unless told otherwise."""
        url = OLLAMA if self.is_contained else self.url
        one = process_fakes.server(self.pid, url, settings=self.settings, other_namespace=self.is_contained)
        published = (self.url,) if self.is_published else ()
        return replace(one, models_path=self.models_path, published=published)

    def samples(self) -> Iterator[AnySample]:
        """Return its look, and what it says of models that are new."""
        claims = None
        if self.state is None:
            yield from self._descriptions()
            claims = [model.claim() for model in self.models if model.is_claimed and not model.is_loading]
        look = fakes.ollama(self.machine.now, claims, source=self.url, state=self.state, detail=self.detail)
        yield replace(
            look,
            version=self.version,
            known_by=self.known_by,
            clock_offset_seconds=self.clock_offset_seconds,
            health=replace(look.health, hint=self.hint),
        )

    def _descriptions(self) -> Iterator[AnySample]:
        new = [one for one in self.models if one.is_described and one.name not in self.described]
        self.described |= {one.name for one in new}
        sizes: dict[str, float | None] = {one.name: one.file_gib for one in new if one.file_gib is not None}
        if sizes:
            yield fakes.installed(self.machine.now, sizes, source=self.url)
        for model in new:
            yield model.facts(self.url)


@dataclass
class LlamaServer:
    """A llama-server that Ollama has not started: it tells its weights, and nothing of where they are."""

    machine: Machine
    name: str = "llama-3-8b"
    measured_gib: float = 6.0
    pid: int = 500
    gpu: int = 0
    gpu_layers: int | None = None
    cpu_percent: float | None = None
    rss_gib: float | None = None
    is_here: bool = True
    """Whether its process is seen on this machine."""
    is_asked: bool = False
    """Whether it is asked by its URL, and not only by the port of its process."""
    state: SourceState | None = None
    """As its URL answers unless told otherwise: then nothing is known of its models."""
    detail: str | None = None
    port: ModelState = "ready"
    decoded: int | None = None
    """Tokens so far of a request under way, as its URL tells them."""
    started: float = process_fakes.STARTED
    settings: dict[str, Any] = field(default_factory=dict)
    """Further settings of its command line."""
    file: ModelFacts | None = None
    """What its file holds; nobody reads it where this is ``None``."""
    weights_gib: float | None = None
    """As it states them; 5 unless told otherwise."""
    held: dict[int, float] = field(default_factory=dict)
    """What it holds by GPU, where that is more than one."""
    slots: Sequence[Slot] | None = None

    def process(self) -> RunnerProcess:
        """Return its process."""
        one = served_fakes.alone(self.pid, alias=self.name, gpu_layers=self.gpu_layers, started=self.started)
        resident = None if self.rss_gib is None else int(self.rss_gib * fakes.GIB)
        settings = replace(one.settings, **self.settings)
        return replace(one, cpu_percent=self.cpu_percent, rss_bytes=resident, settings=settings)

    def holds(self, gpu: int) -> float:
        """Return what it holds of a GPU, in GiB."""
        return self.held.get(gpu, 0.0) if self.held else self.measured_gib if gpu == self.gpu else 0.0

    def read_file(self) -> AnySample | None:
        """Return what its file holds, where somebody reads it."""
        if self.file is None:
            return None
        at, started = START + self.machine.now, self.process().started
        return FileFacts(time=at, source="files", pid=self.pid, started=started, facts=self.file)

    def facts(self) -> LoadFacts:
        """Return what it says of how it was loaded."""
        if self.weights_gib is None:
            return served_fakes.FACTS
        return replace(served_fakes.FACTS, weights_bytes=round(self.weights_gib * fakes.GIB))

    def by_url(self) -> Iterator[AnySample]:
        """Return what its URL says."""
        now = self.machine.now
        if self.state is not None:
            yield served_fakes.served(now, state=self.state, detail=self.detail)
            return
        yield served_fakes.served(now, self.name)
        yield served_fakes.statistics(now, self.decoded, name=self.name, facts=self.facts(), state=self.port)

    def by_port(self) -> AnySample:
        """Return what the port of its process says."""
        said = process_fakes.answer(
            self.machine.now, self.port, pid=self.pid, started=self.started, processing=False
        )
        slots = said.slots if self.slots is None else tuple(self.slots)
        return replace(said, facts=self.facts(), slots=slots)
