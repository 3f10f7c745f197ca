"""An Ollama that loads, evicts and forgets models as the real scheduler does (server/sched.go)."""

from __future__ import annotations

from collections.abc import Callable

from gpumon.app.demo.models import LIBRARY, Llm, place
from gpumon.app.demo.runner import Runner
from gpumon.app.demo.watching import MODELS_PATH, SOURCE_URL
from gpumon.collectors.samples import (
    AnySample,
    BlobNames,
    InstalledModel,
    InstalledModels,
    ModelFacts,
    ModelWeights,
    ServerSample,
    SourceHealth,
)

SOURCE = SOURCE_URL
VERSION = "0.32.15"
VRAM_RECOVERY_SECONDS = 1.2
"""How long the driver takes to show the memory of a runner that has ended as free."""
TAGS_EVERY_SECONDS = 300.0

FreeBytes = Callable[[], dict[int, int]]
"""Free memory of each GPU that works, by index."""


class Server:
    """The models that are loaded, and what the API says about them."""

    def __init__(
        self,
        free_bytes: FreeBytes,
        keep_alive_seconds: float,
        read_bytes_per_second: float,
        bandwidth_bytes_per_second: float,
    ) -> None:
        self._free_bytes = free_bytes
        self._keep_alive = keep_alive_seconds
        self._read_rate = read_bytes_per_second
        self._bandwidth = bandwidth_bytes_per_second
        self._up_since = 0.0
        self._next_pid = 48210
        self._has_described = False
        self._tags_at = 0.0
        self._down_until = 0.0
        self.runners: list[Runner] = []
        self.leaving: list[tuple[Runner, float]] = []
        """Runners that have ended, and until when their memory is still shown as used."""

    def request(
        self, name: str, context: int, seconds: float, now: float, gpus: tuple[int, ...] | None = None
    ) -> None:
        """Accept a client's request: load the model if it is not loaded with this context, then work."""
        if now < self._down_until:
            return
        runner = next((one for one in self.runners if one.llm.name == name), None)
        if runner is not None and runner.context != context:
            self._unload(runner, now)
            runner = None
        if runner is None:
            runner = self._load(name, context, now, gpus)
        runner.request(now, seconds)

    def stop(self, name: str, now: float) -> None:
        """Unload a model as ``ollama stop`` does."""
        for runner in [one for one in self.runners if one.llm.name == name]:
            self._unload(runner, now)

    def unload(self, name: str, now: float) -> None:
        """Let a model go as soon as its request has ended, as ``keep_alive: 0`` does; a load is given up."""
        for runner in [one for one in self.runners if one.llm.name == name]:
            if now < runner.ready_at:
                self._unload(runner, now)
            else:
                runner.finish(now)

    def crash(self, gpu: int, now: float) -> None:
        """End every runner that has memory on a GPU that was lost."""
        for runner in [one for one in self.runners if gpu in one.placement.gpu_bytes]:
            self._unload(runner, now)

    def go_down(self, now: float, seconds: float) -> None:
        """End the server and its runners for a while."""
        for runner in list(self.runners):
            self._unload(runner, now)
        self._down_until = self._up_since = now + seconds
        self._tags_at = 0.0

    def tick(self, now: float) -> None:
        """Unload what has expired; forget the memory that the driver has taken back."""
        for runner in list(self.runners):
            if not runner.busy(now) and now >= runner.expires_at(now):
                self._unload(runner, now)
        self.leaving = [(runner, until) for runner, until in self.leaving if now < until]

    def up_since(self, now: float) -> float | None:
        """Return when the server was started, ``None`` while it is down."""
        return None if now < self._down_until else self._up_since

    def samples(self, now: float) -> list[AnySample]:
        """Return what a collector would say now."""
        if now < self._down_until:
            return [ServerSample(kind="ollama", time=now, source=SOURCE, health=_NOT_RUNNING)]
        ready = sorted(
            (runner for runner in self.runners if now >= runner.ready_at),
            key=lambda runner: (-runner.expires_at(now), runner.pid),
        )
        claims = tuple(runner.claim(now) for runner in ready)
        health = SourceHealth(state="serving" if claims else "idle")
        said: list[AnySample] = [
            ServerSample(
                kind="ollama",
                time=now,
                source=SOURCE,
                health=health,
                version=VERSION,
                models=claims,
                clock_offset_seconds=0.0,
            )
        ]
        return said + self._tags(now) + self._descriptions(now)

    def _load(self, name: str, context: int, now: float, gpus: tuple[int, ...] | None) -> Runner:
        llm = LIBRARY[name]
        evicted = False
        while True:
            free = {gpu: size for gpu, size in self._free_bytes().items() if gpus is None or gpu in gpus}
            placement = place(llm, context, free)
            others = [one for one in self.runners if free.keys() & one.placement.gpu_bytes.keys()]
            if placement.whole or not others:
                break
            self._unload(min(others, key=lambda one: one.busy_until), now)
            evicted = True
        self._next_pid += 17
        wait = VRAM_RECOVERY_SECONDS if evicted or self.leaving else 0.0
        runner = Runner(
            llm,
            context,
            placement,
            self._next_pid,
            now + wait,
            self._read_rate,
            self._keep_alive,
            self._bandwidth,
        )
        self.runners.append(runner)
        return runner

    def _unload(self, runner: Runner, now: float) -> None:
        self.runners.remove(runner)
        self.leaving.append((runner, now + VRAM_RECOVERY_SECONDS))

    def _tags(self, now: float) -> list[AnySample]:
        if now < self._tags_at:
            return []
        self._tags_at = now + TAGS_EVERY_SECONDS
        models = tuple(
            InstalledModel(name=llm.name, digest=llm.digest, size_bytes=llm.file_bytes)
            for llm in LIBRARY.values()
        )
        manifests = BlobNames(
            time=now,
            source=f"models {MODELS_PATH}",
            names={llm.blob: (llm.name,) for llm in LIBRARY.values()},
            digests={llm.name: llm.digest for llm in LIBRARY.values()},
        )
        return [InstalledModels(time=now, source=SOURCE, models=models), manifests]

    def _descriptions(self, now: float) -> list[AnySample]:
        """Describe every installed model once: in a demonstration nobody can be asked later."""
        if self._has_described:
            return []
        self._has_described = True
        return [_description(llm, now) for llm in LIBRARY.values()]


