"""TabbyAPI: one model in one process, behind a key.

All but ``/health`` wants one of the keys in ``api_tokens.yml``, which it writes into its folder at the first
start. Since 2026 ``/metrics`` counts, as llama.cpp's server does: tokens when a request ends, requests at
work and the tokens in its cache at each look (tabbyAPI: common/metrics.py). Before, nothing tells its work.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gpumon.collectors.http import fields
from gpumon.collectors.samples import (
    Orders,
    RunnerSettings,
)
from gpumon.collectors.servers.command_line import Flags, command_of, visible_devices
from gpumon.collectors.servers.kind import Line, RunnerKind, ServerKind
from gpumon.collectors.servers.talk import Answers, Asked, FoundRunner, ProcessView, Talk

if TYPE_CHECKING:
    from gpumon.collectors.http.endpoint import Endpoint

PORT = 5000
HEALTH = "/health"
MODEL = "/v1/model"
METRICS = "/metrics"
OWNER = "tabbyAPI"
REFUSALS = (b"provide an API key", b"Invalid API key")
NOTHING_LOADED = (b"No models are currently loaded", b"no model is loaded")
SCRIPTS = frozenset({"main", "start"})
FOLDER = "tabbyapi"
SETTINGS = "config.yml"
IN_SETTINGS = f"in {SETTINGS} of tabbyAPI, under model"
SPELLINGS = {
    "--host": "host",
    "--port": "port",
    "--model-name": "model",
    "--max-seq-len": "context",
    "--cache-mode": "cache_type",
    "--max-batch-size": "requests",
}
CONFIGURED = {
    "host": "host",
    "port": "port",
    "model_name": "model",
    "max_seq_len": "context",
    "cache_mode": "cache_type",
    "max_batch_size": "requests",
}
"""Keys of its settings file; each stands in one section only."""
_SETTING = re.compile(r"[ \t]{1,8}([a-z_]{1,40}):[ \t]*['\"]?([^#'\"\n]{1,400})", re.MULTILINE)
MAX_BYTES = 64 * 2**10


class TabbyApiKind(ServerKind):
    """Known by what it says of its model, or by how it asks for a key."""

    name, label = "tabbyapi", "TabbyAPI"
    gives = "its model, context and cache; with /metrics of 2026 its work and the last request"
    default_url = f"http://127.0.0.1:{PORT}"
    paths = frozenset({HEALTH, MODEL, METRICS})
    program_starts = ("tabbyapi",)
    environment = frozenset({"CUDA_VISIBLE_DEVICES"})
    runners = (RunnerKind(name="tabbyapi", stands_alone=True, default_port=PORT, has_workers=True),)
    key_words = "HTTP 401: it wants a key of its api_tokens.yml"
    key_hint = "name the api_key of api_tokens.yml, in its folder, under headers in the settings: X-API-Key"
    facts_source = MODEL
    unload_words = "it wants its admin key for that"

    async def recognise(self, answers: Answers) -> bool:
        """Whether its model says so; or it asks for a key, or has no model, in its own words."""
        reply = await answers.get(MODEL)
        if reply is None or reply.status == 404:
            return False
        if reply.status == 200:
            card = fields.read(reply.body, fields.OBJECT)
            return card is not None and fields.text(card, "owned_by") == OWNER
        if not any(words in reply.body for words in (*REFUSALS, *NOTHING_LOADED)):
            return False
        health = await answers.get(HEALTH)
        said = fields.read(health.body, fields.OBJECT) if health is not None else None
        return said is not None and fields.text(said, "status") in {"healthy", "unhealthy"}

    def converse(self, asked: Asked) -> Talk:
        """Return a new conversation."""
        from gpumon.collectors.servers.tabbyapi.conversation import TabbyConversation

        return TabbyConversation(self, asked)

    def start_hint(self, endpoint: Endpoint) -> str:
        """Return the line that starts it."""
        return f"start it in its folder with: python main.py --port {endpoint.address.port}"

    def recognise_process(self, process: ProcessView) -> FoundRunner | None:
        """Return a runner for its script in an interpreter, in a folder of its name."""
        command, folder = command_of(process.argv), None
        if not (command.interpreted and command.name in SCRIPTS):
            return None
        if FOLDER not in command.path.lower():
            folder = process.directory() or ""
            if FOLDER not in folder.rpartition("/")[2].lower() and FOLDER not in process.argv[0].lower():
                return None
        folder = folder or command.path.rpartition("/")[0]
        flags = Flags((command.path, *command.words), SPELLINGS, defaults=_configured(folder))
        settings = RunnerSettings(
            model_name=flags.text("model"),
            host=flags.text("host"),
            port=flags.integer("port", 1, 65535),
            context_length=flags.integer("context", 1),
            cache_type_k=flags.text("cache_type"),
            parallel=flags.integer("requests", 1),
            orders=Orders(visible_devices=visible_devices(process.environ().get("CUDA_VISIBLE_DEVICES"))),
        )
        return FoundRunner("tabbyapi", settings)

    def told_words(self, settings: RunnerSettings) -> Sequence[tuple[str, str]]:
        """Return what its command line and its settings file ask for."""
        requests = settings.parallel
        return (
            ("requests at once", "not told" if requests is None else f"up to {requests}"),
            ("cache mode", settings.cache_type_k or "not told (FP16)"),
        )

    def set_context(self, tokens: int, slots: int) -> Line:
        """Return the line of its settings: the longest context of one request, whatever their number."""
        del slots
        return Line(f"max_seq_len: {tokens}", IN_SETTINGS)

    def set_slots(self, slots: int) -> Line:
        """Return the line of its settings."""
        return Line(f"max_batch_size: {slots}", IN_SETTINGS)


def _configured(folder: str) -> dict[str, str]:
    """Return what its settings file says of a few keys; nothing where it may not be read."""
    try:
        with Path(folder, SETTINGS).open("rb") as file:
            text = file.read(MAX_BYTES).decode("utf-8", "replace")
    except (OSError, ValueError):
        return {}
    told = {key: value.strip() for key, value in _SETTING.findall(text) if key in CONFIGURED}
    return {CONFIGURED[key]: value for key, value in told.items() if value and value not in {"null", "~"}}
