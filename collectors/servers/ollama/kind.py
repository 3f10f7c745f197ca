"""Ollama: what gpumon knows of it apart from the talk over HTTP."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gpumon.collectors.http.endpoint import Endpoint, parse_host
from gpumon.collectors.samples import ModelFacts
from gpumon.collectors.servers.kind import MIB, Line, LoadDefaults, RunnerKind, ServerKind
from gpumon.collectors.servers.ollama.command_line import SERVE_COMMANDS, ollama_command, parse_runner
from gpumon.collectors.servers.talk import (
    Answers,
    Asked,
    FoundRunner,
    FoundServer,
    ProcessView,
    RunnerTalk,
    Talk,
)
from gpumon.collectors.source import Clock

if TYPE_CHECKING:
    from gpumon.collectors.servers.port import Port

USUAL_URL = "http://127.0.0.1:11434"
IN_RUN = "in ollama run"
IN_MODELFILE = "in its Modelfile"
IN_ENVIRONMENT = "in the server's environment"
AS_SERVICE = "where Ollama is a systemd service"
LONGER_KEEP_ALIVE = "1h"
GREETING = b"Ollama is running"
"""The answer of ``GET /`` (ollama: server/routes.go)."""

_OWN_REGISTRIES = ("registry.ollama.ai/", "ollama.com/")
_OWN_NAMESPACE = "library/"
_DEFAULT_CONTEXTS = ((47 * 1024 * MIB, 262144), (23 * 1024 * MIB, 32768))
"""Total VRAM from which the default context is larger."""
_SMALLEST_DEFAULT_CONTEXT = 4096
_OWN_MARGIN_BYTES = 457 * MIB
"""What Ollama before 0.30 leaves free of each CUDA device (ollama: ml/device.go, MinimumMemory)."""
_NEWER = "Ollama 0.30 or newer tells its token rates"
_ESTIMATE = "this version of Ollama claims an estimate, often too high"


def _own_runner(name: str, *, estimates: bool, margin_bytes: int = 1024 * MIB) -> RunnerKind:
    """Return a kind of runner of Ollama's own; claims may be gigabytes too high (ollama#10740, #6160)."""
    return RunnerKind(
        name=name,
        tells_rates=False,
        update_hint=_NEWER,
        claim="estimate" if estimates else None,
        estimate_words=_ESTIMATE if estimates else None,
        margin_bytes=margin_bytes,
    )


