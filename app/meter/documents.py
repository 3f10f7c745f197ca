"""The JSON documents in the body of an answer, and what they say of tokens and times.

The dialects: Ollama (``/api/generate``, ``/api/chat``: final object, nanoseconds), OpenAI (``usage``),
llama-server (``timings``), Anthropic (``/v1/messages``) and OpenAI's ``/v1/responses``.
"""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

import msgspec
from msgspec import Struct

from gpumon.app.meter.json_fields import PRESENT, Field, FieldScanner, read_whole, wanted_fields

Framing = Literal[
    "lines",  # NDJSON: a document on each line
    "events",  # server-sent events: a document on each line that begins with "data:"
    "whole",  # one document
]

_FRAMINGS: dict[str, Framing] = {
    "application/x-ndjson": "lines",
    "text/event-stream": "events",
    "application/json": "whole",
}
_PREFIXES: dict[Framing, bytes] = {"lines": b"", "events": b"data:", "whole": b""}

Document = dict[str, bytes]
"""The wanted fields of one document, raw."""


def framing_of(content_type: str) -> Framing | None:
    """Return how an answer holds its documents; ``None`` where it holds none that can be read."""
    return _FRAMINGS.get(content_type.partition(";")[0].strip().lower())


class _Message(Struct, frozen=True, gc=False):
    content: str | None = None
    thinking: str | None = None
    model: None = None
    usage: None = None


class _Delta(Struct, frozen=True, gc=False):
    text: str | None = None
    thinking: str | None = None
    partial_json: None = None


class _ChoiceDelta(Struct, frozen=True, gc=False):
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: None = None

    @property
    def has_text(self) -> bool:
        return bool(self.content or self.reasoning_content or self.reasoning)


class _Choice(Struct, frozen=True, gc=False):
    delta: _ChoiceDelta = _ChoiceDelta()
    text: str | None = None
    finish_reason: None = None


class _Plain(Struct, frozen=True, gc=False):
    """A document that brings a piece of text and says nothing else that is wanted, as nearly all of them do.

    What is of type ``None``, here and above, makes it another: that is read with care.
    """

    choices: list[_Choice] = []
    message: _Message | None = None
    delta: _Delta | None = None
    response: str | None = None
    thinking: str | None = None
    model: str | None = None
    type: str | None = None
    done: bool = False
    stop: None = None
    content: None = None
    usage: None = None
    timings: None = None
    eval_count: None = None
    eval_duration: None = None
    prompt_eval_count: None = None
    tokens_predicted: None = None
    tokens_evaluated: None = None

    @property
    def has_piece(self) -> bool:
        """Whether there is text in it."""
        message, delta = self.message, self.delta
        return bool(
            self.response
            or self.thinking
            or (message and (message.content or message.thinking))
            or (delta and (delta.text or delta.thinking))
            or any(choice.text or choice.delta.has_text for choice in self.choices)
        )


_PLAIN: msgspec.json.Decoder[_Plain] = msgspec.json.Decoder(_Plain)


class Documents:
    """Takes a body apart; holds the wanted fields of the document under way and nothing else."""

    def __init__(self, framing: Framing, wanted: Field) -> None:
        self.streamed = framing != "whole"
        """Whether the documents are pieces of an answer, sent as it is made."""
        self.is_named = False
        """Whether the model's name is known; until then no document that has one is plain."""
        self._prefix = _PREFIXES[framing]
        self._wanted = wanted
        self._begin()

    def feed(self, data: bytes) -> list[Document | int]:
        """Take in the next bytes; return the documents that end in them: of plain ones how many pieces."""
        if not self.streamed:
            self._take(data)
            return []
        found: list[Document | int] = []
        pieces = 0
        *lines, rest = data.split(b"\n")
        for line in lines:
            plain = self._plain(line)
            if plain is not None:
                pieces += plain.has_piece
            elif document := self._end_line(line):
                found += [pieces, document] if pieces else [document]
                pieces = 0
        self._take(rest)
        return [*found, pieces] if pieces else found

    def end(self) -> list[Document]:
        """Return the document that the end of the body ends."""
        document = self._end_line(b"")
        return [document] if document else []

    def _begin(self) -> None:
        self._scanner = FieldScanner(self._wanted)
        self._awaited = self._prefix
        """What of the prefix has not come yet."""
        self._ignored = False
        self._is_begun = False

    def _end_line(self, rest: bytes) -> Document:
        if not self._is_begun:
            if not rest.startswith(self._prefix):
                return {}
            document = read_whole(self._wanted, rest[len(self._prefix) :])
            if document is not None:
                return document
        self._take(rest)
        document = self._scanner.values
        self._begin()
        return document

    def _plain(self, line: bytes) -> _Plain | None:
        """Return what a whole line holds that is a plain document."""
        if self._is_begun or not line.startswith(self._prefix):
            return None
        try:
            plain = _PLAIN.decode(line[len(self._prefix) :])
        except (ValueError, RecursionError):
            return None
        is_other = plain.done or plain.type in _LAST or (plain.model and not self.is_named)
        return None if is_other else plain

    def _take(self, piece: bytes) -> None:
        self._is_begun = self._is_begun or bool(piece)
        head = piece[: len(self._awaited)]
        if not self._awaited.startswith(head):
            self._ignored = True
        self._awaited = self._awaited[len(head) :]
        if not self._ignored:
            self._scanner.feed(piece[len(head) :])


