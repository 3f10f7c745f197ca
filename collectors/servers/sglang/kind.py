"""SGLang: what gpumon knows of it apart from the talk over HTTP.

It takes its memory when it starts, weights and a pool for all contexts (``--mem-fraction-static``). What is
in VRAM belongs to child processes, which name themselves ``sglang::scheduler_TP0``
(srt/managers/scheduler.py).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING

from gpumon.collectors.samples import Orders, Reserve, RunnerSettings
from gpumon.collectors.servers.command_line import Flags, command_of, visible_devices
from gpumon.collectors.servers.kind import Line, RunnerKind, ServerKind
from gpumon.collectors.servers.talk import Answers, Asked, FoundRunner, ProcessView, Talk

if TYPE_CHECKING:
    from gpumon.collectors.http.endpoint import Endpoint

PORT = 30000
LOADS = "/v1/loads"
MODELS = "/v1/models"
METRICS = "/metrics"
OWNER = (b'"owned_by":"sglang"', b'"owned_by": "sglang"')
MODULES = frozenset({"sglang.launch_server", "sglang.cli.main"})
ON_COMMAND_LINE = "on the command line of sglang"
SPELLINGS = {
    "--model-path": "model",
    "--model": "model",
    "--served-model-name": "name",
    "--host": "host",
    "--port": "port",
    "--context-length": "context",
    "--max-running-requests": "requests",
    "--kv-cache-dtype": "cache_type",
    "--quantization": "quantization",
    "--mem-fraction-static": "share",
    "--tp": "tensor",
    "--tp-size": "tensor",
    "--tensor-parallel-size": "tensor",
    "--pp-size": "pipeline",
    "--pipeline-parallel-size": "pipeline",
    "--dp": "data",
    "--dp-size": "data",
    "--data-parallel-size": "data",
    "--enable-dp-attention": "shared",
    "--cpu-offload-gb": "weights_in_ram",
    "--disable-cuda-graph": "eager",
    "--enable-metrics": "metrics",
}
SWITCHES = frozenset({"shared", "eager", "metrics"})
GIB = 2**30
_SHARE = re.compile(r"0?\.[0-9]{1,6}\Z|1(\.0*)?\Z", re.ASCII)


class SglangKind(ServerKind):
    """One model in the processes of one server."""

    name, label = "sglang", "SGLang"
    gives = "its model, requests that run and wait, how full its KV pool is; a coarse rate while it works"
    default_url = f"http://127.0.0.1:{PORT}"
    paths = frozenset({LOADS, MODELS, METRICS})
    program_starts = ("sglang",)
    environment = frozenset({"CUDA_VISIBLE_DEVICES"})
    runners = (
        RunnerKind(name="sglang", stands_alone=True, default_port=PORT, has_workers=True, stays_on_gpu=True),
    )
    key_words = "HTTP 401: it wants the key of --api-key"
    key_hint = "name its --api-key under headers in the settings: Authorization, with Bearer before it"
    facts_source = LOADS
    unload_words = "SGLang holds its model until it ends: stop its process, or its container"

    async def recognise(self, answers: Answers) -> bool:
        """Whether its list of models names it as their owner; a key guards every path, unknown ones too."""
        listed = await answers.get(MODELS)
        return listed is not None and listed.status == 200 and any(mark in listed.body for mark in OWNER)

    def converse(self, asked: Asked) -> Talk:
        """Return a new conversation."""
        from gpumon.collectors.servers.sglang.conversation import SglangConversation

        return SglangConversation(self, asked)

    def start_hint(self, endpoint: Endpoint) -> str:
        """Return the line that starts it."""
        port = endpoint.address.port
        return f"start it with: python -m sglang.launch_server --model-path MODEL --port {port}"

    def recognise_process(self, process: ProcessView) -> FoundRunner | None:
        """Return a runner for the process that was started; those below it hold what it serves."""
        words = _own_words(process.argv)
        if words is None:
            return None
        flags = Flags(words, SPELLINGS, SWITCHES)
        cache_type = flags.text("cache_type")
        settings = RunnerSettings(
            model_name=called(flags.text("name") or flags.text("model")),
            host=flags.text("host"),
            port=flags.integer("port", 1, 65535),
            context_length=flags.integer("context", 1),
            parallel=flags.integer("requests", 1),
            cache_type_k=None if cache_type == "auto" else cache_type,
            quantization=flags.text("quantization"),
            metrics=True if flags.has("metrics") else None,
            reserve=_reserve(flags),
            orders=Orders(visible_devices=visible_devices(process.environ().get("CUDA_VISIBLE_DEVICES"))),
        )
        return FoundRunner("sglang", settings)

    def told_words(self, settings: RunnerSettings) -> Sequence[tuple[str, str]]:
        """Return what its command line asks for, or what holds where it does not say."""
        reserve, requests = settings.reserve, settings.parallel
        share = "not told (by the GPU)" if reserve.gpu_share is None else f"{reserve.gpu_share:.0%}"
        return (
            ("weights and KV pool of each GPU", share),
            ("GPUs for it", str(reserve.gpu_count)),
            ("requests at once", "not told" if requests is None else f"up to {requests}"),
            ("KV cache type", settings.cache_type_k or "not told (that of the weights)"),
        )

    def set_context(self, tokens: int, slots: int) -> Line:
        """Return the flag: the longest context of one request, whatever their number."""
        del slots
        return Line(f"--context-length {tokens}", ON_COMMAND_LINE)

    def set_slots(self, slots: int) -> Line:
        """Return the flag."""
        return Line(f"--max-running-requests {slots}", ON_COMMAND_LINE)

    def set_gpu_share(self, share: float) -> Line:
        """Return the flag."""
        return Line(f"--mem-fraction-static {share:.2f}", ON_COMMAND_LINE)


def called(name: str | None) -> str | None:
    """Return what to call a model: of a folder its last part, of ``owner/model`` all of it."""
    if name is None or not name.startswith(("/", "./", "../", "~")):
        return name
    return name.rstrip("/").rpartition("/")[2] or name


def _own_words(argv: Sequence[str]) -> Sequence[str] | None:
    """Return the command line from the server on; ``None`` for a process that is none."""
    command = command_of(argv)
    if command.path in MODULES or (command.interpreted and command.name == "launch_server"):
        return (command.path, *command.words)
    if command.name == "sglang" and tuple(command.words[:1]) == ("serve",):
        return command.words
    return None


def _reserve(flags: Flags) -> Reserve:
    """Return what it was told of the memory that it takes when it starts."""
    told, offloaded = flags.text("share"), flags.integer("weights_in_ram")
    copies = 1 if flags.has("shared") else flags.integer("data", 1) or 1
    return Reserve(
        gpu_share=float(told) if told and _SHARE.match(told) else None,
        gpu_count=prod((flags.integer("tensor", 1) or 1, flags.integer("pipeline", 1) or 1, copies)),
        weights_in_ram_bytes=offloaded * GIB if offloaded else None,
        graphs=False if flags.has("eager") else None,
    )
