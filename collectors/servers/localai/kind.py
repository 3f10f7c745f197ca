"""LocalAI: one port before backends that it starts, a process each, asked by it over gRPC.

``/system`` names the models that are loaded and what runs each; ``/backend/monitor?model=`` says whether one
is at work, of backends that tell. Of one that does not LocalAI looks for its process and logs an error, so it
is asked once; of a model that is not loaded it is never asked. It answers ``/api/ps`` as an Ollama would,
with sizes of 0, of which nothing is believed (LocalAI 4.9: core/http/endpoints).
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec import json

from gpumon.collectors.http import fields
from gpumon.collectors.http.endpoint import parse_host
from gpumon.collectors.samples import RunnerSettings
from gpumon.collectors.servers.command_line import program_name
from gpumon.collectors.servers.kind import RunnerKind, ServerKind
from gpumon.collectors.servers.talk import Answers, Asked, FoundRunner, FoundServer, ProcessView, Talk

if TYPE_CHECKING:
    from gpumon.collectors.http.endpoint import Endpoint

PORT = 8080
SYSTEM = "/system"
MONITOR = "/backend/monitor"
VERSION = "/version"
DISCOVERY = "/.well-known/localai.json"
SHUTDOWN = "/backend/shutdown"
LOADED = "loaded_models"
IMITATION = (b'"models":null', b'"digest":"sha256:')
"""What its imitated ``/api/ps`` holds and that of Ollama does not: no list, or digests with their kind."""
REFUSAL = b"An authentication key is required"
MARK = b'"backend_monitor"'
BACKENDS = "/backends/"
ADDRESS_VARIABLES = ("LOCALAI_ADDRESS", "ADDRESS")


class LocalAiKind(ServerKind):
    """Names what is loaded; the bytes are those of its backends by the driver."""

    name, label = "localai", "LocalAI"
    gives = "the models that are loaded, the backend of each and whether it works, where it says so"
    default_url = f"http://127.0.0.1:{PORT}"
    paths = frozenset({SYSTEM, MONITOR, VERSION, DISCOVERY})
    program_starts = ("local-ai", "localai")
    environment = frozenset(ADDRESS_VARIABLES)
    imitates = "ollama"
    runners_are = "claimed"
    manages_memory = True
    unloads = True
    facts_source = SYSTEM
    runners = (
        RunnerKind(
            name="localai_backend",
            has_workers=True,
            claimed_when_loaded=True,
            tells_rates=False,
            update_hint="LocalAI tells no rates; gpumon meter before it counts them",
        ),
    )
    key_words = "HTTP 401: it wants an API key, of an admin since 4.9"
    key_hint = "name the key of an admin under headers in the settings: Authorization, with Bearer before it"

    async def recognise(self, answers: Answers) -> bool:
        """Whether it lists its backends; where a key guards that, it says what it is where none is needed."""
        listed = answers.seen.get("/api/ps")
        if listed is not None and listed.status == 200 and not any(one in listed.body for one in IMITATION):
            return False
        if any(reply.status == 401 and REFUSAL in reply.body for reply in answers.seen.values()):
            return True
        reply = await answers.get(SYSTEM)
        if reply is not None and reply.status in {401, 403}:
            told = await answers.get(DISCOVERY)
            return told is not None and told.status == 200 and MARK in told.body
        said = fields.read(reply.body, fields.OBJECT) if reply is not None else None
        return said is not None and "backends" in said and LOADED in said

    def converse(self, asked: Asked) -> Talk:
        """Return a new conversation."""
        from gpumon.collectors.servers.localai.conversation import LocalAiConversation

        return LocalAiConversation(self, asked)

    def start_hint(self, endpoint: Endpoint) -> str:
        """Return the line that starts it."""
        return f"start it with: local-ai run --address :{endpoint.address.port}"

    def recognise_process(self, process: ProcessView) -> FoundServer | FoundRunner | None:
        """Return a server for its program, and a runner for a backend: ``…/backends/NAME/… --addr``."""
        argv = process.argv
        if program_name(argv).lower() in {"local-ai", "localai"}:
            return FoundServer(self.name) if "backends" not in argv[1:2] else None
        is_backend = "--addr" in argv and any(BACKENDS in word for word in argv[:3])
        return FoundRunner("localai_backend", RunnerSettings()) if is_backend else None

    def told_url(self, argv: Sequence[str], environ: Mapping[str, str] | None) -> str:
        """Return where its flag or its environment says; else its usual port."""
        told = next((word.partition("=")[2] for word in argv if word.startswith("--address=")), None)
        if told is None and "--address" in argv:
            told = next(iter(argv[argv.index("--address") + 1 :]), None)
        variables = (environ.get(name) for name in ADDRESS_VARIABLES) if environ else ()
        return parse_host(told or next(filter(None, variables), None) or f":{PORT}").url

    def stop(self, url: str, name: str) -> str | None:
        """Return the line; it waits for the requests that run."""
        if not name.isprintable():
            return None
        header, body = "Content-Type: application/json", json.encode({"model": name}).decode()
        return shlex.join(["curl", "-X", "POST", url + SHUTDOWN, "-H", header, "-d", body])

    async def unload(self, endpoint: Endpoint, name: str) -> str | None:
        """Ask to shut its backend down, which waits for the requests that run."""
        from gpumon.collectors.servers.conversation import post

        return await post(endpoint, self, SHUTDOWN, {"model": name})