def _description(llm: Llm, now: float) -> ModelFacts:
    """Return what ``/api/show`` says of a model."""
    return ModelFacts(
        time=now,
        source=SOURCE,
        name=llm.name,
        digest=llm.digest,
        architecture=llm.family,
        blobs=(llm.blob,),
        capabilities=("completion", "tools"),
        trained_context_length=llm.trained_context,
        layer_count=llm.layers,
        embedding_length=llm.embedding,
        parameter_count=llm.parameter_count,
        geometry={
            f"{llm.family}.attention.head_count": llm.heads,
            f"{llm.family}.attention.head_count_kv": llm.kv_heads,
            f"{llm.family}.attention.key_length": llm.head_dim,
            f"{llm.family}.attention.value_length": llm.head_dim,
        },
        weights=_weights(llm),
    )


def _weights(llm: Llm) -> ModelWeights:
    """Return where the bytes of its file belong."""
    described = llm.layer_bytes * llm.layers + llm.embedding_bytes + llm.output_bytes
    return ModelWeights(
        layer_bytes=(llm.layer_bytes,) * llm.layers,
        expert_bytes=(0,) * llm.layers,
        token_embedding_bytes=llm.embedding_bytes,
        output_bytes=llm.output_bytes,
        other_bytes=llm.file_bytes - described,
        element_count=llm.parameter_count,
        vocabulary_size=llm.vocabulary,
    )


_NOT_RUNNING = SourceHealth(
    state="not_running",
    detail="connection refused at 127.0.0.1:11434",
    hint="start it with: ollama serve",
)
