"""Takes what pass-through meters have counted."""

from __future__ import annotations

from gpumon.app.state.holders.joins import join
from gpumon.app.state.places import is_loopback
from gpumon.app.state.records import ModelRecord
from gpumon.app.state.state import State
from gpumon.app.state.work import own_rates
from gpumon.collectors.samples import MeteredModel, MeterSample


def apply_meter(state: State, sample: MeterSample) -> None:
    """Take one poll of a meter; it is no source of its own, as its server tells whether it is there."""
    if sample.server in state.metered:
        state.metered[sample.server] = sample
    _note_upstream(state, sample)
    for record in state.models.values():
        if record.key.source == sample.server:
            state.touched.claimed.add(record.key)
            _apply(state, record, _metered(record, sample))


def _metered(record: ModelRecord, sample: MeterSample) -> MeteredModel | None:
    """Return the requests to a model, however its clients spell its name; the last spelling counts."""
    full_name = record.kind.full_name
    wanted = full_name(record.claim.name)
    own = (one for one in sample.models or () if one.name is not None and full_name(one.name) == wanted)
    return next(reversed([*own]), None)


def _note_upstream(state: State, sample: MeterSample) -> None:
    """Remember the server behind a meter of this machine: its processes hold the models that are shown."""
    if sample.upstream is None or not is_loopback(sample.server):
        return
    if state.upstreams.get(sample.server) != sample.upstream:
        state.upstreams[sample.server] = sample.upstream
        join(state)


def _apply(state: State, record: ModelRecord, metered: MeteredModel | None) -> None:
    prefill_rate = _new_prefill_rate(record.metered, metered)
    record.metered = metered
    record.metered_at = None if metered is None else state.now
    if metered is not None and not own_rates(record, state).sources:
        record.decode.add(state.now, metered.decode_tokens_per_second)
        record.prefill.add(state.now, prefill_rate)


def _new_prefill_rate(before: MeteredModel | None, metered: MeteredModel | None) -> float | None:
    """Return the prefill rate of the request that ended since the poll before: it is known no earlier."""
    if before is None or metered is None or metered.requests_ended <= before.requests_ended:
        return None
    return metered.requests[-1].prefill_tokens_per_second if metered.requests else None
