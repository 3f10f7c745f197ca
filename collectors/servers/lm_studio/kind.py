"""LM Studio, and its daemon ``llmster``: an inventory of models, each held by a worker process of its own.

Its server logs each listing, so it is asked every five seconds at most, and seldom while nothing is loaded.
It tells over HTTP which models are loaded, with which context, and how large their files are; not how fast
they are, nor where their memory is: that the driver measures for its workers (``node … llmworker.js``, a
child of ``llmster`` or of the app: lmstudio-ai/lms#502, bug tracker #940). What it does not serve it answers
with 200 and an error, so each answer is looked into. Its models lie in ``~/.lmstudio/models``, before 0.3 in
``~/.cache/lm-studio/models``.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import structs

from gpumon.collectors.http import fields
from gpumon.collectors.samples import (
    RunnerSettings,
)
from gpumon.collectors.servers.command_line import program_name
from gpumon.collectors.servers.kind import Line, RunnerKind, ServerKind
from gpumon.collectors.servers.talk import Answers, Asked, FoundRunner, FoundServer, ProcessView, Talk

if TYPE_CHECKING:
    from gpumon.collectors.http.endpoint import Endpoint
    from gpumon.collectors.samples import ModelFacts
    from gpumon.collectors.source import Clock

PORT = 1234
GREETING = "/lmstudio-greeting"
MODELS = "/api/v1/models"
OLDER = "/api/v0/models"
UNLOAD = "/api/v1/models/unload"
SERVERS = frozenset({"llmster", "lm-studio", "lm studio", "lmstudio"})
WORKER = "llmworker.js"
NO_RATES = "LM Studio tells no rates over HTTP"
BEHIND_LOAD = "behind: lms load MODEL"


class LmStudioKind(ServerKind):
    """An inventory; whether a model works its worker's use of the GPU tells."""

    name, label = "lm_studio", "LM Studio"
    gives = "its models: loaded or not, context, quantisation, size of the file; VRAM only the driver tells"
    default_url = f"http://127.0.0.1:{PORT}"
    paths = frozenset({GREETING, MODELS, OLDER})
    program_starts = ("llmster", "lm-studio", "lm studio")
    runners_are = "claimed"
    manages_memory = True
    unloads = True
    facts_source = MODELS
    runners = (
        RunnerKind(
            name="lm_studio_worker",
            format="gguf",
            claimed_when_loaded=True,
            reads_file=True,
            tells_rates=False,
            update_hint=f"{NO_RATES}; gpumon meter before it counts them",
        ),
    )
    key_words = "HTTP 401: it wants an API token (Require Authentication)"
    key_hint = "name a token under headers in the settings: Authorization, with Bearer before it"
    address_hint = "check --url, and lms server status"

    async def recognise(self, answers: Answers) -> bool:
        """Whether it greets as LM Studio does, which needs no token."""
        reply = await answers.get(GREETING)
        said = fields.read(reply.body, fields.OBJECT) if reply is not None else None
        return said is not None and fields.field(said, "lmstudio", fields.ANYTHING) is True

    def converse(self, asked: Asked) -> Talk:
        """Return a new conversation."""
        from gpumon.collectors.servers.lm_studio.conversation import LmStudioConversation

        return LmStudioConversation(self, asked)

    def start_hint(self, endpoint: Endpoint) -> str:
        """Return the line that starts it."""
        return f"start it with: lms server start --port {endpoint.address.port}"

    def recognise_process(self, process: ProcessView) -> FoundServer | FoundRunner | None:
        """Return a server for the app or its daemon, not for their helpers, and a runner for a worker."""
        argv, program = process.argv, program_name(process.argv).lower()
        if program.startswith("node") and any(word.endswith(WORKER) for word in argv[1:]):
            path = next((one for one in process.model_files() if one.lower().endswith(".gguf")), None)
            settings = RunnerSettings(model_path=path)
            return FoundRunner("lm_studio_worker", settings, is_settled=False)
        is_helper = any(word.startswith("--type=") for word in argv[1:])
        return FoundServer(self.name) if program in SERVERS and not is_helper else None

    def told_url(self, argv: Sequence[str], environ: Mapping[str, str] | None) -> str:
        """Return its usual port: it keeps another one in a file of its own."""
        del argv, environ
        return f"http://127.0.0.1:{PORT}"

    async def describe(self, endpoint: Endpoint, clock: Clock, name: str, digest: str) -> ModelFacts | str:
        """Return what the file of a model holds, where it is in LM Studio's folder on this machine."""
        import asyncio

        if not endpoint.is_loopback:
            return "LM Studio does not say"
        facts = await asyncio.to_thread(read_model, name)
        if isinstance(facts, str):
            return facts
        return structs.replace(facts, time=clock.now(), source=endpoint.url, name=name, digest=digest)

    def set_context(self, tokens: int, slots: int) -> Line:
        """Return the flag of the line that loads a model."""
        del slots
        return Line(f"--context-length {tokens}", BEHIND_LOAD)

    def stop(self, url: str, name: str) -> str | None:
        """Return the line of its own program."""
        host = "" if url == self.default_url else f" --host {shlex.quote(url.partition('://')[2])}"
        return f"lms unload {shlex.quote(name)}{host}" if name.isprintable() else None

    async def unload(self, endpoint: Endpoint, name: str) -> str | None:
        """Ask to unload one instance of a model."""
        from gpumon.collectors.servers.conversation import post

        return await post(endpoint, self, UNLOAD, {"instance_id": name})


FOLDERS = ("~/.lmstudio/models", "~/.cache/lm-studio/models")
MOST_FILES = 5000


def read_model(name: str) -> ModelFacts | str:
    """Return what the only file holds whose path has all words of a model's name; may block."""
    from gpumon.collectors.gguf.file import GgufError, read_gguf

    found = [
        path for folder in FOLDERS for path in islice(Path(folder).expanduser().rglob("*.gguf"), MOST_FILES)
    ]
    words = [word for word in re.split(r"[^a-z0-9.]+", name.rpartition("/")[2].lower()) if word]
    own = [path for path in found if all(word in str(path).lower() for word in words)]
    own = [path for path in own if not path.name.lower().startswith("mmproj")]
    if len(own) != 1:
        return f"{len(own) or 'no'} files in LM Studio's folder may be its: gpumon fit FILE tells of one"
    try:
        return read_gguf(own[0])
    except (GgufError, OSError) as problem:
        return f"its file cannot be read: {problem}"
