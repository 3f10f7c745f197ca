"""What the meter counts: each request as it passes, and its book of requests under way and ended, by model.

``Reading`` reads along one exchange without ever standing in its way. Everything is bounded, in memory alone,
and told the time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from msgspec import Struct, field

from gpumon.app.meter.documents import (
    REQUEST_WANTED,
    WANTED,
    Document,
    Documents,
    Figures,
    figures_of,
    framing_of,
    has_piece,
    is_last,
    model_of,
)
from gpumon.app.meter.json_fields import FieldScanner
from gpumon.app.state.rates.requests import Window
from gpumon.collectors.samples import MeteredModel, MeteredRequest
from gpumon.collectors.samples.meter import Outcome

INFERENCE_PATHS = (
    "/api/generate",
    "/api/chat",
    "/api/embed",
    "/completion",
    "/completions",
    "/infill",
    "/responses",
    "/messages",
    "/embeddings",
)
"""Ends of the paths that have a model work: Ollama's, OpenAI's, Anthropic's and llama-server's."""

Now = Callable[[], float]


def is_inference(method: str, path: str) -> bool:
    """Return whether a request has a model work."""
    return method == "POST" and path.rstrip("/").endswith(INFERENCE_PATHS)


class Reading:
    """One request that has a model work, from its first byte to its end."""

    def __init__(self, book: Book, now: Now) -> None:
        self._book = book
        self._now = now
        self._exchange = book.begin(now())
        self._request: FieldScanner | None = FieldScanner(REQUEST_WANTED)
        self._answer: Documents | None = None
        self._over = False

    def request_piece(self, piece: bytes) -> None:
        """Take the next bytes of the request; once they have named the model, no more are looked at."""
        if self._request is None:
            return
        self._request.feed(piece)
        if self._request.values:
            self._exchange.name_model(self._request.values)
            self._request = None

    def answer_begins(self, content_type: str, content_encoding: str) -> None:
        """Record how the answer is written; what is compressed cannot be read along."""
        framing = framing_of(content_type)
        if framing is not None and content_encoding.lower() in {"", "identity"}:
            self._answer = Documents(framing, WANTED)

    def answer_piece(self, piece: bytes) -> None:
        """Take the next bytes of the answer."""
        if self._answer is not None:
            self._take(self._answer, self._answer.feed(piece))

    def end(self, outcome: Outcome) -> None:
        """Note the end; later calls say nothing new."""
        if self._over:
            return
        self._over = True
        if self._answer is not None:
            self._take(self._answer, self._answer.end())
        self._book.end(self._exchange, outcome, self._now())

    def _take(self, answer: Documents, documents: Iterable[Document | int]) -> None:
        now = self._now()
        for document in documents:
            if isinstance(document, int):
                self._exchange.take_pieces(document, now)
            else:
                self._exchange.take(document, now, streamed=answer.streamed)
        answer.is_named = self._exchange.model is not None


class Exchange:
    """A request and what has come of its answer; times are seconds of any one clock."""

    def __init__(self, started: float) -> None:
        self.model: str | None = None
        self.started = started
        self.figures = Figures()
        """What the server has said."""
        self.complete = False
        """Whether the server has said that the answer is complete."""
        self._pieces = 0
        self._first_piece: float | None = None
        self._last_piece: float | None = None
        self._decode = Window()

    @property
    def decoded_tokens(self) -> int:
        """Tokens generated so far: as the server says, else pieces of the answer."""
        said = self.figures.decoded_tokens
        return self._pieces if said is None else said

    @property
    def is_estimate(self) -> bool:
        """Whether ``decoded_tokens`` are counted pieces."""
        return self.figures.decoded_tokens is None

    @property
    def is_empty(self) -> bool:
        """Whether nothing was generated or read: a load, an unload, an error."""
        return not self._pieces and self.figures == Figures()

    def name_model(self, document: Document) -> None:
        """Record the model's name from the request; that of the answer only stands in for it."""
        self.model = model_of(document) or self.model

    def take(self, document: Document, now: float, *, streamed: bool) -> None:
        """Take in one document of the answer."""
        self.model = self.model or model_of(document)
        self.figures = self.figures.updated(figures_of(document))
        self.complete = self.complete or is_last(document)
        if streamed and has_piece(document):
            self.take_pieces(1, now)

    def take_pieces(self, count: int, now: float) -> None:
        """Take in so many pieces that have come at once."""
        self._pieces += count
        self._first_piece = self._first_piece or now
        self._last_piece = now
        self._decode.add(now, self.decoded_tokens)

    def decode_tokens_per_second(self, now: float) -> float | None:
        """Return tokens per second over the last moments; ``None`` while no answer is under way."""
        if self._first_piece is None or self.complete:
            return None
        self._decode.add(now, self.decoded_tokens)
        return self._decode.rate

    def summary(self, outcome: Outcome, ended: float, now: float) -> MeteredRequest:
        """Return what it came to."""
        first = self._first_piece
        measured = self.figures.decode_tokens_per_second
        seen = self._passing_rate()
        return MeteredRequest(
            ended_seconds_ago=max(now - ended, 0.0),
            seconds=max(ended - self.started, 0.0),
            outcome=outcome,
            first_token_seconds=None if first is None else first - self.started,
            prompt_tokens=self.figures.prompt_tokens,
            decoded_tokens=None if self.is_estimate and not self._pieces else self.decoded_tokens,
            decoded_is_estimate=self.is_estimate and self._pieces > 0,
            prefill_tokens_per_second=self.figures.prefill_tokens_per_second,
            decode_tokens_per_second=seen if measured is None else measured,
            decode_rate_is_estimate=measured is None and seen is not None,
        )

    def _passing_rate(self) -> float | None:
        """Return the rate at which the answer passed; its first token marks the start."""
        if self._first_piece is None or self._last_piece is None:
            return None
        tokens, seconds = self.decoded_tokens - 1, self._last_piece - self._first_piece
        return tokens / seconds if tokens > 0 and seconds > 0 else None


