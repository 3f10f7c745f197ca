"""Requests that have ended, as rows: by slots or a log, by a meter, or by what a server last said."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gpumon.app.state.rates.figures import FinishedRequest
from gpumon.app.state.rates.rereads import Rereads
from gpumon.app.state.records import ModelKey, ModelRecord, SeenRequest
from gpumon.app.state.state import State
from gpumon.app.state.work import METER, last_of, requests_of
from gpumon.collectors.samples import MeteredModel, MeteredRequest

MODELS_REMEMBERED = 200

Values = dict[str, Any]
"""Figures of a row, with ``started`` and ``ended`` by the clock of the samples."""


class RequestTrack:
    """Tells which requests of each model are new; of the ways to know them the most telling one alone."""

    def __init__(self) -> None:
        self._ended: dict[ModelKey, float] = {}
        """When the latest ended that was seen at work or told by a log."""
        self._metered: dict[ModelKey, int] = {}
        """How many had ended by the meter."""
        self._last: dict[ModelKey, SeenRequest] = {}

    def fresh(self, record: ModelRecord, state: State) -> Iterator[Values]:
        """Yield the requests that have ended since this was asked before."""
        key, requests = record.key, requests_of(record, state)
        before = self._ended.get(key, float("-inf"))
        if requests and requests[-1].ended > before:
            self._note_end(key, requests[-1].ended)
            for one in [one for one in requests if one.ended > before]:
                yield _of_request(one, _rereads(record, state))
        elif key not in self._ended:
            yield from self._otherwise(record, state)

    def _note_end(self, key: ModelKey, ended: float) -> None:
        self._ended[key] = ended
        for kept in (self._ended, self._metered, self._last):
            if len(kept) > MODELS_REMEMBERED:
                del kept[next(iter(kept))]

    def _otherwise(self, record: ModelRecord, state: State) -> Iterator[Values]:
        """Yield those of a model of which no request was ever seen at work."""
        if record.metered is not None:
            yield from self._of_meter(record.key, record.metered, record.metered_at or state.now)
            return
        last = last_of(record, state)
        if last is not None and self._last.get(record.key) != last:
            self._last[record.key] = last
            if last.ended is not None:
                yield _of_last(last, last.ended)

    def _of_meter(self, key: ModelKey, metered: MeteredModel, at: float) -> Iterator[Values]:
        before, now = self._metered.get(key), metered.requests_ended
        self._metered[key] = now
        new = 0 if before is None else now - before if now >= before else now
        for one in metered.requests[-new:] if new else ():
            yield _of_metered(one, at)


def _rereads(record: ModelRecord, state: State) -> Rereads | None:
    runner = state.runner_of(record)
    meter = runner.meter if runner else record.served.meter if record.served else None
    return meter.prompts.rereads if meter else None


def _row(**known: Any) -> Values:  # noqa: ANN401 - columns of all types
    """Return a row of which nothing is known but this."""
    unknown = (
        "slot_id task_id prompt_tokens kept_tokens reread_tokens lost_seconds decoded_tokens "
        "prefill_tokens_per_second decode_tokens_per_second waited_seconds first_token_seconds "
        "context_tokens parallel energy_joules"
    )
    return {**dict.fromkeys(unknown.split()), "decoded_is_lower_bound": 0, "ending": "finished", **known}


def _of_request(one: FinishedRequest, rereads: Rereads | None) -> Values:
    turn = rereads.turn_of(one) if rereads else None
    return _row(
        started=one.started,
        ended=one.ended,
        seconds=one.ended - one.started,
        source=one.source,
        slot_id=one.slot_id,
        task_id=one.task_id,
        prompt_tokens=one.prompt_tokens,
        kept_tokens=one.cached_tokens,
        reread_tokens=turn.lost_tokens if turn else None,
        lost_seconds=turn.lost_seconds if turn and turn.lost_tokens else None,
        decoded_tokens=one.decoded_tokens,
        decoded_is_lower_bound=int(one.decoded_is_lower_bound),
        prefill_tokens_per_second=one.prefill_tokens_per_second,
        decode_tokens_per_second=one.decode_tokens_per_second,
        first_token_seconds=one.first_token_seconds,
        context_tokens=one.context_tokens,
        parallel=one.parallel,
        energy_joules=one.energy_joules,
        ending=_ending(one),
    )


def _ending(one: FinishedRequest) -> str:
    if one.has_shifted:
        return "context shifted"
    return "end not seen" if one.decoded_is_lower_bound else "finished"


def _of_metered(one: MeteredRequest, at: float) -> Values:
    ended = at - one.ended_seconds_ago
    return _row(
        started=ended - one.seconds,
        ended=ended,
        seconds=one.seconds,
        source=METER,
        prompt_tokens=one.prompt_tokens,
        decoded_tokens=one.decoded_tokens,
        decoded_is_lower_bound=int(one.decoded_is_estimate),
        prefill_tokens_per_second=one.prefill_tokens_per_second,
        decode_tokens_per_second=one.decode_tokens_per_second,
        first_token_seconds=one.first_token_seconds,
        ending=one.outcome,
    )


def _of_last(seen: SeenRequest, ended: float) -> Values:
    one = seen.request
    seconds = one.seconds or 0.0
    return _row(
        started=ended - seconds,
        ended=ended,
        seconds=seconds,
        source=seen.origin or "server",
        task_id=one.count,
        prompt_tokens=one.prompt_tokens,
        kept_tokens=one.cached_tokens,
        decoded_tokens=one.decoded_tokens,
        prefill_tokens_per_second=one.prefill_tokens_per_second,
        decode_tokens_per_second=one.decode_tokens_per_second,
        first_token_seconds=one.first_token_seconds,
    )
