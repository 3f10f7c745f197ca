"""ComfyUI: graphs of nodes, a queue, and a console that its own page may read.

It lists no loaded models, and tells its steps on a socket to the client that has queued the job: taking part
in that would cost the user their own progress. ``/internal/logs/raw``, which its page shows as a terminal,
has the bar of the sampler and how models were loaded; it is made for that page and may change, and without it
there are queue and memory. ``/queue`` and ``/history`` hold whole graphs with their prompts: asked once for
each job, of which a few numbers and the name of a file are read, and nothing else is decoded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from gpumon.collectors.http import fields
from gpumon.collectors.samples import RunnerSettings
from gpumon.collectors.servers.command_line import Flags, program_name
from gpumon.collectors.servers.kind import RunnerKind
from gpumon.collectors.servers.pictures import PictureKind, first_flag, script_of
from gpumon.collectors.servers.talk import Answers, Asked, FoundRunner, ProcessView, Talk

if TYPE_CHECKING:
    from gpumon.collectors.http.endpoint import Endpoint
    from gpumon.collectors.servers.conversation import Look

PORT = 8188
STATS = "/system_stats"
WAITING = "/prompt"
GRAPHS = "/queue"
LAST = "/history?max_items=1"
CONSOLE = "/internal/logs/raw"
IMITATOR = "/api/extra/version"
"""KoboldCpp's own: it answers ``/system_stats`` too, as ComfyUI v0.3.4 would."""
MIB = 1024**2
CONSOLE_BYTES, GRAPH_BYTES = 2 * MIB, 4 * MIB
STATS_SECONDS, SELDOM_SECONDS = 10.0, 60.0
FLAGS = ("--cpu", "--novram", "--lowvram", "--always-offload-from-vram", "--disable-smart-memory")
SPELLINGS = {"--port": "port", "--listen": "host"}
FOLDERS = ("comfyui", "comfy-ui")


class ComfyUiKind(PictureKind):
    """Known by the version in its ``/system_stats``; KoboldCpp, which imitates it, is not believed."""

    name, label = "comfyui", "ComfyUI"
    gives = "the picture under way with its steps, what waits, whether its model is loaded in part"
    default_url = f"http://127.0.0.1:{PORT}"
    paths = frozenset({STATS, WAITING, GRAPHS, CONSOLE})
    program_starts = ("comfyui",)
    runners = (RunnerKind(name="comfyui", stands_alone=True, default_port=PORT),)
    unload_path = "/free"
    unload_body: ClassVar[Mapping[str, bool]] = {"unload_models": True, "free_memory": True}
    claim_source = CONSOLE

    async def recognise(self, answers: Answers) -> bool:
        """Whether it says so, and KoboldCpp has not been heard before."""
        other = answers.seen.get(IMITATOR)
        if other is not None and b"KoboldCpp" in other.body:
            return False
        reply = await answers.get(STATS)
        said = fields.read(reply.body, fields.OBJECT) if reply is not None and reply.status == 200 else None
        return said is not None and "devices" in said and "python_version" in fields.nested(said, "system")

    def converse(self, asked: Asked) -> Talk:
        """Return a new conversation."""
        from gpumon.collectors.servers.comfyui.answers import Desk
        from gpumon.collectors.servers.picture_talk import PictureConversation

        class ComfyUiConversation(PictureConversation):
            """Asks how much waits; all else while it works, or seldom."""

            def forget(self) -> None:
                super().forget()
                self._desk = Desk()

            async def ask(self) -> Look:
                desk, waiting = self._desk, await self.get_object(WAITING)
                count = fields.amount(fields.nested(waiting, "exec_info"), "queue_remaining")
                if count is None:
                    raise self.not_itself()
                if self.is_due(STATS, STATS_SECONDS):
                    desk.take_stats(await self.get_object(STATS), FLAGS, works=bool(count))
                if count or desk.has_worked or self.is_due(CONSOLE, SELDOM_SECONDS):
                    desk.read(await self.optional(CONSOLE, CONSOLE_BYTES) or {})
                if count and desk.is_another_job(count):
                    desk.begin(await self.optional(GRAPHS, GRAPH_BYTES) or {})
                elif not count and desk.is_unnamed and self.is_due(LAST, SELDOM_SECONDS):
                    desk.recall(await self.optional(LAST, GRAPH_BYTES) or {})
                job = desk.job(count)
                origin = CONSOLE if job is not None and job.step is not None else WAITING
                return self.answer(desk.facts, job, settings=desk.settings, origin=origin)

        return ComfyUiConversation(self, asked)

    def start_hint(self, endpoint: Endpoint) -> str:
        """Return the line that starts it."""
        return f"start it with: python main.py --port {endpoint.address.port}"

    def recognise_process(self, process: ProcessView) -> FoundRunner | None:
        """Return a runner for ``main.py`` in its folder, and for the program of that name."""
        script = script_of(process, "main.py", "comfyui")
        if script is not None and script.name == "main.py":
            is_own = script.is_in(*FOLDERS) or script.has("comfy/cli_args.py", "comfyui_version.py")
            script = script if is_own else None
        if script is None and program_name(process.argv).lower() != "comfyui":
            return None
        return FoundRunner("comfyui", _settings(script.argv if script else process.argv))


def _settings(argv: Sequence[str]) -> RunnerSettings:
    flags = Flags(argv, SPELLINGS, optional=frozenset({"host"}))
    host = (flags.text("host") or "").partition(",")[0]
    return RunnerSettings(
        model_name=ComfyUiKind.label,
        port=flags.integer("port", 1, 65535),
        host=host or None,
        offload=first_flag(argv, FLAGS),
    )
