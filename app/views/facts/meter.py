"""Figures of the requests that went through a pass-through meter."""

from __future__ import annotations

from gpumon.app.state.records import ModelRecord
from gpumon.app.state.state import State
from gpumon.app.state.work import METER, metered_of
from gpumon.app.views.page import about, request_labels, text_of
from gpumon.collectors.samples import MeteredModel, MeteredRequest
from gpumon.text import units
from gpumon.widgets.views import Fact

REQUESTS_SHOWN = 5


def meter_facts(record: ModelRecord, state: State) -> list[Fact]:
    """Return what the meter before a model's server has counted; nothing where there is none."""
    metered = metered_of(record, state)
    if metered is None:
        return []
    newest_first = metered.requests[: -REQUESTS_SHOWN - 1 : -1]
    return [
        *_totals(metered),
        *(
            Fact(label, _request(one), METER)
            for label, one in zip(request_labels("last metered request"), newest_first, strict=False)
        ),
    ]


def _totals(metered: MeteredModel) -> list[Fact]:
    total = about(text_of(metered.decoded_tokens_total), estimate=metered.decoded_total_is_estimate)
    return [
        Fact("requests ended, metered", text_of(metered.requests_ended), METER),
        Fact("tokens generated, metered", total, METER),
        Fact("prompt tokens, metered", text_of(metered.prompt_tokens_total), METER),
    ]


def _request(request: MeteredRequest) -> str:
    tokens = about(text_of(request.decoded_tokens), estimate=request.decoded_is_estimate)
    rate = about(units.rate(request.decode_tokens_per_second), estimate=request.decode_rate_is_estimate)
    parts = [
        f"{tokens} tokens in {units.duration(request.seconds)}",
        f"decode {rate}",
        f"prefill {units.rate(request.prefill_tokens_per_second)}",
        f"first token {units.duration(request.first_token_seconds)}",
        *([] if request.outcome == "finished" else [request.outcome]),
    ]
    return ", ".join(part for part in parts if not part.endswith(units.UNKNOWN))
