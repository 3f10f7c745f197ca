"""llama-server: what gpumon knows of it apart from the talk over HTTP, and of the programs that start it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from gpumon.collectors.http.endpoint import Endpoint, parse_host
from gpumon.collectors.samples import LoadFacts, ModelClaim, Orders, RunnerSettings
from gpumon.collectors.servers.kind import MIB, Line, RunnerKind, ServerKind
from gpumon.collectors.servers.llama_server.command_line import (
    VARIABLES,
    is_llama_server,
    is_router,
    listening_address,
    settings_of,
)
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


IK_LLAMA = "ik_llama.cpp"
HEADERS = frozenset({"llama.cpp", IK_LLAMA})
"""``Server`` in every answer of llama-server and of its fork, errors included; a proxy puts its own there."""
MARKS = (b'"build_info"', b'"default_generation_settings"')
"""Keys of ``GET /props``."""
DEFAULT_PORT = 8080
"""Where it listens unless told otherwise (llama.cpp: common/common.h)."""
ON_COMMAND_LINE = "on the command line of llama-server"
IN_ENVIRONMENT = "in the environment of llama-server"
FLAG_VARIABLES = {
    "--n-gpu-layers": "LLAMA_ARG_N_GPU_LAYERS",
    "--n-cpu-moe": "LLAMA_ARG_N_CPU_MOE",
    "--cpu-moe": "LLAMA_ARG_CPU_MOE",
    "--n-cpu-ffn": "LLAMA_ARG_N_CPU_FFN",
    "--override-tensor": "LLAMA_ARG_OVERRIDE_TENSOR",
    "--device": "LLAMA_ARG_DEVICE",
    "--fit-target": "LLAMA_ARG_FIT_TARGET",
}
"""Variables of the flags that are named to users."""
SETTINGS = {
    "expert_layers": "--n-cpu-moe",
    "all_experts": "--cpu-moe",
    "ffn_layers": "--n-cpu-ffn",
    "overrides": "--override-tensor",
    "cache_on_gpu": "--no-kv-offload",
    "fit": "--fit",
    "fit_target": "--fit-target",
}
"""Flags by the field of ``Orders`` that they set."""

RUNNER = RunnerKind(
    name="llama_server",
    format="gguf",
    stands_alone=True,
    default_port=DEFAULT_PORT,
    switches={
        "/slots": "start llama-server with --slots",
        "/metrics": "start llama-server with --metrics for exact totals",
    },
    claim="exact",
    claimed_when_loaded=True,
    layers_are_asked=True,
    logs_context_last=True,
)


class LlamaServerKind(ServerKind):
    """A llama-server with one model, or a router that starts one for each model."""

    name, label = "llama_server", "llama-server"
    gives = "names, quantisation, context, token rates; what is on GPUs only the driver tells"
    default_url = f"http://127.0.0.1:{DEFAULT_PORT}"
    paths = frozenset({"/health", "/slots", "/metrics", "/props", "/models", "/v1/models"})
    key_words = "HTTP 401: an API key is asked for"
    key_hint = "name its --api-key under headers in the settings: Authorization, with Bearer before it"
    program_starts = ("llama-",)
    runners = (RUNNER,)
    environment = VARIABLES
    runners_are = "routed"
    estimate_source = "NVML, /v1/models"
    unload_words = "only an Ollama server unloads a model when asked"

    async def recognise(self, answers: Answers) -> bool:
        """Whether it names itself, or ``/props`` looks like its own behind a proxy that hides the name."""
        if answers.header("server") in HEADERS:
            return True
        reply = await answers.get("/props")
        if reply is None:
            return False
        return reply.headers.get("server") in HEADERS or (
            reply.status == 200 and any(mark in reply.body for mark in MARKS)
        )

    def converse(self, asked: Asked) -> Talk:
        """Return a new conversation."""
        from gpumon.collectors.servers.llama_server.server import LlamaServerSource

        return LlamaServerSource(self, asked)

    def start_hint(self, endpoint: Endpoint) -> str:
        """Return the line that starts it."""
        address = "" if endpoint.is_loopback else " --host 0.0.0.0"
        return f"start it with: llama-server{address} --port {endpoint.address.port} -m MODEL.gguf"

    address_hint = f"check --url; llama-server's own port is {DEFAULT_PORT}"

    def recognise_process(self, process: ProcessView) -> FoundServer | FoundRunner | None:
        """Return a runner for one that holds a model, a server for a router."""
        if not is_llama_server(process.argv):
            return None
        environ = process.environ()
        settings = settings_of(process.argv, lambda: environ)
        if settings is not None:
            return FoundRunner(RUNNER.name, settings)
        return FoundServer(self.name) if is_router(process.argv, lambda: environ) else None

    def converse_with_runner(self, runner: str, port: Port, clock: Clock, *, may_sleep: bool) -> RunnerTalk:
        """Return how a model's own server is asked."""
        from gpumon.collectors.servers.llama_server.conversation import LlamaServer

        del runner
        return LlamaServer(port, clock, may_sleep=may_sleep)

    def told_url(self, argv: Sequence[str], environ: Mapping[str, str] | None) -> str:
        """Return where its flags or its environment say; else its usual port."""
        host, port = listening_address(argv, lambda: environ or {})
        host = f"[{host}]" if host and ":" in host else host
        return parse_host(f"{host or ''}:{port or DEFAULT_PORT}").url

    def claim_of(self, name: str, settings: RunnerSettings | None, facts: LoadFacts | None) -> ModelClaim:
        """Return what it says of its model, written as file names and Ollama write it."""
        claim = super().claim_of(name, settings, facts)
        return msgspec.structs.replace(
            claim,
            parameter_size=parameter_words(facts.parameter_count if facts else None),
            quantization=quantization_words(claim.quantization),
        )

    short_requests_hint = ": --metrics would tell"

    def set_context(self, tokens: int, slots: int) -> Line:
        """Return the flag: it counts the context of all slots."""
        return Line(f"--ctx-size {tokens * slots}", ON_COMMAND_LINE)

    def set_cache_type(self, cache_type: str, *, has_flash_attention: bool) -> Line:
        """Return the flags for keys and values; flash attention is chosen by itself."""
        del has_flash_attention
        return Line(f"--cache-type-k {cache_type} --cache-type-v {cache_type}", ON_COMMAND_LINE)

    shares_context = True

    def set_slots(self, slots: int) -> Line:
        """Return the flag."""
        return Line(f"--parallel {slots}", ON_COMMAND_LINE)

    def set_layers(self, layers: int) -> Line:
        """Return the flag."""
        return Line(f"--n-gpu-layers {layers}", ON_COMMAND_LINE)

    def set_expert_layers(self, layers: int) -> Line:
        """Return the flag (llama.cpp: common/arg.cpp)."""
        return Line(f"--n-cpu-moe {layers}", ON_COMMAND_LINE)

    keep_in_ram = Line("--no-mmap", ON_COMMAND_LINE)
    """``--mlock`` keeps it from swap too, where ``ulimit -l`` allows that much."""
    set_cache_on_gpu = Line("--kv-offload", ON_COMMAND_LINE)
    full_context_words = "the answer ends there"
    """Unless ``--context-shift`` is on (llama.cpp: off by default since mid-2025)."""
    keep_window = Line("--swa-full", ON_COMMAND_LINE)
    """Without it a context goes back no further than the window, or a checkpoint (llama.cpp: PR 13194)."""

    def spreads(self, settings: Mapping[str, str]) -> bool:
        """Return that layers go to all GPUs it may use (llama.cpp: ``--split-mode layer`` is the default)."""
        del settings
        return True

    def setting_words(self, name: str, value: int | None, *, in_environment: bool) -> str:
        """Return the flag, or the variable that stands for it."""
        flag = SETTINGS.get(name, name)
        told, join = (FLAG_VARIABLES.get(flag, flag), "=") if in_environment else (flag, " ")
        return told if value is None else f"{told}{join}{value}"

    def orders_words(self, orders: Orders) -> tuple[str, ...]:
        """Return the flags, whichever way they were told."""
        figures = {
            "--n-cpu-moe": orders.expert_layers,
            "--n-cpu-ffn": orders.ffn_layers,
            "--override-tensor": ",".join(f"{one.pattern}={one.device}" for one in orders.overrides),
            "--device": ",".join(orders.devices),
            "--tensor-split": ",".join(f"{share:g}" for share in orders.tensor_split),
            "--split-mode": orders.split_mode,
            "--main-gpu": orders.main_gpu,
            "--fit": None if orders.fit is None else "on" if orders.fit else "off",
            "--fit-target": ",".join(str(size // MIB) for size in orders.fit_target_bytes),
            "--fit-ctx": orders.fit_context,
            "--load-mode": orders.load_mode,
            "--gpu-layers-draft": orders.draft_gpu_layers,
            "--device-draft": ",".join(orders.draft_devices),
        }
        switches = {
            "--cpu-moe": orders.all_experts,
            "--rpc": orders.other_hosts,
            "--no-kv-offload": orders.cache_on_gpu is False,
            "--no-mmproj-offload": orders.projector_on_gpu is False,
        }
        told = (f"{flag} {value}" for flag, value in figures.items() if value not in {None, ""})
        return (*told, *(flag for flag, is_on in switches.items() if is_on))

    def as_variable(self, line: Line) -> Line:
        """Return the variable that stands for a flag."""
        flag, _, value = (line.line or "").partition(" ")
        name = FLAG_VARIABLES.get(flag)
        return Line(f"{name}={value}", IN_ENVIRONMENT) if name else line


def parameter_words(count: int | None) -> str | None:
    """Write a number of parameters as Ollama does: ``268.10M``, ``8.0B`` (ollama: format/format.go)."""
    if not count:
        return None
    if count >= 1e6:
        return f"{count / 1e9:.1f}B" if count >= 1e9 else f"{count / 1e6:.2f}M"
    return f"{count / 1e3:.0f}K" if count >= 1e3 else str(count)


def quantization_words(file_type: str | None) -> str | None:
    """Write llama.cpp's name of a file type as file names do: ``Q4_K - Medium`` is ``Q4_K_M``."""
    if file_type is None:
        return None
    base, _, size = file_type.partition(" - ")
    return f"{base}_{size[0]}" if size in {"Small", "Medium", "Large"} else file_type
