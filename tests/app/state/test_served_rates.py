"""Rates of a llama-server that is asked by its URL."""

from __future__ import annotations

from tests.fakes.process_samples import answer, processes
from tests.fakes.served_samples import FACTS, LLAMA, alone, served, statistics
from tests.scene import after

from gpumon.app.state.records import ModelKey
from gpumon.app.state.work import rates_of, requests_of, server_facts

KEY = ModelKey(LLAMA, "llama-3-8b")


def test_tokens_between_two_polls_are_a_rate() -> None:
    state = after(served(0, "llama-3-8b"), statistics(0), statistics(1, 20), statistics(2, 50)).state
    rates = rates_of(state.models[KEY], state)
    assert rates.decode_tokens_per_second == 30.0
    assert (rates.running, rates.context_tokens, rates.sources) == (1, 60, ("/slots",))


def test_an_idle_model_has_no_rate() -> None:
    state = after(
        served(0, "llama-3-8b"), statistics(0), statistics(1, 20), statistics(2, 50), statistics(3)
    ).state
    assert rates_of(state.models[KEY], state).decode_tokens_per_second is None
    assert len(requests_of(state.models[KEY], state)) == 1


def test_the_total_is_that_of_its_counter_and_of_what_is_under_way() -> None:
    state = after(served(0, "llama-3-8b"), statistics(0, counted=100), statistics(1, 20, counted=100)).state
    assert rates_of(state.models[KEY], state).decoded_total == 120


def test_facts_fill_the_claim() -> None:
    state = after(served(0, "llama-3-8b"), statistics(0, facts=FACTS)).state
    claim = state.models[KEY].claim
    assert (claim.context_length, claim.quantization) == (4096, "Q4_K_M")
    assert (claim.size_bytes, claim.size_vram_bytes) == (None, None), "it claims no memory"


def test_what_the_url_says_is_said_of_the_process_where_it_is_known() -> None:
    state = after(
        processes(0, alone(), servers=()),
        answer(0, pid=500),
        served(1, "llama-3-8b"),
        statistics(1, facts=FACTS),
        statistics(2, 20),
        statistics(3, 50),
    ).state
    [runner] = state.runners.values()
    assert runner.rates.decode_tokens_per_second == 30.0
    assert runner.facts == FACTS
    assert rates_of(state.models[KEY], state) is runner.rates


def test_facts_told_before_the_process_was_found_are_kept() -> None:
    state = after(
        served(0, "llama-3-8b"),
        statistics(0, facts=FACTS),
        processes(1, alone(), servers=()),
        answer(2, pid=500),
    ).state
    assert server_facts(state.models[KEY], state) == FACTS
