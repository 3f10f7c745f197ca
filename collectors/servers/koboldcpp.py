"""KoboldCpp: one model in one process, behind the routes of several other programs.

It answers ``/api/ps`` as Ollama 0.7.0 would, with two rows of fixed figures: nothing of them is believed. Its
own routes give the name and the context of the model and whether it is at work. Rates are told of the last
request only, which is no rate of now (koboldcpp.py: ``/api/extra/perf``). It imitates ComfyUI and A1111 too:
its own mark comes first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gpumon.collectors.http import fields
from gpumon.collectors.samples import LastRequest, ModelClaim, RunnerSettings, Said, WorkCounters
from gpumon.collectors.servers.command_line import Flags, program_name
from gpumon.collectors.servers.kind import Line, RunnerKind, ServerKind
from gpumon.collectors.servers.talk import Answers, Asked, FoundRunner, ProcessView, Talk

if TYPE_CHECKING:
    from gpumon.collectors.http.endpoint import Endpoint
    from gpumon.collectors.http.fields import RawObject

PORT = 5001
VERSION = "/api/extra/version"
MODEL = "/api/v1/model"
CONTEXT = "/api/extra/true_max_context_length"
WORK = "/api/extra/perf"
PREFIX = "koboldcpp/"
PROGRAMS = ("koboldcpp", "croco")
"""How the names of its programs begin; Croco.Cpp is a fork that answers alike."""
NO_MODEL = "inactive"
IMITATION = b"koboldcpp"
"""What the model of its imitated ``/api/ps`` is called."""
ON_COMMAND_LINE = "on the command line of koboldcpp"
SPELLINGS = {
    "--model": "model",
    "--port": "port",
    "--contextsize": "context",
    "--gpulayers": "gpu_layers",
    "--threads": "threads",
}


class KoboldCppKind(ServerKind):
    """Known by its own mark before Ollama is believed."""

    name, label = "koboldcpp", "KoboldCpp"
    gives = (
        "the name of its model, its context, whether it works, its last request; VRAM only the driver tells"
    )
    default_url = f"http://127.0.0.1:{PORT}"
    paths = frozenset({VERSION, MODEL, CONTEXT, WORK})
    program_starts = PROGRAMS
    runners = (
        RunnerKind(
            name="koboldcpp", format="gguf", stands_alone=True, default_port=PORT, layers_are_asked=True
        ),
    )
    layers_setting = "--gpulayers"
    imitates = "ollama"

    async def recognise(self, answers: Answers) -> bool:
        """Whether it says so; asked only where the answers so far are none, or those of its imitation."""
        listed = answers.seen.get("/api/ps")
        if listed is not None and listed.status == 200 and IMITATION not in listed.body:
            return False
        reply = await answers.get(VERSION)
        said = fields.read(reply.body, fields.OBJECT) if reply is not None else None
        return said is not None and fields.text(said, "result") == "KoboldCpp"

    def converse(self, asked: Asked) -> Talk:
        """Return a new conversation."""
        from gpumon.collectors.servers.conversation import Conversation, Look

        class KoboldCppConversation(Conversation):
            """Asks for the model and its work; for the version and the context when the model is another."""

            def forget(self) -> None:
                super().forget()
                self._known: tuple[str, str | None, int | None] | None = None

            async def look(self) -> Look:
                model = fields.text(await self.get_object(MODEL), "result") or NO_MODEL
                version, context = await self._facts(model)
                if model == NO_MODEL:
                    return Look(version=version)
                name = model.removeprefix(PREFIX)
                claim = ModelClaim(name=name, state="ready", context_length=context, format="gguf")
                return Look(models=(claim,), version=version, work=((name, await self._work()),), origin=WORK)

            async def _facts(self, model: str) -> tuple[str | None, int | None]:
                known = getattr(self, "_known", None)
                if known is None or known[0] != model:
                    version = fields.text(await self.get_object(VERSION), "version")
                    context = fields.amount(await self.get_object(CONTEXT), "value")
                    known = self._known = (model, version, context)
                return known[1], known[2]

            async def _work(self) -> Said:
                values = await self.get_object(WORK)
                idle = fields.amount(values, "idle")
                running = None if idle is None else int(idle == 0)
                queue = fields.amount(values, "queue")
                counters = WorkCounters(grows_live=True, requests_processing=running, requests_deferred=queue)
                return Said("ready", counters=counters, last=last_request(values))

        return KoboldCppConversation(self, asked)

    def start_hint(self, endpoint: Endpoint) -> str:
        """Return the line that starts it."""
        return f"start it with: koboldcpp --port {endpoint.address.port} --model MODEL.gguf"

    def recognise_process(self, process: ProcessView) -> FoundRunner | None:
        """Return a runner for its program, or for its script in an interpreter."""
        argv = _own_arguments(process.argv)
        if argv is None:
            return None
        flags = Flags(argv, SPELLINGS)
        path = flags.text("model")
        settings = RunnerSettings(
            model_path=path,
            model_name=_called(path),
            port=flags.integer("port", 1, 65535),
            context_length=flags.integer("context", 1),
            gpu_layers=flags.integer("gpu_layers"),
            threads=flags.integer("threads", 1),
        )
        return FoundRunner("koboldcpp", settings)

    def set_context(self, tokens: int, slots: int) -> Line:
        """Return the flag; it has one slot."""
        del slots
        return Line(f"--contextsize {tokens}", ON_COMMAND_LINE)

    def set_layers(self, layers: int) -> Line:
        """Return the flag."""
        return Line(f"--gpulayers {layers}", ON_COMMAND_LINE)


def last_request(values: RawObject) -> LastRequest:
    """Return what it says of its last request.

    Before v1.94 no speed is told, and ``last_process`` and ``last_eval`` are milliseconds for a token
    (gpttype_adapter.cpp: ``last_eval_time = pt2``); since then ``..._time`` are seconds in all.
    """
    count = fields.amount(values, "total_gens")
    if not count:
        return LastRequest(count=count)
    process, generate = _positive(values, "last_process_time"), _positive(values, "last_eval_time")
    return LastRequest(
        count=count,
        prompt_tokens=fields.amount(values, "last_input_count"),
        decoded_tokens=fields.amount(values, "last_token_count"),
        prefill_tokens_per_second=_speed(values, "last_process_speed", "last_process"),
        decode_tokens_per_second=_speed(values, "last_eval_speed", "last_eval"),
        seconds=None if process is None or generate is None else process + generate,
    )


def _speed(values: RawObject, speed: str, milliseconds: str) -> float | None:
    """Return a speed that is told or, by older ones, the time for a token."""
    told, for_a_token = _positive(values, speed), _positive(values, milliseconds)
    return told or (1000 / for_a_token if for_a_token else None)


def _positive(values: RawObject, key: str) -> float | None:
    """Return a figure; 0 is what stands there before the first request."""
    number = fields.field(values, key, fields.ANYTHING)
    return float(number) if isinstance(number, int | float) and 0 < number < 1e9 else None


def _called(path: str | None) -> str | None:
    """Return what it calls the model of a file: by its name without the ending (koboldcpp.py)."""
    name = (path or "").replace("\\", "/").rpartition("/")[2]
    return name.rpartition(".")[0] or name or None


def _own_arguments(argv: Sequence[str]) -> Sequence[str] | None:
    """Return the command line from its own program on; ``None`` for another program."""
    if program_name(argv).lower().startswith(PROGRAMS):
        return argv
    if program_name(argv).lower().startswith(("python", "pypy")):
        scripts = (at for at, word in enumerate(argv) if word.endswith("koboldcpp.py"))
        at = next(scripts, None)
        return argv[at:] if at is not None else None
    return None
