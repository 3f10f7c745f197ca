"""Rates of one model from its server's log, where its own port tells nothing. Pure."""

from __future__ import annotations

from gpumon.app.state.rates.figures import LOG, FinishedRequest, LogTimings, RunnerRates, Streak
from gpumon.collectors.samples import LogEvent

LOG_HOLD_SECONDS = 6.0
"""So long a rate stands: llama-server writes one every 3 s while a request runs."""


class LogMeter:
    """Takes the events of requests in the order of the log."""

    def __init__(self) -> None:
        self._decode: dict[int, tuple[float, float]] = {}
        """Time and rate of the latest line, by slot."""
        self._prefill: dict[int, tuple[float, float]] = {}
        self._timings = LogTimings()
        self._streak = Streak()
        self._decoded_total = 0
        self.rates = RunnerRates()

    def feed(self, event: LogEvent, now: float) -> FinishedRequest | None:
        """Take in one event, read at ``now``; return the request that it ends."""
        if event.slot is None:
            return None
        finished = self._take(event, event.slot, now)
        self.refresh(now)
        return finished

    def refresh(self, now: float) -> None:
        """Let go of rates that are old."""
        self._decode = _fresh(self._decode, now)
        self._prefill = _fresh(self._prefill, now)
        awaited_until = self._streak.until(now)
        latest = None if awaited_until is None else self._streak.rate(now)
        self.rates = RunnerRates(
            decode_tokens_per_second=_sum_of_latest(self._decode) or latest,
            prefill_tokens_per_second=_sum_of_latest(self._prefill),
            decoded_total=self._decoded_total or None,
            decoded_total_is_lower_bound=True,
            running=len(self._decode.keys() | self._prefill.keys()) or None,
            sources=(LOG,),
            awaited_until=awaited_until,
        )

    def _take(self, event: LogEvent, slot: int, now: float) -> FinishedRequest | None:
        rate = event.tokens_per_second
        if event.kind == "prefill_progress" and rate is not None:
            self._prefill[slot] = (now, rate)
        elif event.kind == "decode_progress" and rate is not None:
            self._prefill.pop(slot, None)
            self._decode[slot] = (now, rate)
        ended = self._timings.take(event)
        if ended is None:
            return None
        request, told = ended
        self._decode.pop(slot, None)
        self._prefill.pop(slot, None)
        self._decoded_total += told.tokens
        self._streak.note_end(now, told.whole_seconds)
        self._streak.note_rate(now, told.decode_rate)
        return told.finished(request, now)


def _fresh(rates: dict[int, tuple[float, float]], now: float) -> dict[int, tuple[float, float]]:
    return {slot: said for slot, said in rates.items() if now - said[0] <= LOG_HOLD_SECONDS}


def _sum_of_latest(rates: dict[int, tuple[float, float]]) -> float | None:
    return sum(rate for _, rate in rates.values()) if rates else None