MODELS_KEPT = 64
REQUESTS_KEPT = 10


class Ended(Struct):
    """A request that has ended."""

    exchange: Exchange
    outcome: Outcome
    time: float

    def summary(self, now: float) -> MeteredRequest:
        """Return what it came to, as seen at ``now``."""
        return self.exchange.summary(self.outcome, self.time, now)


class Tally(Struct):
    """What the requests to one model have come to."""

    ended: int = 0
    decoded_tokens: int = 0
    is_estimate: bool = False
    prompt_tokens: int = 0
    requests: deque[Ended] = field(default_factory=lambda: deque(maxlen=REQUESTS_KEPT))

    def add(self, ended: Ended) -> None:
        """Count a request in."""
        exchange = ended.exchange
        self.ended += 1
        self.decoded_tokens += exchange.decoded_tokens
        self.is_estimate = self.is_estimate or (exchange.is_estimate and exchange.decoded_tokens > 0)
        self.prompt_tokens += exchange.figures.prompt_tokens or 0
        self.requests.append(ended)


class Book:
    """Knows every request from its start; times are seconds of any one clock."""

    def __init__(self) -> None:
        self._running: dict[Exchange, None] = {}
        self._tallies: dict[str | None, Tally] = {}
        """By model, the one whose request ended last at the end."""

    def begin(self, now: float) -> Exchange:
        """Note that a request has come."""
        exchange = Exchange(now)
        self._running[exchange] = None
        return exchange

    def end(self, exchange: Exchange, outcome: Outcome, now: float) -> None:
        """Note the end of a request; one whose answer was complete has finished, whoever hung up first."""
        self._running.pop(exchange, None)
        if exchange.is_empty and outcome == "finished":
            return
        tally = self._tallies.pop(exchange.model, None) or Tally()
        tally.add(Ended(exchange, "finished" if exchange.complete else outcome, now))
        self._tallies[exchange.model] = tally
        if len(self._tallies) > MODELS_KEPT:
            del self._tallies[next(iter(self._tallies))]

    def models(self, now: float) -> tuple[MeteredModel, ...]:
        """Return what is known of each model, by name."""
        names = self._tallies.keys() | {exchange.model for exchange in self._running}
        return tuple(self._model(name, now) for name in sorted(names, key=lambda name: name or ""))

    def _model(self, name: str | None, now: float) -> MeteredModel:
        running = [exchange for exchange in self._running if exchange.model == name]
        tally = self._tallies.get(name) or Tally()
        rates = [(rate, one) for one in running if (rate := one.decode_tokens_per_second(now)) is not None]
        return MeteredModel(
            name=name,
            requests_running=len(running),
            requests_ended=tally.ended,
            decode_tokens_per_second=sum(rate for rate, _ in rates) if rates else None,
            decode_rate_is_estimate=any(one.is_estimate for _, one in rates),
            decoded_tokens_total=tally.decoded_tokens + sum(one.decoded_tokens for one in running),
            decoded_total_is_estimate=tally.is_estimate
            or any(one.is_estimate and one.decoded_tokens for one in running),
            prompt_tokens_total=tally.prompt_tokens,
            requests=tuple(ended.summary(now) for ended in tally.requests),
        )