class OllamaKind(ServerKind):
    """``ollama serve``. From 0.30 on its runners are llama-servers, before that its own program."""

    name, label = "ollama", "Ollama"
    gives = "names, quantisation, context, what it claims of GPU and RAM"
    default_url = USUAL_URL
    paths = frozenset({"/api/ps", "/api/show", "/api/tags", "/api/version", "/health", "/v1/status"})
    url_variable = "OLLAMA_HOST"
    program_starts = ("ollama",)
    runners = (
        # ollama runner [--ollama-engine] --model BLOB: 0.5 to 0.24
        _own_runner("ollama_runner", estimates=True, margin_bytes=_OWN_MARGIN_BYTES),
        # ollama_llama_server: up to 0.4
        _own_runner("legacy_runner", estimates=True, margin_bytes=_OWN_MARGIN_BYTES),
        # ollama runner --mlx-engine --model NAME
        _own_runner("mlx_runner", estimates=False),
        # ollama runner --imagegen-engine --model NAME
        _own_runner("imagegen_runner", estimates=True),
    )
    kept_variables = frozenset(
        {
            "OLLAMA_CONTEXT_LENGTH",
            "OLLAMA_NUM_PARALLEL",
            "OLLAMA_KV_CACHE_TYPE",
            "OLLAMA_FLASH_ATTENTION",
            "OLLAMA_KEEP_ALIVE",
            "OLLAMA_MAX_LOADED_MODELS",
            "OLLAMA_SCHED_SPREAD",
            "OLLAMA_GPU_OVERHEAD",
            "CUDA_VISIBLE_DEVICES",
            "CUDA_DEVICE_ORDER",
        }
    )
    environment = kept_variables | {"HOME", "OLLAMA_HOST", "OLLAMA_MODELS"}
    runners_are = "claimed"
    children_serve = False
    keeps_blobs = True
    manages_memory = True
    claim_source = "/api/ps"
    claim_leaves_out = frozenset({"sliding_window", "projector", "draft"})
    unloads = True
    context_variable = "OLLAMA_CONTEXT_LENGTH"
    context_note = " (a client of the API sets options.num_ctx)"

    async def recognise(self, answers: Answers) -> bool:
        """Whether it greets as Ollama does."""
        reply = await answers.get("/")
        return reply is not None and reply.body.strip() == GREETING

    def converse(self, asked: Asked) -> Talk:
        """Return a new conversation."""
        from gpumon.collectors.servers.ollama.server import OllamaSource

        return OllamaSource(self, asked)

    def start_hint(self, endpoint: Endpoint) -> str:
        """Return the line that starts it, here or there."""
        if endpoint.is_loopback:
            return "start it with: ollama serve"
        return "start Ollama there with OLLAMA_HOST=0.0.0.0, so that it listens beyond loopback"

    address_hint = "check --url or OLLAMA_HOST; Ollama's own port is 11434"

    def load_defaults(self, settings: Mapping[str, str]) -> LoadDefaults:
        """Return what its variables say; a type of cache needs flash attention (ollama: llm/server.go).

        A log writes ``false`` for a variable that is not set, which leaves it to the server.
        """
        no_flash = settings.get("OLLAMA_FLASH_ATTENTION") in {"0", "f", "F", "FALSE", "False"}
        return LoadDefaults(
            context_length=_count(settings.get("OLLAMA_CONTEXT_LENGTH")),
            slots=_count(settings.get("OLLAMA_NUM_PARALLEL")),
            cache_type=None if no_flash else settings.get("OLLAMA_KV_CACHE_TYPE") or None,
            devices=settings.get("CUDA_VISIBLE_DEVICES") or None,
            by_slot=settings.get("CUDA_DEVICE_ORDER") == "PCI_BUS_ID",
        )

    def recognise_process(self, process: ProcessView) -> FoundServer | FoundRunner | None:
        """Return a server for ``ollama serve``, a runner for a process of its own that holds a model."""
        if ollama_command(process.argv) in SERVE_COMMANDS:
            return FoundServer(self.name)
        found = parse_runner(process.argv)
        return FoundRunner(*found) if found else None

    def converse_with_runner(self, runner: str, port: Port, clock: Clock, *, may_sleep: bool) -> RunnerTalk:
        """Return how a runner of its own is asked: one small answer that says how far loading is."""
        from gpumon.collectors.servers.ollama.runners import StatusRunner, dialect_of

        del may_sleep
        return StatusRunner(port, clock, dialect_of(runner))

    def told_url(self, argv: Sequence[str], environ: Mapping[str, str] | None) -> str | None:
        """Return where ``OLLAMA_HOST`` says; ``None`` where the environment may not be read."""
        del argv
        return None if environ is None else parse_host(environ.get("OLLAMA_HOST", "")).url

    def models_path(self, environ: Mapping[str, str], home: str | None) -> str | None:
        """Return ``OLLAMA_MODELS``, else the default in the owner's home (ollama: envconfig, ``Models``)."""
        if models := environ.get("OLLAMA_MODELS", "").strip().strip("\"'"):
            return models
        own = environ.get("HOME") or home
        return str(Path(own) / ".ollama" / "models") if own else None

    def full_name(self, name: str) -> str:
        """Return a name without what Ollama leaves out, and with the tag that it implies."""
        for registry in _OWN_REGISTRIES:
            name = name.removeprefix(registry)
        name = name.removeprefix(_OWN_NAMESPACE)
        return name if ":" in name.rpartition("/")[2] else f"{name}:latest"

    def default_context(self, total_vram_bytes: int) -> int:
        """Return the default for the VRAM of all GPUs together (ollama: server/routes.go, ``Serve``)."""
        tiers = (tokens for least, tokens in _DEFAULT_CONTEXTS if total_vram_bytes >= least)
        return next(tiers, _SMALLEST_DEFAULT_CONTEXT)

    async def unload(self, endpoint: Endpoint, name: str) -> str | None:
        """Ask for it as ``ollama stop`` does."""
        from gpumon.collectors.servers.ollama.actions import unload

        return await unload(endpoint, name, self)

    async def describe(self, endpoint: Endpoint, clock: Clock, name: str, digest: str) -> ModelFacts | str:
        """Ask ``/api/show``, which loads nothing."""
        from gpumon.collectors.servers.ollama.actions import describe

        return await describe(endpoint, clock, name, digest, self)

    def read_installed(self, models_path: str, name: str, digest: str) -> ModelFacts | None:
        """Read the manifest, and the header of the weights."""
        from gpumon.collectors.servers.ollama.disk import read_installed

        return read_installed(models_path, name, digest)

    short_requests_hint = ": its log would tell, or gpumon meter"

    def set_context(self, tokens: int, slots: int) -> Line:
        """Return the line to type in a chat; it counts the context of one slot."""
        del slots
        return Line(f"/set parameter num_ctx {tokens}", IN_RUN)

    def set_cache_type(self, cache_type: str, *, has_flash_attention: bool) -> Line:
        """Return the variables: one that is quantised needs flash attention."""
        flash = "" if has_flash_attention else "OLLAMA_FLASH_ATTENTION=1 "
        return Line(f"{flash}OLLAMA_KV_CACHE_TYPE={cache_type}", IN_ENVIRONMENT)

    def set_slots(self, slots: int) -> Line:
        """Return the variable."""
        return Line(f"OLLAMA_NUM_PARALLEL={slots}", IN_ENVIRONMENT)

    layers_setting = "num_gpu"

    def set_layers(self, layers: int) -> Line:
        """Return the line of a Modelfile."""
        return Line(f"PARAMETER num_gpu {layers}", IN_MODELFILE)

    def set_expert_layers(self, layers: int) -> Line:
        """Return the variable, which Ollama hands on to its llama-servers."""
        return Line(f"LLAMA_ARG_N_CPU_MOE={layers}", IN_ENVIRONMENT)

    full_context_words = "what came first is dropped without a word"
    """Of a prompt, and while it answers: its runners have ``--context-shift``."""
    keep_in_ram = Line("/set parameter use_mmap false", IN_RUN)
    """Typed in a chat (ollama: api/types.go, ``Runner``)."""

    def stop(self, url: str, name: str) -> str | None:
        """Return ``ollama stop``; ``None`` for a name that cannot be typed."""
        if not name.isprintable() or name.startswith("-"):
            return None
        host = "" if _is_usual(url) else f"OLLAMA_HOST={shlex.quote(url)} "
        return f"{host}ollama stop {shlex.quote(name)}"

    restart = Line("sudo systemctl restart ollama", AS_SERVICE)
    keep_longer = Line(f"OLLAMA_KEEP_ALIVE={LONGER_KEEP_ALIVE}", IN_ENVIRONMENT)

    def fix_context(self, tokens: int) -> Line:
        """Return the line of a Modelfile."""
        return Line(f"PARAMETER num_ctx {tokens}", IN_MODELFILE)

    def shrink_all(self, *, context_length: int | None, cache_type: str | None) -> Line:
        """Return the variables: they hold for all models."""
        variables = [
            *([f"OLLAMA_KV_CACHE_TYPE={cache_type}"] if cache_type else []),
            *([f"OLLAMA_CONTEXT_LENGTH={context_length}"] if context_length else []),
        ]
        return Line(" ".join(variables), IN_ENVIRONMENT)

    def allow_loaded(self, count: int) -> Line:
        """Return the variable."""
        return Line(f"OLLAMA_MAX_LOADED_MODELS={count}", IN_ENVIRONMENT)

    def spreads(self, settings: Mapping[str, str]) -> bool:
        """Return whether ``OLLAMA_SCHED_SPREAD`` is set (ollama: envconfig, ``Bool``)."""
        return settings.get("OLLAMA_SCHED_SPREAD", "").lower() not in {"", "0", "f", "false"}

    def reserved_bytes(self, settings: Mapping[str, str]) -> int:
        """Return ``OLLAMA_GPU_OVERHEAD``, which counts where Ollama places layers itself (before 0.30)."""
        said = settings.get("OLLAMA_GPU_OVERHEAD", "")
        return int(said) if re.fullmatch(r"[0-9]{1,15}", said, re.ASCII) else 0

    def loaded_limit(self, settings: Mapping[str, str]) -> int | None:
        """Return ``OLLAMA_MAX_LOADED_MODELS``; 0 there is no limit."""
        return _count(settings.get("OLLAMA_MAX_LOADED_MODELS"))


def _count(said: str | None) -> int | None:
    """Return a variable's number; ``None`` for 0, which leaves it to the server, and for what is none."""
    return int(said) or None if said and re.fullmatch(r"[0-9]{1,9}", said, re.ASCII) else None


def _is_usual(url: str) -> bool:
    address = parse_host(url)
    usual = parse_host(USUAL_URL)
    hosts = {"localhost", "127.0.0.1", "::1"}
    return address.host.lower() in hosts and (address.port, address.path) == (usual.port, usual.path)
