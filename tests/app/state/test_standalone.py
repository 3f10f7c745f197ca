"""A llama-server that Ollama has not started is one model, however it is found."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from tests.fakes.process_samples import BLOB, answer, holding, processes, server
from tests.fakes.samples import GIB, OLLAMA, claim, gpu, nvml, ollama
from tests.fakes.served_samples import FACTS, LLAMA, alone, router, served, statistics
from tests.scene import after

from gpumon.app.state.holders.measured import measured_vram_bytes
from gpumon.app.state.records import ModelKey, ModelRecord
from gpumon.app.state.state import State
from gpumon.app.state.work import answer_of, rates_of, server_facts
from gpumon.collectors.samples import ModelClaim, ModelState
from gpumon.collectors.servers.llama_server.kind import parameter_words, quantization_words

KEY = ModelKey(LLAMA, "llama-3-8b")


def only(state: State) -> ModelRecord:
    [record] = state.models.values()
    return record


def test_a_process_that_is_ready_is_a_model() -> None:
    state = after(processes(0, alone(), servers=()), answer(1, pid=500, processing=False)).state
    record = only(state)
    assert record.key == KEY
    assert record.runtime == "llama_server"
    assert (record.claim.digest, record.claim.size_bytes, record.claim.size_vram_bytes) == (None, None, None)
    assert record.claim.context_length == 4096
    assert record.joined_by == "process"


def test_a_process_that_becomes_another_program_is_known_as_that() -> None:
    before = replace(alone(), kind="mlx_runner")
    state = after(processes(0, before, servers=()), processes(1, alone(), servers=())).state
    [runner] = state.runners.values()
    assert (runner.kind.name, runner.server_kind.name) == ("llama_server", "llama_server")


@pytest.mark.parametrize("loading", ["starting", "loading"])
def test_a_process_that_loads_is_a_load_and_no_model(loading: ModelState) -> None:
    state = after(processes(0, alone(), servers=()), answer(1, loading, pid=500)).state
    assert not state.models
    assert state.loads


def test_a_model_without_alias_has_the_name_of_its_file() -> None:
    state = after(processes(0, alone(alias=None), servers=()), answer(1, pid=500)).state
    assert only(state).claim.name == "llama-3-8b.gguf"


def test_what_its_port_tells_of_the_file_is_in_the_claim() -> None:
    told = replace(answer(1, pid=500, processing=False), facts=FACTS)
    record = only(after(processes(0, alone(), servers=()), told, processes(2, alone(), servers=())).state)
    assert (record.claim.quantization, record.claim.parameter_size) == ("Q4_K_M", "8.0B")


def test_its_vram_is_measured_by_the_driver() -> None:
    state = after(
        processes(0, alone(), servers=()), answer(1, pid=500), nvml(2, holding(gpu(), {500: 6.0}))
    ).state
    assert measured_vram_bytes(only(state), state) == 6 * GIB


def test_what_its_url_has_said_before_its_process_was_seen_is_that_process_s_word() -> None:
    """A server that rests is asked once: were it lost, nothing would be known until the next request."""
    said = (served(0, "llama-3-8b"), statistics(1, facts=FACTS, counted=70.0))
    first = after(processes(0, alone(), servers=()), *said, processes(2, alone(), servers=())).state
    later = after(*said, processes(2, alone(), servers=())).state
    for state in (first, later):
        record = only(state)
        assert answer_of(record, state) == said[1]
        assert server_facts(record, state) == FACTS
        assert rates_of(record, state).decoded_total == 70


def test_a_model_ends_with_its_process() -> None:
    state = after(processes(0, alone(), servers=()), answer(1, pid=500), processes(2, servers=())).state
    assert not state.models
    assert [gone.key for gone in state.departed] == [KEY]


def test_a_process_started_anew_is_a_new_model() -> None:
    state = after(
        processes(0, alone(), servers=()),
        answer(1, pid=500),
        processes(2, alone(501), servers=()),
        answer(3, pid=501),
    ).state
    assert only(state).first_seen > state.departed[0].first_seen


def test_a_runner_of_ollama_is_no_model_of_its_own() -> None:
    runner = alone(server_pid=10)
    state = after(ollama(0, [claim()]), processes(1, runner, servers=(server(),)), answer(2, pid=500)).state
    assert [model.runtime for model in state.models.values()] == ["ollama"]


def test_a_blob_of_an_ollama_whose_process_is_hidden_is_no_model_of_its_own() -> None:
    process = alone()
    hidden = replace(process, settings=replace(process.settings, blob=BLOB))
    state = after(ollama(0, [claim()]), processes(1, hidden, servers=()), answer(2, pid=500)).state
    assert [model.runtime for model in state.models.values()] == ["ollama"]


def test_the_children_of_a_router_are_models_at_its_url() -> None:
    children = (
        alone(501, port=50001, alias="a", server_pid=400),
        alone(502, port=50002, alias="b", server_pid=400),
    )
    state = after(processes(0, *children, servers=(router(),)), answer(1, pid=501), answer(2, pid=502)).state
    assert set(state.models) == {ModelKey(LLAMA, "a"), ModelKey(LLAMA, "b")}


def test_two_containers_with_one_port_are_two_models() -> None:
    contained = (alone(501, contained=True), alone(502, contained=True))
    state = after(
        processes(0, *contained, servers=()),
        answer(1, "unreachable", pid=501),
        answer(2, "unreachable", pid=502),
    ).state
    assert {key.source for key in state.models} == {"process 501", "process 502"}


def test_by_process_and_by_url_it_is_one_model() -> None:
    state = after(
        processes(0, alone(), servers=()),
        answer(1, pid=500),
        served(2, "llama-3-8b"),
        served(3, "llama-3-8b"),
    ).state
    record = only(state)
    assert record.joined_by in {"process", "address"}
    assert state.runner_of(record) is not None
    assert record.served is not None


@pytest.mark.parametrize("url", [LLAMA, "http://localhost:8080", "http://[::1]:8080"])
def test_however_its_url_is_spelled_it_is_one_model(url: str) -> None:
    state = after(served(0, "tiny", source=url), processes(1, alone(), servers=()), answer(2, pid=500)).state
    record = only(state)
    assert (record.key.source, record.joined_by) == (url, "address")


def test_a_router_by_url_and_its_children_by_process_are_the_same_models() -> None:
    children = (
        alone(501, port=50001, alias="a", server_pid=400),
        alone(502, port=50002, alias="b", server_pid=400),
    )
    state = after(
        processes(0, *children, servers=(router(),)),
        answer(1, pid=501),
        answer(1, pid=502),
        served(2, "a", "b", source="http://localhost:8080"),
    ).state
    runners = {record.claim.name: record.runner for record in state.models.values()}
    assert {name: key.pid if key else None for name, key in runners.items()} == {"a": 501, "b": 502}


def test_its_process_keeps_the_model_when_the_url_wants_a_key() -> None:
    state = after(
        processes(0, alone(), servers=()), answer(1, pid=500), served(2, state="forbidden", detail="no key")
    ).state
    assert only(state).process is not None


def test_a_process_that_outlives_the_answers_of_its_url_is_still_a_model() -> None:
    state = after(
        processes(0, alone(), servers=()),
        answer(1, pid=500),
        served(2, "llama-3-8b"),
        served(3, state="not_running"),
        processes(4, alone(), servers=()),
    ).state
    assert only(state).process is not None


def test_a_url_far_away_is_a_model_without_process() -> None:
    state = after(
        served(0, "tiny", source="http://box:8080"), processes(1, alone(), servers=()), answer(2, pid=500)
    ).state
    assert {key.source for key in state.models} == {"http://box:8080", LLAMA}


def test_ollama_keeps_its_claims_beside_a_llama_server() -> None:
    state = after(
        ollama(0, [claim()]),
        processes(1, alone(), servers=(server(),)),
        answer(2, pid=500),
        ollama(3, [claim()]),
    ).state
    assert {key.source for key in state.models} == {OLLAMA, LLAMA}


def test_a_model_that_a_router_far_away_loads_is_listed() -> None:
    state = after(served(0, ModelClaim(name="a", state="loading"), source="http://box:8080")).state
    assert only(state).served is not None


def test_a_model_whose_process_is_seen_to_load_is_no_model_yet() -> None:
    child = alone(501, port=50001, alias="a", server_pid=400)
    looks = (processes(0, child, servers=(router(),)), answer(1, "loading", pid=501))
    assert not after(*looks, served(2, ModelClaim(name="a", state="loading"))).state.models


def test_a_model_that_is_unloaded_departs() -> None:
    state = after(served(0, "a", "b"), served(1, "b")).state
    assert [key.digest for key in state.models] == ["b"]


def test_a_server_that_does_not_answer_keeps_its_models() -> None:
    state = after(served(0, "a"), served(1, state="hanging")).state
    assert only(state).claim.name == "a"


def test_statistics_of_a_model_that_is_not_listed_are_nothing() -> None:
    assert not after(served(0), statistics(1, 5)).state.models


@pytest.mark.parametrize(
    ("count", "words"),
    [(None, None), (268_098_176, "268.10M"), (8_030_261_248, "8.0B"), (24_000, "24K"), (7, "7"), (0, None)],
)
def test_parameters_are_written_as_ollama_does(count: int | None, words: str | None) -> None:
    assert parameter_words(count) == words


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (None, None),
        ("Q4_K - Medium", "Q4_K_M"),
        ("Q3_K - Large", "Q3_K_L"),
        ("Q8_0", "Q8_0"),
        ("all F32", "all F32"),
    ],
)
def test_a_file_type_is_written_as_file_names_do(said: str | None, words: str | None) -> None:
    assert quantization_words(said) == words


PUBLISHED = "http://127.0.0.1:8010"


def test_in_a_container_it_is_one_with_the_url_that_leads_there() -> None:
    inside = replace(alone(contained=True), published=(PUBLISHED,))
    scene = after(processes(0, inside, servers=()), answer(1, pid=500, processing=False))
    assert only(scene.state).key == replace_source(KEY, PUBLISHED)
    scene.monitor.feed(served(2, "llama-3-8b", source=PUBLISHED))
    record = only(scene.state)
    assert (record.key.source, record.runner and record.runner.pid) == (PUBLISHED, 500)


def replace_source(key: ModelKey, source: str) -> ModelKey:
    return key._replace(source=source)
