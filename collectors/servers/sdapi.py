"""AUTOMATIC1111 with Forge, and SD.Next: one family, whose routes begin with ``/sdapi/v1``.

Their ``/sdapi/v1/progress`` has the running picture decoded, which slows it down, so it is never asked
(AUTOMATIC1111 1.10: modules/api/api.py; SD.Next of July 2026: modules/api/server.py). SD.Next tells its
steps in ``/sdapi/v1/status``, which is passive; AUTOMATIC1111 has nothing like it. ``/sdapi/v1/cmd-flags``
holds passwords: it is not asked either.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import TYPE_CHECKING

from gpumon.collectors.http import fields
from gpumon.collectors.samples import LoadFacts, PictureJob, RunnerSettings
from gpumon.collectors.servers.command_line import Flags
from gpumon.collectors.servers.kind import RunnerKind
from gpumon.collectors.servers.pictures import PictureKind, Script, first_flag, script_of
from gpumon.collectors.servers.talk import Answers, Asked, FoundRunner, ProcessView, Talk

if TYPE_CHECKING:
    from gpumon.collectors.http.endpoint import Endpoint
    from gpumon.collectors.http.fields import RawObject
    from gpumon.collectors.servers.conversation import Look

PORT = 7860
STATUS = "/sdapi/v1/status"
CHECKPOINT = "/sdapi/v1/checkpoint"
MEMORY = "/sdapi/v1/memory"
OPTIONS = "/sdapi/v1/options"
UNLOAD = "/sdapi/v1/unload-checkpoint"
OPTIONS_BYTES = 2 * 1024**2
LITTLE_BYTES = 256 * 1024**2
"""Less than this in torch's hands is no model."""
MEMORY_SECONDS, SELDOM_SECONDS = 10.0, 60.0
FLAGS = ("--lowvram", "--medvram", "--medvram-sdxl", "--always-cpu", "--always-no-vram", "--always-low-vram")
SCRIPTS = ("launch.py", "webui.py")
WEBUI_FOLDERS = ("stable-diffusion", "sd-webui", "sd.webui", "automatic1111", "a1111", "forge")
NEXT_FOLDERS = ("sdnext", "sd.next", "sd-next", "/automatic/")


def _settings(argv: Sequence[str], label: str) -> RunnerSettings:
    flags = Flags(argv, {"--port": "port"})
    return RunnerSettings(
        model_name=label, port=flags.integer("port", 1, 65535), offload=first_flag(argv, FLAGS)
    )


def _is_next(script: Script) -> bool:
    return script.has("installer.py") or (script.is_in(*NEXT_FOLDERS) and not script.has("modules_forge"))


async def _has_route(answers: Answers, path: str, keys: Set[str]) -> bool:
    """Whether a path answers with these keys, or asks for a password."""
    reply = await answers.get(path)
    if reply is None:
        return False
    said = fields.read(reply.body, fields.OBJECT) or {}
    return reply.status == 401 or (reply.status == 200 and keys <= said.keys())


class SdNextKind(PictureKind):
    """SD.Next: steps, queue and checkpoint."""

    name, label = "sdnext", "SD.Next"
    gives = "the picture under way with its steps, what waits, its checkpoint"
    default_url = f"http://127.0.0.1:{PORT}"
    paths = frozenset({STATUS, CHECKPOINT})
    runners = (RunnerKind(name="sdnext", stands_alone=True, default_port=PORT),)
    unload_path = UNLOAD
    claim_source = CHECKPOINT
    key_hint = "use --url with user:password@, as --auth has them"

    async def recognise(self, answers: Answers) -> bool:
        """Whether its status is there, or asks for a password."""
        return await _has_route(answers, STATUS, {"steps", "queued", "uptime"})

    def converse(self, asked: Asked) -> Talk:
        """Return a new conversation."""
        from gpumon.collectors.servers.picture_talk import PictureConversation

        class SdNextConversation(PictureConversation):
            """Asks for its status; for the checkpoint when a job begins or ends, and seldom."""

            _facts = LoadFacts()

            async def ask(self) -> Look:
                status = await self.get_object(STATUS)
                state = fields.text(status, "status")
                if state is None:
                    raise self.not_itself()
                works = state in WORKS
                has_changed = works == self._rested
                if has_changed or self.is_due(CHECKPOINT, SELDOM_SECONDS):
                    loaded = await self.optional(CHECKPOINT, OPTIONS_BYTES)
                    self._facts = self._facts if loaded is None else _checkpoint(loaded)
                job = _job(status) if works else None
                return self.answer(self._facts, job, origin=STATUS)

        return SdNextConversation(self, asked)

    def start_hint(self, endpoint: Endpoint) -> str:
        """Return the line that starts it."""
        return f"start it with: ./webui.sh --port {endpoint.address.port}"

    def recognise_process(self, process: ProcessView) -> FoundRunner | None:
        """Return a runner for ``launch.py`` in its folder."""
        script = script_of(process, *SCRIPTS)
        if script is None or not _is_next(script):
            return None
        return FoundRunner("sdnext", _settings(process.argv, self.label))


