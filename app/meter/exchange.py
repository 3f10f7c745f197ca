"""One request on its way: counted while it runs, summed up when it ends. Pure: told the time."""

from __future__ import annotations

from gpumon.app.meter.documents import Document
from gpumon.app.meter.figures import Figures, figures_of, has_piece, is_last, model_of
from gpumon.app.state.rates.requests import Window
from gpumon.collectors.samples import MeteredRequest
from gpumon.collectors.samples.meter import Outcome


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
        """Take the model's name from the request; that of the answer only stands in for it."""
        self.model = model_of(document) or self.model

    def take(self, document: Document, now: float, *, streamed: bool) -> None:
        """Take one document of the answer."""
        self.model = self.model or model_of(document)
        self.figures = self.figures.updated(figures_of(document))
        self.complete = self.complete or is_last(document)
        if streamed and has_piece(document):
            self._pieces += 1
            self._first_piece = self._first_piece or now
            self._last_piece = now
            self._decode.add(now, self.decoded_tokens)

    def decode_rate(self, now: float) -> float | None:
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
