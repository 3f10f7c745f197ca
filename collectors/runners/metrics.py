"""``GET /metrics`` of llama-server: the counters in its Prometheus text.

The two rate gauges are left alone: they are averages since anybody's last read, and reading resets them.
"""

from __future__ import annotations

import math

from gpumon.collectors.http import fields
from gpumon.collectors.samples import RunnerCounters

PREFIX = "llamacpp:"


def parse_counters(body: bytes) -> RunnerCounters | None:
    """Return the counters (llama.cpp: tools/server/README.md, GET /metrics); ``None`` if there are none."""
    values = dict(pair for line in _text(body).splitlines() if (pair := _pair(line)))
    if not values:
        return None
    return RunnerCounters(
        prompt_tokens_total=values.get("prompt_tokens_total"),
        prompt_seconds_total=values.get("prompt_seconds_total"),
        prompt_tokens_cached_total=values.get("prompt_tokens_cached_total"),
        decoded_tokens_total=values.get("tokens_predicted_total"),
        decoded_seconds_total=values.get("tokens_predicted_seconds_total"),
        requests_processing=_whole(values.get("requests_processing")),
        requests_deferred=_whole(values.get("requests_deferred")),
        draft_tokens_total=values.get("spec_decode_num_draft_tokens_total"),
        draft_accepted_total=values.get("spec_decode_num_accepted_tokens_total"),
    )


def _text(body: bytes) -> str:
    """Decode the body; builds about b7010 to b7100 sent it as one JSON string (llama.cpp issue 17384)."""
    if body.startswith(b'"'):
        return fields.read(body, fields.LONG_TEXT) or ""
    return body.decode("utf-8", "replace")


def _pair(line: str) -> tuple[str, float] | None:
    """Return name and value of one line; series with labels are not among the counters that are read."""
    name, _, value = line.strip().partition(" ")
    if not name.startswith(PREFIX):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return (name.removeprefix(PREFIX), number) if math.isfinite(number) and number >= 0 else None


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)
