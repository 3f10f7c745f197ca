"""Docker Model Runner: starts a llama-server or vLLM for each model, behind Ollama's routes as well.

``/engines/ps`` lists what is loaded, loads and is at work. A llama-server of its listens on a Unix socket
inside its container, and the figures that it gathers (``/metrics``) leave out models in the version that was
read: so there is no rate of now. ``/engines/requests`` returns prompts and is never asked. It answers
``/api/ps`` as an Ollama 0.1.0 would: nothing of that is believed. (docker/model-runner, 22 July 2026.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from msgspec import structs

from gpumon.collectors.http import fields
from gpumon.collectors.samples import ModelClaim, ModelState, RunnerSettings, Said, WorkCounters
from gpumon.collectors.servers.command_line import program_name
from gpumon.collectors.servers.kind import ServerKind
from gpumon.collectors.servers.talk import Answers, Asked, FoundServer, ProcessView, Talk

if TYPE_CHECKING:
    from gpumon.collectors.http.endpoint import Endpoint

PORT = 12434
STATUS = "/engines/status"
LOADED = "/engines/ps"
INSTALLED = "/models"
BACKENDS = frozenset({"llama.cpp", "vllm", "sglang", "mlx", "diffusers"})
"""Keys of ``/engines/status``."""
ALGORITHM = "sha256:"
REGISTRY = "docker.io/"
NAMESPACE = "ai/"
LATEST = ":latest"
LLAMA_CPPS = "MOSTLY_"
"""Begins the names of file types as older llama.cpp wrote them."""
NO_FIGURES = "a llama-server of Docker Model Runner listens on a Unix socket: no rates"


class DockerModelRunnerKind(ServerKind):
    """Known by its own mark before Ollama is believed."""

    name, label = "docker_model_runner", "Docker Model Runner"
    gives = "its models, which of them loads or works; no rates, and what is on GPUs only the driver tells"
    default_url = f"http://127.0.0.1:{PORT}"
    paths = frozenset({STATUS, LOADED, INSTALLED})
    program_starts = ("model-runner", "com.docker.llama-server")
    imitates = "ollama"
    runners_are = "routed"
    manages_memory = True
    unload_words = "unload it with: docker model unload NAME"

    async def recognise(self, answers: Answers) -> bool:
        """Whether it tells of its backends; asked only where the answers so far may be its own.

        Ollama says in which character set it writes.
        """
        listed = answers.seen.get("/api/ps")
        is_ollamas = listed is not None and "charset" in listed.headers.get("content-type", "")
        if listed is not None and listed.status == 200 and is_ollamas:
            return False
        reply = await answers.get(STATUS)
        said = fields.read(reply.body, fields.OBJECT) if reply is not None and reply.status == 200 else None
        return said is not None and not BACKENDS.isdisjoint(said)

    def converse(self, asked: Asked) -> Talk:
        """Return a new conversation."""
        from gpumon.collectors.samples import SourceHealth
        from gpumon.collectors.servers.conversation import Conversation, Look, UnusableError
        from gpumon.collectors.servers.health import foreign

        class DockerModelRunnerConversation(Conversation):
            """Asks what is loaded; what the files are when a model is new."""

            def __init__(self, kind: ServerKind, asked: Asked) -> None:
                super().__init__(kind, asked)
                self._files: dict[str, Stored] = {}

            def forget(self) -> None:
                super().forget()
                self._files = {}

            async def look(self) -> Look:
                body = (await self.get(LOADED)).body
                loaded = loaded_models(body)
                if loaded is None:
                    problem = SourceHealth(state="nonsense", detail=f"{LOADED} is no list")
                    is_json = fields.read(body, fields.ANYTHING) is not None
                    raise UnusableError(problem if is_json else foreign(self.endpoint, self.kind))
                await self._look_up({_full_name(claim.name) for claim, _ in loaded})
                return Look(
                    models=tuple(self._with_file(claim) for claim, _ in loaded),
                    work=tuple((claim.name, said) for claim, said in loaded),
                    origin=LOADED,
                )

            async def _look_up(self, names: set[str]) -> None:
                if names - self._files.keys():
                    known = stored_models((await self.get(INSTALLED)).body)
                    self._files = {name: known.get(name, Stored()) for name in names}

            def _with_file(self, claim: ModelClaim) -> ModelClaim:
                file = self._files.get(_full_name(claim.name), Stored())
                return structs.replace(claim, **file._asdict())

        return DockerModelRunnerConversation(self, asked)

    def start_hint(self, endpoint: Endpoint) -> str:
        """Return the line that lets it listen."""
        return f"docker desktop enable model-runner --tcp {endpoint.address.port}"

    def recognise_process(self, process: ProcessView) -> FoundServer | None:
        """Return a server for its program."""
        return FoundServer(self.name) if program_name(process.argv) == "model-runner" else None

    def told_url(self, argv: Sequence[str], environ: Mapping[str, str] | None) -> str | None:
        """Return where it listens unless told otherwise: by a variable, and inside its container."""
        del argv, environ
        return self.default_url

    def full_name(self, name: str) -> str:
        """Return the name with the registry, the namespace and the tag that its clients may leave out."""
        return _full_name(name)

    def holds(self, claim: ModelClaim, settings: RunnerSettings) -> bool:
        """Whether a process was started for a model: its file lies in a folder named by the digest."""
        path = settings.model_path or settings.model_name or ""
        return claim.digest is not None and f"/sha256/{claim.digest}/" in path


class Stored(NamedTuple):
    """What it says of a model's file."""

    digest: str | None = None
    format: str | None = None
    parameter_size: str | None = None
    quantization: str | None = None


