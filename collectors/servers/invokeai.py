"""InvokeAI: a queue of sessions. Its steps go to the browser of whoever has queued them, and nowhere else.

``/api/v1/queue/default/current`` holds the graph with its prompts: it is not asked (InvokeAI 6.14:
app/api/routers/session_queue.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpumon.collectors.http import fields
from gpumon.collectors.samples import LoadFacts, PictureJob, RunnerSettings
from gpumon.collectors.servers.command_line import program_name
from gpumon.collectors.servers.kind import RunnerKind
from gpumon.collectors.servers.pictures import PictureKind, script_of
from gpumon.collectors.servers.talk import Answers, Asked, FoundRunner, ProcessView, Talk

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gpumon.collectors.http.endpoint import Endpoint
    from gpumon.collectors.servers.conversation import Look

PORT = 9090
VERSION = "/api/v1/app/version"
QUEUE = "/api/v1/queue/default/status"
PROGRAM = "invokeai-web"
PORT_VARIABLE = "INVOKEAI_PORT"
SELDOM_SECONDS = 60.0


class InvokeAiKind(PictureKind):
    """Known by its queue."""

    name, label = "invokeai", "InvokeAI"
    gives = "whether a picture is under way, how many wait"
    default_url = f"http://127.0.0.1:{PORT}"
    paths = frozenset({VERSION, QUEUE})
    program_starts = ("invokeai",)
    environment = frozenset({PORT_VARIABLE})
    runners = (RunnerKind(name="invokeai", stands_alone=True, default_port=PORT),)
    unload_path = "/api/v2/models/empty_model_cache"
    claim_source = QUEUE

    async def recognise(self, answers: Answers) -> bool:
        """Whether it has a version and a queue with its own counts."""
        reply = await answers.get(VERSION)
        told = fields.read(reply.body, fields.OBJECT) if reply is not None else None
        if "version" not in (told or {}):
            return False
        queue = await answers.get(QUEUE)
        said = fields.read(queue.body, fields.OBJECT) or {} if queue is not None else {}
        is_private = queue is not None and queue.status == 401
        return is_private or "in_progress" in fields.nested(said, "queue")

    def converse(self, asked: Asked) -> Talk:
        """Return a new conversation."""
        from gpumon.collectors.servers.picture_talk import PictureConversation

        class InvokeAiConversation(PictureConversation):
            """Asks for its queue; seldom for its version."""

            _version: str | None = None

            async def ask(self) -> Look:
                queue = fields.nested(await self.get_object(QUEUE), "queue")
                running = fields.amount(queue, "in_progress")
                if running is None:
                    raise self.not_itself()
                if self.is_due(VERSION, SELDOM_SECONDS):
                    version = await self.optional(VERSION, 4096) or {}
                    self._version = fields.text(version, "version")
                number, waiting = fields.amount(queue, "item_id"), fields.amount(queue, "pending")
                name = None if number is None else str(number)
                job = PictureJob(job_id=name, waiting=waiting) if running else None
                return self.answer(LoadFacts(build=self._version), job, origin=QUEUE)

        return InvokeAiConversation(self, asked)

    def start_hint(self, endpoint: Endpoint) -> str:
        """Return the line that starts it."""
        del endpoint
        return f"start it with: {PROGRAM}"

    def recognise_process(self, process: ProcessView) -> FoundRunner | None:
        """Return a runner for its program; where it listens its settings file says, or a variable."""
        if script_of(process, PROGRAM) is None and program_name(process.argv).lower() != PROGRAM:
            return None
        return FoundRunner("invokeai", RunnerSettings(model_name=self.label, port=_port(process.environ())))


def _port(environ: Mapping[str, str]) -> int | None:
    told = environ.get(PORT_VARIABLE, "")
    return int(told) if told.isdecimal() and 0 < int(told[:6]) < 65536 else None