WORKS = frozenset({"running", "paused", "interrupted", "skipped"})


def _job(status: RawObject) -> PictureJob | None:
    """Return the job: steps are those of all its pictures together; none are told while it loads."""
    if not fields.text(status, "task"):
        return None
    steps, step = fields.amount(status, "steps") or None, fields.amount(status, "step")
    left = fields.field(status, "eta", fields.ANYTHING)
    return PictureJob(
        job_id=fields.text(status, "id"),
        step=step if steps and step is not None and step <= steps else None,
        step_count=steps,
        seconds_left=float(left) if isinstance(left, int | float) and 0 <= left < 1e7 else None,
        waiting=fields.amount(status, "queued"),
    )


def _checkpoint(said: RawObject) -> LoadFacts:
    name = fields.text(said, "name") or fields.text(said, "title")
    return LoadFacts(model_path=name, model_type=fields.text(said, "type"))


class SdWebUiKind(PictureKind):
    """AUTOMATIC1111 and Forge: what is loaded, and no more."""

    name, label = "sd_webui", "SD WebUI"
    gives = "the checkpoint that is chosen; whether it works only its GPU tells"
    default_url = f"http://127.0.0.1:{PORT}"
    paths = frozenset({MEMORY, OPTIONS})
    runners = (RunnerKind(name="sd_webui", stands_alone=True, default_port=PORT),)
    unload_path = UNLOAD
    claim_source = OPTIONS
    key_hint = "use --url with user:password@, as --api-auth has them"
    address_hint = "start it with --api, or check --url"

    async def recognise(self, answers: Answers) -> bool:
        """Whether it tells of its memory, or asks for a password there."""
        return await _has_route(answers, MEMORY, {"ram", "cuda"})

    def converse(self, asked: Asked) -> Talk:
        """Return a new conversation."""
        from gpumon.collectors.servers.picture_talk import PictureConversation

        class SdWebUiConversation(PictureConversation):
            """Asks for its memory; once a minute which checkpoint is chosen."""

            _chosen: str | None = None

            async def ask(self) -> Look:
                memory = await self.get_object(MEMORY)
                if "cuda" not in memory:
                    raise self.not_itself()
                cuda = fields.nested(memory, "cuda")
                held = fields.amount(fields.nested(cuda, "allocated"), "current")
                if self.is_due(OPTIONS, SELDOM_SECONDS):
                    options = await self.optional(OPTIONS, OPTIONS_BYTES) or {}
                    self._chosen = fields.text(options, "sd_model_checkpoint")
                is_loaded = held is None or held >= LITTLE_BYTES
                facts = LoadFacts(model_path=self._chosen if is_loaded else None)
                return self.answer(facts, None, counted=False, detail=NO_STEPS, origin=MEMORY)

        return SdWebUiConversation(self, asked)

    def start_hint(self, endpoint: Endpoint) -> str:
        """Return the line that starts it."""
        return f"start it with: ./webui.sh --api --port {endpoint.address.port}"

    def recognise_process(self, process: ProcessView) -> FoundRunner | None:
        """Return a runner for ``launch.py`` in its folder."""
        script = script_of(process, *SCRIPTS)
        if script is None or _is_next(script):
            return None
        is_own = script.is_in(*WEBUI_FOLDERS)
        if not is_own and not script.has("modules_forge", "modules/launch_utils.py"):
            return None
        return FoundRunner("sd_webui", _settings(process.argv, self.label))


NO_STEPS = "its steps are not asked for: to tell them it would decode the picture"