_DECODED = (
    "eval_count",
    "timings.predicted_n",
    "usage.completion_tokens",
    "usage.output_tokens",
    "response.usage.output_tokens",
    "tokens_predicted",
)
_PROMPT = (
    "prompt_eval_count",
    "usage.prompt_tokens",
    "usage.input_tokens",
    "message.usage.input_tokens",
    "response.usage.input_tokens",
    "tokens_evaluated",
)
_RATES = ("eval_duration", "timings.predicted_per_second", "timings.prompt_per_second")
_NAMES = ("model", "message.model", "response.model")
_ENDS = ("done", "stop", "type", "choices[].finish_reason")
_PIECES = (
    "response",
    "thinking",
    "message.content",
    "message.thinking",
    "content",
    "choices[].text",
    "choices[].delta.content",
    "choices[].delta.reasoning_content",
    "choices[].delta.reasoning",
    "choices[].delta.tool_calls[].function.arguments",
    "delta",
    "delta.text",
    "delta.thinking",
    "delta.partial_json",
)
"""Where the dialects put what was generated; a document that has one of them counts as a token."""

_LAST = frozenset({"message_stop", "response.completed"})
_LAST_TYPES = frozenset(name.encode() for name in _LAST)

WANTED = wanted_fields((*_DECODED, *_PROMPT, *_RATES, *_NAMES, *_ENDS), private_paths=_PIECES)
REQUEST_WANTED = wanted_fields(("model",))

_COUNT: msgspec.json.Decoder[int] = msgspec.json.Decoder(Annotated[int, msgspec.Meta(ge=0, le=2**60)])
_NUMBER: msgspec.json.Decoder[float] = msgspec.json.Decoder(Annotated[float, msgspec.Meta(ge=0, le=2**60)])
_TEXT: msgspec.json.Decoder[str] = msgspec.json.Decoder(str)


class Figures(NamedTuple):
    """What a server has said of one request; ``None`` where it has not."""

    prompt_tokens: int | None = None
    """Those found in the cache included."""
    decoded_tokens: int | None = None
    decode_tokens_per_second: float | None = None
    prefill_tokens_per_second: float | None = None
    """Of computed tokens. Ollama's ``prompt_eval_count`` counts cached ones too and gives no such rate."""

    def updated(self, later: Figures) -> Figures:
        """Return what is known once ``later`` has been said too."""
        return self._replace(**{name: said for name, said in later._asdict().items() if said is not None})


def figures_of(document: Document) -> Figures:
    """Return what one document says."""
    return Figures(
        prompt_tokens=_first_count(document, _PROMPT),
        decoded_tokens=_first_count(document, _DECODED),
        decode_tokens_per_second=_decode_rate(document),
        prefill_tokens_per_second=_number(document, "timings.prompt_per_second"),
    )


def has_piece(document: Document) -> bool:
    """Return whether a document brings something that was generated."""
    return any(document.get(path) == PRESENT for path in _PIECES)


def is_last(document: Document) -> bool:
    """Return whether a document says that the answer is complete; figures may still follow."""
    if document.get("done") == b"true" or document.get("stop") == b"true":
        return True
    reason = document.get("choices[].finish_reason", b"")
    return reason not in {b"", b"null"} or document.get("type") in _LAST_TYPES


def model_of(document: Document) -> str | None:
    """Return the model that a request or an answer names."""
    raw = next((document[path] for path in _NAMES if document.get(path)), None)
    if raw is None:
        return None
    try:
        return _TEXT.decode(b'"' + raw + b'"')
    except (ValueError, RecursionError):
        return None


def _decode_rate(document: Document) -> float | None:
    """Return llama-server's own rate, or Ollama's by its definition: eval_count / eval_duration."""
    count, nanoseconds = _number(document, "eval_count"), _number(document, "eval_duration")
    if count and nanoseconds:
        return count / nanoseconds * 1e9
    return _number(document, "timings.predicted_per_second")


def _first_count(document: Document, paths: tuple[str, ...]) -> int | None:
    counts = (_read(document[path], _COUNT) for path in paths if path in document)
    return next((int(count) for count in counts if count is not None), None)


def _number(document: Document, path: str) -> float | None:
    return _read(document[path], _NUMBER) if path in document else None


def _read(raw: bytes, decoder: msgspec.json.Decoder[float] | msgspec.json.Decoder[int]) -> float | None:
    try:
        return decoder.decode(raw)
    except ValueError:
        return None
