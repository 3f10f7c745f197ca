"""vLLM: what gpumon knows of it apart from the talk over HTTP.

It takes its memory when it starts, weights and a cache for all contexts, and holds it until it ends; what is
asked of it changes how full that cache is, not how large. What is in VRAM belongs to child processes, which
name themselves ``VLLM::EngineCore`` and ``VLLM::Worker_TP0`` (vllm: utils/system_utils.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec import structs

from gpumon.collectors.samples import LoadFacts, ModelClaim, RunnerSettings
from gpumon.collectors.servers.kind import Line, RunnerKind, ServerKind
from gpumon.collectors.servers.talk import Answers, Asked, FoundRunner, ProcessView, Talk
from gpumon.collectors.servers.vllm.command_line import settings_of

if TYPE_CHECKING:
    from gpumon.collectors.http.endpoint import Endpoint

PORT = 8000
MODELS = "/v1/models"
METRICS = "/metrics"
OWNER = (b'"owned_by":"vllm"', b'"owned_by": "vllm"')
NAMES = b"\nvllm:"
GUARDED = frozenset({401, 403})
HEADLESS = "vllm_headless"
"""One of several machines that serve a model: it never opens a port (``--headless``)."""
USUAL_SHARE = "not told (90% or 92%, by its version)"
ON_COMMAND_LINE = "on the command line of vllm serve"


class VllmKind(ServerKind):
    """One model, its work and its cache, by its counters."""

    name, label = "vllm", "vLLM"
    gives = "its model, live rates, requests that wait and why, how full its KV cache is, what it preempts"
    default_url = f"http://127.0.0.1:{PORT}"
    paths = frozenset({METRICS, MODELS, "/version", "/health"})
    program_starts = ("vllm",)
    environment = frozenset({"CUDA_VISIBLE_DEVICES"})
    runners = (
        RunnerKind(
            name="vllm",
            stands_alone=True,
            default_port=PORT,
            stays_on_gpu=True,
            has_workers=True,
            logs_context_last=True,
            writes_log=True,
        ),
        RunnerKind(
            name=HEADLESS,
            stands_alone=True,
            by_itself=True,
            has_workers=True,
            tells_rates=False,
            stays_on_gpu=True,
            update_hint="its port is on the first machine of those that serve the model (--headless)",
        ),
    )
    key_words = "HTTP 401: it wants the key of --api-key"
    key_hint = "headers in the settings file: Authorization: Bearer KEY"
    facts_source = MODELS
    flags = {"gpu_share": "--gpu-memory-utilization", "weights_in_ram_gib": "--cpu-offload-gb"}  # noqa: RUF012
    unload_words = "vLLM holds its model until it ends: stop its process, or its container"

    async def recognise(self, answers: Answers) -> bool:
        """Whether its list of models names it as their owner; where a key guards that, its counters do."""
        listed = await answers.get(MODELS)
        if listed is None:
            return False
        if listed.status == 200:
            return any(mark in listed.body for mark in OWNER)
        if listed.status not in GUARDED:
            return False
        counters = await answers.get(METRICS)
        return counters is not None and counters.status == 200 and NAMES in b"\n" + counters.body

    def converse(self, asked: Asked) -> Talk:
        """Return a new conversation."""
        from gpumon.collectors.servers.vllm.conversation import VllmConversation

        return VllmConversation(self, asked)

    def start_hint(self, endpoint: Endpoint) -> str:
        """Return the line that starts it."""
        return f"start it with: vllm serve MODEL --port {endpoint.address.port}"

    def recognise_process(self, process: ProcessView) -> FoundRunner | None:
        """Return a runner for the process that was started; those below it hold what it serves."""
        if settings_of(process.argv) is None:
            return None
        settings = settings_of(process.argv, process.environ())
        name = HEADLESS if "--headless" in process.argv else "vllm"
        return FoundRunner(name, settings) if settings is not None else None

    def claim_of(self, name: str, settings: RunnerSettings | None, facts: LoadFacts | None) -> ModelClaim:
        """Return the model with what its command line says of it."""
        claim = super().claim_of(name, settings, facts)
        told = settings.quantization if settings else None
        return claim if told is None else _quantized(claim, told)

    def told_words(self, settings: RunnerSettings) -> Sequence[tuple[str, str]]:
        """Return what its command line asks for, or what holds where it does not say."""
        reserve, requests = settings.reserve, settings.parallel
        share = USUAL_SHARE if reserve.gpu_share is None else f"{reserve.gpu_share:.0%}"
        said = {
            "reserves of each GPU": share,
            "GPUs for it": str(reserve.gpu_count),
            "requests at once": "not told (256 or more)" if requests is None else f"up to {requests}",
            "KV cache type": settings.cache_type_k or "not told (that of the weights)",
        }
        if reserve.graphs is False:
            said["CUDA graphs"] = "off by choice (--enforce-eager): saves memory, each step takes longer"
        if reserve.may_sleep:
            said["sleep mode"] = "on: it may be told to give its memory back"
        return tuple(said.items())

    def set_context(self, tokens: int, slots: int) -> Line:
        """Return the flag: the longest context of one request, whatever their number."""
        del slots
        return Line(f"--max-model-len {tokens}", ON_COMMAND_LINE)

    def set_cache_type(self, cache_type: str, *, has_flash_attention: bool) -> Line:
        """Return the flag; it knows types of eight bits, none of llama.cpp's."""
        del has_flash_attention
        return Line("--kv-cache-dtype fp8", ON_COMMAND_LINE) if cache_type in SMALL else Line()

    def set_slots(self, slots: int) -> Line:
        """Return the flag."""
        return Line(f"--max-num-seqs {slots}", ON_COMMAND_LINE)


SMALL = frozenset({"q8_0", "fp8"})


def _quantized(claim: ModelClaim, told: str) -> ModelClaim:
    return structs.replace(claim, quantization=claim.quantization or told)
