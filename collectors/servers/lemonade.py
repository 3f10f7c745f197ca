"""Lemonade: a server before those of several models, on GPU, CPU or NPU, behind Ollama's routes as well.

``/health`` lists its models with the process and the port of each; what a model does its own port tells. Of
its own it tells the last request (``/stats``), no rate of now. It answers ``/api/ps`` as Ollama 0.16.1 would,
with sizes of 0: nothing of them is believed. ``/slots`` would count as a use and put off what it unloads,
``/metrics`` empties the gauges of its children: neither is asked. (Snapshot of 22 August 2026, src/cpp.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct, structs

from gpumon.collectors.http import fields
from gpumon.collectors.http.endpoint import parse_host
from gpumon.collectors.samples import (
    LastRequest,
    ModelClaim,
    ModelState,
    RunnerSettings,
    Said,
    WorkCounters,
)
from gpumon.collectors.servers.command_line import Flags, program_name
from gpumon.collectors.servers.kind import ServerKind
from gpumon.collectors.servers.llama_server.command_line import settings_of
from gpumon.collectors.servers.talk import Answers, Asked, FoundServer, ProcessView, Talk

if TYPE_CHECKING:
    from gpumon.collectors.http.endpoint import Endpoint
    from gpumon.collectors.http.fields import RawObject
    from gpumon.collectors.servers.conversation import Look

PORT = 13305
OLDER_PORT = 8000
HEALTH = "/api/v1/health"
STATS = "/api/v1/stats"
UNLOAD = "/api/v1/unload"
"""Under this prefix all of its versions answer."""
PROGRAMS = frozenset({"lemond", "lemonade-server", "lemonade-server-dev", "lemonade-router"})
IMITATION = b"sha256:" + b"0" * 64
"""The digest of each model of its imitated ``/api/ps``."""
REFUSAL = b'{"error": "Invalid or missing API key"}'
"""To the letter what it answers without its key."""
STATES: Mapping[str, ModelState | None] = {"loading": "loading", "unloaded": None}
"""``status`` of a model that is not simply there (model_types.h)."""
MAX_ARGUMENTS = 256
ON_NPU = "on the NPU, which no GPU driver sees"
WAS_RESET = "Lemonade has started its backend anew: it hung"


class LemonadeKind(ServerKind):
    """Known by its own mark before Ollama is believed."""

    name, label = "lemonade", "Lemonade"
    gives = "its models, the device of each, the last request; their own ports tell the rest"
    default_url = f"http://127.0.0.1:{PORT}"
    paths = frozenset({HEALTH, STATS})
    program_starts = ("lemond", "lemonade")
    imitates = "ollama"
    runners_are = "routed"
    tells_work = False
    manages_memory = True
    unloads = True
    key_hint = "give its LEMONADE_API_KEY: headers in the settings file, Authorization: Bearer KEY"

    async def recognise(self, answers: Answers) -> bool:
        """Whether it lists its models; asked only where the answers so far may be its own.

        Ollama says in which character set it writes, and no model of its has a digest of zeros.
        """
        if any(reply.status == 401 and reply.body == REFUSAL for reply in answers.seen.values()):
            return True
        listed = answers.seen.get("/api/ps")
        if listed is not None and listed.status == 200 and IMITATION not in listed.body:
            said = fields.read(listed.body, fields.OBJECT)
            models = fields.field(said, "models", fields.ROWS) if said is not None else None
            if models or "charset" in listed.headers.get("content-type", ""):
                return False
        reply = await answers.get(HEALTH)
        return reply is not None and reply.status == 200 and served_models(reply.body) is not None

    def converse(self, asked: Asked) -> Talk:
        """Return a new conversation."""
        from gpumon.collectors.servers.conversation import Conversation, Look, UnusableError
        from gpumon.collectors.servers.health import foreign

        class LemonadeConversation(Conversation):
            """Asks for the models, and for the last request when one may have ended."""

            _book: LastRequests | None = None

            def forget(self) -> None:
                super().forget()
                self._book = None

            async def look(self) -> Look:
                health = await self.get_object(HEALTH)
                served = served_models(self.replies[HEALTH].body)
                if served is None:
                    raise UnusableError(foreign(self.endpoint, self.kind))
                self._book = self._book or LastRequests()
                if self._book.may_have_ended(served):
                    self._book.take(await self.get_object(STATS), served)
                return _look(served, self._book, health)

        def _look(served: Sequence[Served], book: LastRequests, health: RawObject) -> Look:
            return Look(
                models=tuple(one.claim for one in served),
                version=fields.text(health, "version"),
                work=tuple((one.claim.name, one.said(book.last.get(one.claim.name))) for one in served),
                origin=STATS,
            )

        return LemonadeConversation(self, asked)

    def start_hint(self, endpoint: Endpoint) -> str:
        """Return the line that starts it."""
        return f"start it with: lemond --port {endpoint.address.port}"

    def recognise_process(self, process: ProcessView) -> FoundServer | None:
        """Return a server for one of its programs."""
        return FoundServer(self.name) if program_name(process.argv).lower() in PROGRAMS else None

    def told_url(self, argv: Sequence[str], environ: Mapping[str, str] | None) -> str:
        """Return where its flags say; else its usual port, which was another one up to 2025."""
        del environ
        flags = Flags(argv, {"--port": "port", "--host": "host"})
        usual = PORT if program_name(argv).lower() == "lemond" else OLDER_PORT
        return parse_host(f"{flags.text('host') or ''}:{flags.integer('port', 1, 65535) or usual}").url

    async def unload(self, endpoint: Endpoint, name: str) -> str | None:
        """Ask to unload a model (server.cpp: ``handle_unload``); without a name it would unload all."""
        import msgspec

        from gpumon.collectors.http.client import MAX_PROBE_BYTES, HttpClient, TimeLimits
        from gpumon.collectors.http.failure import RequestError
        from gpumon.collectors.servers.health import health_of_failure, health_of_status

        client = HttpClient(endpoint, TimeLimits(total=15.0))
        try:
            reply = await client.post(UNLOAD, msgspec.json.encode({"model_name": name}), MAX_PROBE_BYTES)
        except RequestError as failure:
            return health_of_failure(failure.kind, endpoint, self).detail
        finally:
            await client.close()
        known = health_of_status(reply, endpoint, self)
        return known.detail if known else None if reply.status == 200 else f"HTTP {reply.status}"


class Served(Struct, frozen=True, kw_only=True):
    """A model that it holds."""

    claim: ModelClaim
    is_busy: bool | None = None
    last_use: int | None = None
    """Milliseconds of a clock of its own."""
    detail: str | None = None

    def said(self, last: LastRequest | None) -> Said:
        """Return what is known of its work."""
        running = None if self.is_busy is None else int(self.is_busy)
        counters = WorkCounters(grows_live=True, requests_processing=running)
        return Said(self.claim.state or "ready", self.detail, counters=counters, last=last)


def served_models(body: bytes) -> tuple[Served, ...] | None:
    """Return the models that it holds on this machine; ``None`` if the body is no such list."""
    said = fields.read(body, fields.OBJECT)
    rows = fields.field(said, "all_models_loaded", fields.ROWS) if said is not None else None
    if rows is None:
        return None
    models = (_served(row) for raw in rows if (row := fields.read(raw, fields.OBJECT)) is not None)
    return tuple({one.claim.name: one for one in models if one is not None}.values())


def _served(row: RawObject) -> Served | None:
    """Return one model; ``None`` for one of a cloud, which takes nothing here."""
    name, state = fields.text(row, "model_name"), STATES.get(fields.text(row, "status") or "", "ready")
    if name is None or state is None or fields.text(row, "slot_pool") == "unmetered":
        return None
    settings = _settings(row)
    claim = ModelClaim(
        name=name,
        state=state,
        settings=settings,
        context_length=settings.context_length,
        format="gguf" if fields.text(row, "recipe") == "llamacpp" else None,
        on_npu=fields.text(row, "device") == "npu",
    )
    busy = fields.field(row, "is_busy", fields.ANYTHING)
    return Served(
        claim=claim,
        is_busy=busy if isinstance(busy, bool) else None,
        last_use=fields.amount(row, "last_use"),
        detail=_detail(row),
    )


def _detail(row: RawObject) -> str | None:
    if fields.text(row, "backend_health") == "watchdog_reset":
        return WAS_RESET
    return ON_NPU if fields.text(row, "device") == "npu" else None


def _settings(row: RawObject) -> RunnerSettings:
    """Return what its process was told; the rest of the command line is not kept."""
    told = settings_of([*fields.texts(row, "launch_command", MAX_ARGUMENTS)]) or RunnerSettings()
    context = told.context_length or fields.amount(fields.nested(row, "recipe_options"), "ctx_size") or None
    address = (fields.text(row, "backend_url") or "").removesuffix("/").removesuffix("/v1")
    _, _, port = address.rpartition(":")
    number = int(port) if port.isdecimal() and len(port) <= 5 else told.port
    return structs.replace(told, port=number, context_length=context)


class LastRequests:
    """Finds out whose the last request was: ``/stats`` names no model."""

    def __init__(self) -> None:
        self.last: dict[str, LastRequest] = {}
        self._count: int | None = None
        self._uses: dict[str, tuple[bool | None, int | None]] = {}
        self._moved: set[str] = set()
        """Models that have been used since the count was last seen to grow."""

    def may_have_ended(self, served: Sequence[Served]) -> bool:
        """Whether a request may have ended since the look before; at the first look one may."""
        uses = {one.claim.name: (one.is_busy, one.last_use) for one in served}
        moved = {name for name, use in uses.items() if use != self._uses.get(name) or use[0]}
        self._moved |= moved
        self._uses = uses
        return bool(moved)

    def take(self, stats: RawObject, served: Sequence[Served]) -> None:
        """Take in an answer; it counts where one model alone can have had the request."""
        count, request = fields.amount(stats, "request_count_total"), _last_request(stats)
        has_grown = self._count is not None and count is not None and count > self._count
        names = {one.claim.name for one in served}
        whose = names if len(names) == 1 else self._moved & names if has_grown else set()
        if request is not None and len(whose) == 1:
            self.last |= dict.fromkeys(whose, request)
        if has_grown or self._count is None:
            self._moved = {one.claim.name for one in served if one.is_busy}
        self._count = count


def _last_request(stats: RawObject) -> LastRequest | None:
    """Return the last request; ``None`` before the first one (wrapped_server.h: ``Telemetry``)."""
    count, decoded = fields.amount(stats, "request_count_total"), fields.amount(stats, "output_tokens")
    if not count and not decoded:
        return None
    return LastRequest(
        count=count,
        prompt_tokens=fields.amount(stats, "prompt_tokens") or fields.amount(stats, "input_tokens") or None,
        cached_tokens=fields.amount(stats, "cache_tokens"),
        decoded_tokens=decoded,
        decode_tokens_per_second=_positive(stats, "tokens_per_second"),
        first_token_seconds=_positive(stats, "time_to_first_token"),
    )


def _positive(values: RawObject, key: str) -> float | None:
    """Return a figure; 0 means that none was told."""
    figure = fields.field(values, key, fields.ANYTHING)
    is_number = isinstance(figure, int | float) and not isinstance(figure, bool)
    return float(figure) if is_number and 0 < figure < 1e9 else None  # type: ignore[operator, arg-type]
