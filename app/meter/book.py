"""The meter's book: requests under way and ended, by model. Bounded, and in memory alone."""

from __future__ import annotations

from collections import deque

from msgspec import Struct, field

from gpumon.app.meter.exchange import Exchange
from gpumon.collectors.samples import MeteredModel, MeteredRequest
from gpumon.collectors.samples.meter import Outcome

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
        rates = [(rate, one) for one in running if (rate := one.decode_rate(now)) is not None]
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
