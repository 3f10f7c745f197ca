"""The counters in llama-server's Prometheus text."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpumon.collectors.samples import WorkCounters
from gpumon.collectors.servers.llama_server.bodies import parse_counters

RECORDED = (
    Path(__file__).parents[2] / "recordings" / "llama-server" / "b10434-metrics-busy.txt"
).read_bytes()

COUNTERS = WorkCounters(
    prompt_tokens_total=12.0,
    prompt_seconds_total=0.067584,
    prompt_tokens_cached_total=0.0,
    decoded_tokens_total=0.0,
    decoded_seconds_total=0.0,
    requests_processing=1,
    requests_deferred=0,
    draft_tokens_total=0.0,
    draft_accepted_total=0.0,
)


def test_counters_are_read_and_gauges_of_rates_are_not() -> None:
    assert parse_counters(RECORDED) == COUNTERS


def test_a_body_that_is_a_json_string_is_decoded() -> None:
    assert parse_counters(json.dumps(RECORDED.decode()).encode()) == COUNTERS


def test_a_counter_that_a_build_has_not_is_unknown() -> None:
    counters = parse_counters(b"llamacpp:tokens_predicted_total 7\n")
    assert counters == WorkCounters(decoded_tokens_total=7.0)


@pytest.mark.parametrize("value", ["NaN", "+Inf", "-1", "x", ""])
def test_a_value_that_no_counter_has_is_unknown(value: str) -> None:
    body = f"llamacpp:tokens_predicted_total {value}\nllamacpp:requests_processing 1\n".encode()
    assert parse_counters(body) == WorkCounters(requests_processing=1)


@pytest.mark.parametrize("body", [b"", b"<html>", b"vllm:requests 7\n", b'"half', b"7"])
def test_a_body_without_counters_is_none(body: bytes) -> None:
    assert parse_counters(body) is None


@given(st.binary())
def test_no_body_is_too_odd_to_be_read(body: bytes) -> None:
    parse_counters(body)
    parse_counters(b"llamacpp:requests_processing " + body)
