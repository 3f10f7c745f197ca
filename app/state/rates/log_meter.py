"""Rates of one runner from the lines of its server's log, where its port tells nothing. Pure."""

from __future__ import annotations

from gpumon.app.state.rates.values import FinishedRequest, RunnerRates
from gpumon.collectors.samples import LogEvent

HOLD_SECONDS = 6.0
"""So long a rate stands: llama-server writes one every 3 s while a request runs."""
PENDING_KEPT = 64
LOG = "log"


class LogMeter:
    """Takes the events of requests in the order of the log."""

    def __init__(self) -> None:
        self._decode: dict[int, tuple[float, float]] = {}
        """Time and rate of the latest line, by slot."""
        self._prefill: dict[int, tuple[float, float]] = {}
        self._prompts: dict[tuple[int, int | None], tuple[int, float]] = {}
        """Tokens and seconds of prompts whose answers are not finished, by slot and task."""
        self._decoded_total = 0
        self.rates = RunnerRates()

    def feed(self, event: LogEvent, now: float) -> FinishedRequest | None:
        """Take one event, read at ``now``; return the request that it ends."""
        if event.slot is None:
            return None
        finished = self._take(event, event.slot, now)
        self.refresh(now)
        return finished

    def refresh(self, now: float) -> None:
        """Let go of rates that are old."""
        self._decode = _fresh(self._decode, now)
        self._prefill = _fresh(self._prefill, now)
        self.rates = RunnerRates(
            decode_rate=_sum(self._decode),
            prefill_rate=_sum(self._prefill),
            decoded_total=self._decoded_total or None,
            decoded_total_is_lower_bound=True,
            running=len(self._decode.keys() | self._prefill.keys()) or None,
            sources=(LOG,),
        )

    def _take(self, event: LogEvent, slot: int, now: float) -> FinishedRequest | None:
        rate, count, seconds = event.tokens_per_second, event.count, event.seconds
        if event.kind == "prefill_progress" and rate is not None:
            self._prefill[slot] = (now, rate)
        elif event.kind == "decode_progress" and rate is not None:
            self._prefill.pop(slot, None)
            self._decode[slot] = (now, rate)
        elif event.kind == "request_prefill" and count is not None and seconds is not None:
            self._note_prompt((slot, event.task), count, seconds)
        elif event.kind == "request_decode" and count is not None and seconds is not None:
            return self._finish(slot, event.task, now, (count, seconds))
        return None

    def _note_prompt(self, request: tuple[int, int | None], count: int, seconds: float) -> None:
        self._prompts[request] = (count, seconds)
        if len(self._prompts) > PENDING_KEPT:
            del self._prompts[next(iter(self._prompts))]

    def _finish(self, slot: int, task: int | None, now: float, decoded: tuple[int, float]) -> FinishedRequest:
        self._decode.pop(slot, None)
        self._prefill.pop(slot, None)
        prompt = self._prompts.pop((slot, task), None)
        self._decoded_total += decoded[0]
        return FinishedRequest(
            slot_id=slot,
            task_id=task,
            started=now - decoded[1] - (prompt[1] if prompt else 0.0),
            ended=now,
            decoded_tokens=decoded[0],
            prefill_rate=_rate(prompt),
            decode_rate=_rate(decoded),
            source=LOG,
        )


def _fresh(rates: dict[int, tuple[float, float]], now: float) -> dict[int, tuple[float, float]]:
    return {slot: said for slot, said in rates.items() if now - said[0] <= HOLD_SECONDS}


def _sum(rates: dict[int, tuple[float, float]]) -> float | None:
    return sum(rate for _, rate in rates.values()) if rates else None


def _rate(tokens_and_seconds: tuple[int, float] | None) -> float | None:
    """Return tokens per second; ``None`` where nothing was computed."""
    if tokens_and_seconds is None or tokens_and_seconds[0] == 0 or tokens_and_seconds[1] <= 0:
        return None
    return tokens_and_seconds[0] / tokens_and_seconds[1]