def loaded_models(body: bytes) -> tuple[tuple[ModelClaim, Said], ...] | None:
    """Return the models that it has loaded or loads, and their work; ``None`` if the body is no list."""
    rows = fields.read(body, fields.ROWS)
    if rows is None:
        return () if body.strip() == b"null" else None
    found: dict[str, tuple[ModelClaim, Said]] = {}
    for raw in rows:
        row = fields.read(raw, fields.OBJECT)
        name = fields.text(row, "model_name") if row is not None else None
        if row is None or name is None:
            continue
        is_loading = fields.field(row, "loading", fields.ANYTHING) is True
        is_in_use = fields.field(row, "in_use", fields.ANYTHING) is True
        counters = WorkCounters(grows_live=True, requests_processing=int(is_in_use))
        state: ModelState = "loading" if is_loading else "ready"
        detail = NO_FIGURES if fields.text(row, "backend_name") == "llama.cpp" else None
        found[_full_name(name)] = (
            ModelClaim(name=name.removeprefix(REGISTRY), state=state),
            Said(state, detail, counters=counters),
        )
    return tuple(found.values())


def stored_models(body: bytes) -> dict[str, Stored]:
    """Return what is told of the files of the models on its disk, by each of their names."""
    found: dict[str, Stored] = {}
    for raw in fields.read(body, fields.ROWS) or ():
        row = fields.read(raw, fields.OBJECT) or {}
        config, digest = fields.nested(row, "config"), fields.text(row, "id") or ""
        stored = Stored(
            digest.removeprefix(ALGORITHM) if digest.startswith(ALGORITHM) else None,
            fields.text(config, "format"),
            (fields.text(config, "parameters") or "").replace(" ", "") or None,
            (fields.text(config, "quantization") or "").removeprefix(LLAMA_CPPS) or None,
        )
        names = [*fields.texts(row, "tags", 64), digest]
        found |= {_full_name(name): stored for name in names if name}
    return found


def _full_name(name: str) -> str:
    short = name.removeprefix(REGISTRY)
    if short.startswith(ALGORITHM):
        return short
    short = short if "/" in short else NAMESPACE + short
    return short if ":" in short.rpartition("/")[2] else short + LATEST
