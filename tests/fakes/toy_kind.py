"""A kind of server in one file, as a stranger would write it: ``toyserve``, which nobody has ever run.

It answers ``GET /toy/status`` with JSON: its models, each with a count of generated tokens or with a rate.
"""

from __future__ import annotations

from gpumon.collectors.http import fields
from gpumon.collectors.http.endpoint import Endpoint
from gpumon.collectors.http.fields import RawObject
from gpumon.collectors.samples import ModelClaim, RunnerSettings, Said, WorkCounters
from gpumon.collectors.servers.command_line import Flags, program_name
from gpumon.collectors.servers.conversation import Conversation, Look
from gpumon.collectors.servers.kind import Line, RunnerKind, ServerKind
from gpumon.collectors.servers.talk import Answers, Asked, FoundRunner, ProcessView

STATUS = "/toy/status"
MARK = b'"program": "toyserve"'
SPELLINGS = {"--model": "model", "--port": "port", "--ctx": "context"}
VARIABLES = {"TOY_MODEL": "model", "TOY_PORT": "port", "TOY_CTX": "context"}


class ToyConversation(Conversation):
    """One GET says it all."""

    async def look(self) -> Look:
        status = await self.get_object(STATUS)
        rows = [
            fields.read(raw, fields.OBJECT) or {} for raw in fields.field(status, "models", fields.ROWS) or []
        ]
        return Look(
            version=fields.text(status, "version"),
            models=tuple(_claim(row) for row in rows),
            work=tuple((fields.text(row, "name") or "?", _said(row)) for row in rows),
            origin=STATUS,
        )


def _claim(row: RawObject) -> ModelClaim:
    return ModelClaim(
        name=fields.text(row, "name") or "?",
        state="ready",
        context_length=fields.amount(row, "context"),
        size_bytes=fields.amount(row, "bytes"),
        size_vram_bytes=fields.amount(row, "bytes_on_gpu"),
    )


def _said(row: RawObject) -> Said:
    generated, rate = fields.amount(row, "generated"), fields.amount(row, "tokens_per_second")
    counters = WorkCounters(
        grows_live=True,
        decoded_tokens_total=generated,
        requests_processing=fields.amount(row, "active"),
    )
    return Said("ready", counters=counters if generated is not None else None, decode_tokens_per_second=rate)


class ToyKind(ServerKind):
    name, label = "toy", "Toy Server"
    gives = "names, context, token rates of toys"
    default_url = "http://127.0.0.1:7777"
    paths = frozenset({STATUS})
    program_starts = ("toyserve",)
    environment = frozenset(VARIABLES)
    claim_source = STATUS
    runners = (RunnerKind(name="toy_process", stands_alone=True, default_port=7777),)
    unload_words = "a toy is never put away"

    async def recognise(self, answers: Answers) -> bool:
        reply = await answers.get(STATUS)
        return reply is not None and MARK in reply.body

    def converse(self, asked: Asked) -> ToyConversation | None:
        return ToyConversation(self, asked)

    def start_hint(self, endpoint: Endpoint) -> str:
        return f"start it with: toyserve --port {endpoint.address.port}"

    def recognise_process(self, process: ProcessView) -> FoundRunner | None:
        if program_name(process.argv) != "toyserve":
            return None
        told = process.environ()
        defaults = {meaning: told[name] for name, meaning in VARIABLES.items() if name in told}
        flags = Flags(process.argv, SPELLINGS, defaults=defaults)
        settings = RunnerSettings(
            model_path=flags.text("model"),
            port=flags.integer("port"),
            context_length=flags.integer("context"),
        )
        return FoundRunner("toy_process", settings)

    def set_context(self, tokens: int, slots: int) -> Line:
        return Line(f"--ctx {tokens * slots}", "on the command line of toyserve")
