"""llama-swap: one port before the servers of several models, each started when it is asked for.

``/running`` lists what is loaded, under the names that clients use, with the line that started it: by its
port a child is told from the others. Each request is a line in its log. The child's own port tells far more
than llama-swap does of its work; where it cannot be asked, ``/api/metrics/activity`` tells of requests that
have ended. ``/props?model=`` and ``/upstream/`` would load a model, ``/unload`` is a GET: none is asked, nor
``/api/events``, which would tell of requests under way: it sends both logs whole first, with prompts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct, structs

from gpumon.collectors.http import fields
from gpumon.collectors.http.endpoint import is_loopback_host, parse_host
from gpumon.collectors.samples import (
    LastRequest,
    ModelClaim,
    ModelState,
    RunnerSettings,
    Said,
    WorkCounters,
)
from gpumon.collectors.servers.command_line import program_name
from gpumon.collectors.servers.kind import ServerKind
from gpumon.collectors.servers.llama_server.command_line import settings_of
from gpumon.collectors.servers.talk import Answers, Asked, FoundServer, ProcessView, Talk

if TYPE_CHECKING:
    from gpumon.collectors.http.endpoint import Endpoint
    from gpumon.collectors.http.fields import RawObject

PORT = 8080
RUNNING = "/running"
ACTIVITY = "/api/metrics/activity"
VERSION = "/api/version"
MARK = b'"llama-swap"'
"""``src`` in the body of its errors; one comes of ``/props``, which another kind has asked by then."""
STATES: Mapping[str, ModelState] = {"starting": "loading", "ready": "ready", "stopping": "ready"}
"""Those in which a model takes memory (llama-swap: ``/running``)."""
STEADY_SECONDS = 3.0
"""Between two looks while the processes of its models are seen, and show that nothing changes."""


class LlamaSwapKind(ServerKind):
    """Names the models; what they do their own servers tell."""

    name, label = "llama_swap", "llama-swap"
    gives = "the names of its models, which of them loads; their own ports tell the rest"
    default_url = f"http://127.0.0.1:{PORT}"
    paths = frozenset({RUNNING, ACTIVITY, VERSION})
    program_starts = ("llama-swap",)
    runners_are = "routed"
    tells_work = False
    manages_memory = True
    key_hint = "name one of its apiKeys under headers in the settings: Authorization, with Bearer before it"

    async def recognise(self, answers: Answers) -> bool:
        """Whether an error names it, or its own list of models is there."""
        if any(MARK in reply.body for reply in answers.seen.values()):
            return True
        reply = await answers.get(RUNNING)
        return reply is not None and reply.status == 200 and running_models(reply.body) is not None

    def converse(self, asked: Asked) -> Talk:
        """Return a new conversation."""
        from gpumon.collectors.servers.conversation import Conversation, Look, UnusableError
        from gpumon.collectors.servers.health import foreign

        class LlamaSwapConversation(Conversation):
            """Asks what is loaded; for the requests where the processes of the models are not seen."""

            _version: str | None = None
            _models: tuple[ModelClaim, ...] = ()
            _book: Activity | None = None

            def forget(self) -> None:
                super().forget()
                self._version, self._models, self._book = None, (), None

            async def look(self) -> Look:
                models = running_models((await self.get(RUNNING)).body)
                if models is None:
                    raise UnusableError(foreign(self.endpoint, self.kind))
                self._version = self._version or fields.text(
                    await self.get_optional(VERSION) or {}, "version"
                )
                self._models = models
                work = await self._requests() if len(models) > _count_seen(asked) else ()
                return Look(models=models, version=self._version, work=work, origin=ACTIVITY)

            async def _requests(self) -> tuple[tuple[str, Said], ...]:
                self._book = book = self._book or Activity()
                listed = await self.get_optional(ACTIVITY)
                if listed is None:
                    return ()
                book.take(listed)
                return tuple((one.name, book.said(one)) for one in self._models)

            def delay(self, interval: float) -> float:
                delay, known = super().delay(interval), asked.runners() if asked.runners else None
                if known is None or known.loading or len(known.identities) != len(self._models):
                    return delay
                return max(delay, STEADY_SECONDS)

        return LlamaSwapConversation(self, asked)

    def start_hint(self, endpoint: Endpoint) -> str:
        """Return the line that starts it."""
        return f"start it with: llama-swap --config FILE --listen :{endpoint.address.port}"

    def recognise_process(self, process: ProcessView) -> FoundServer | None:
        """Return a server for its program."""
        name = program_name(process.argv).lower()
        return FoundServer(self.name) if name == "llama-swap" or name.startswith("llama-swap-") else None

    def told_url(self, argv: Sequence[str], environ: Mapping[str, str] | None) -> str:
        """Return where ``--listen`` says; else its usual port."""
        del environ
        return parse_host(_listening(argv) or f":{PORT}").url


def _listening(argv: Sequence[str]) -> str | None:
    """Return the address behind ``-listen`` or ``--listen``, in one word or two (Go: package flag)."""
    for at, word in enumerate(argv):
        flag, is_joined, value = word.lstrip("-").partition("=")
        if flag == "listen" and word.startswith("-"):
            return value if is_joined else next(iter(argv[at + 1 : at + 2]), None)
    return None


def _count_seen(asked: Asked) -> int:
    """Return how many processes of its models are seen, and asked on their own ports."""
    known = asked.runners() if asked.runners else None
    return 0 if known is None else len(known.identities)


def running_models(body: bytes) -> tuple[ModelClaim, ...] | None:
    """Return the models that take memory; ``None`` if the body is no such list."""
    listed = fields.read(body, fields.OBJECT)
    rows = fields.field(listed, "running", fields.ROWS) if listed else None
    if rows is None:
        return None
    claims = (_claim(row) for raw in rows if (row := fields.read(raw, fields.OBJECT)) is not None)
    return tuple({claim.name: claim for claim in claims if claim is not None}.values())


def _claim(row: RawObject) -> ModelClaim | None:
    name, state = fields.text(row, "model"), STATES.get(fields.text(row, "state") or "")
    if name is None or state is None:
        return None
    told = settings_of(_words(fields.field(row, "cmd", fields.LONG_TEXT) or ""))
    settings = structs.replace(told or RunnerSettings(), port=_port(fields.text(row, "proxy") or ""))
    return ModelClaim(
        name=name,
        state=state,
        settings=settings,
        context_length=settings.context_length,
        format=None if told is None else "gguf",
    )


def _port(proxy: str) -> int | None:
    """Return the port of a child; ``None`` where requests go to another machine."""
    address = parse_host(proxy)
    return address.port if proxy and is_loopback_host(address.host) else None


def _words(line: str) -> Sequence[str]:
    """Return the words of a command line as a shell would part them."""
    import shlex

    try:
        return shlex.split(line)
    except ValueError:  # a quote that is not closed
        return line.split()


class _Counted(Struct):
    """What requests of one model have come to."""

    latest: int = -1
    """The number of the newest, and what is told of it."""
    tokens: RawObject = {}
    milliseconds: int | None = None
    prompt_tokens: float = 0.0
    prompt_seconds: float = 0.0
    decoded_tokens: float = 0.0
    decoded_seconds: float = 0.0


class Activity:
    """Adds up the requests that have ended, each once: counters like those of llama-server."""

    def __init__(self) -> None:
        self._newest = -1
        self._by_model: dict[str, _Counted] = {}

    def take(self, listed: RawObject) -> None:
        """Take in one answer; numbers that begin anew are those of a server that has started again."""
        rows = [
            row for raw in fields.field(listed, "data", fields.ROWS) or () if (row := _row(raw)) is not None
        ]
        newest = max((row.number for row in rows), default=-1)
        if newest < self._newest:
            self.__init__()  # type: ignore[misc]
        for row in rows:
            if row.number > self._newest:
                self._add(self._by_model.setdefault(row.model, _Counted()), row)
        self._newest = newest

    def counters(self, model: str) -> WorkCounters:
        """Return what the requests of a model have come to."""
        counted = self._by_model.get(model) or _Counted()
        return WorkCounters(
            prompt_tokens_total=counted.prompt_tokens,
            prompt_seconds_total=counted.prompt_seconds,
            decoded_tokens_total=counted.decoded_tokens,
            decoded_seconds_total=counted.decoded_seconds,
        )

    def said(self, model: ModelClaim) -> Said:
        """Return what is told of a model's requests."""
        last = self.last(model.name, leaves_out_cached=model.format is not None)
        return Said(model.state or "ready", counters=self.counters(model.name), last=last)

    def last(self, model: str, *, leaves_out_cached: bool) -> LastRequest | None:
        """Return the newest request of a model; ``None`` where none is told.

        ``leaves_out_cached``: the prompt is counted without what was in the cache, as llama-server counts it.
        """
        counted = self._by_model.get(model)
        if counted is None:
            return None
        tokens, cached = counted.tokens, fields.amount(counted.tokens, "cache_tokens")
        prompt = fields.amount(tokens, "input_tokens")
        if prompt is not None and leaves_out_cached:
            prompt += cached or 0
        return LastRequest(
            count=counted.latest,
            prompt_tokens=prompt or None,
            cached_tokens=cached,
            decoded_tokens=fields.amount(tokens, "output_tokens"),
            prefill_tokens_per_second=_rate(tokens, "prompt_per_second"),
            decode_tokens_per_second=_rate(tokens, "tokens_per_second"),
            seconds=None if counted.milliseconds is None else counted.milliseconds / 1000,
        )

    def _add(self, counted: _Counted, row: _Request) -> None:
        tokens = row.tokens
        if row.number > counted.latest:
            counted.latest, counted.tokens, counted.milliseconds = row.number, tokens, row.milliseconds
        prompt, decoded = (
            fields.amount(tokens, "input_tokens") or 0,
            fields.amount(tokens, "output_tokens") or 0,
        )
        prompt_rate, rate = _rate(tokens, "prompt_per_second"), _rate(tokens, "tokens_per_second")
        counted.prompt_tokens += prompt
        counted.prompt_seconds += prompt / prompt_rate if prompt_rate else 0.0
        counted.decoded_tokens += decoded
        counted.decoded_seconds += decoded / rate if rate else 0.0


class _Request(NamedTuple):
    number: int
    model: str
    tokens: RawObject
    milliseconds: int | None


def _row(raw: bytes) -> _Request | None:
    row = fields.read(raw, fields.OBJECT)
    if row is None:
        return None
    number, model = fields.amount(row, "id"), fields.text(row, "model")
    if number is None or model is None:
        return None
    return _Request(number, model, fields.nested(row, "tokens"), fields.amount(row, "duration_ms"))


def _rate(tokens: RawObject, key: str) -> float | None:
    """Return tokens per second; -1 and 0 mean that none was told."""
    rate = fields.field(tokens, key, fields.ANYTHING)
    return float(rate) if isinstance(rate, int | float) and 0 < rate < 1e9 else None
