"""What llama-server answers, recorded and made up, as sample values."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.collectors.ollama.support import JSON

from gpumon.collectors.samples import LoadFacts, Slot
from gpumon.collectors.servers.llama_server import bodies
from gpumon.collectors.servers.llama_server.bodies import parse_properties, parse_slots, with_models

RECORDINGS = Path(__file__).parents[2] / "recordings" / "llama-server"


def recorded(name: str) -> bytes:
    return (RECORDINGS / name).read_bytes()


def test_a_slot_at_work() -> None:
    assert parse_slots(recorded("b10434-slots-busy.json")) == (
        Slot(slot_id=0, context_length=2048),
        Slot(
            slot_id=1,
            context_length=2048,
            processing=True,
            task_id=5,
            prompt_tokens=30,
            prompt_tokens_processed=12,
            prompt_tokens_cached=0,
            decoded_tokens=18,
            remaining_tokens=238,
        ),
    )


def test_a_slot_never_used_says_nothing_of_tokens() -> None:
    slots = parse_slots(recorded("b10434-slots-idle-fresh.json"))
    assert slots == (Slot(slot_id=0, context_length=2048), Slot(slot_id=1, context_length=2048))


def test_an_older_build_gives_the_next_token_as_an_object() -> None:
    body = b'[{"id":0,"is_processing":true,"next_token":{"n_decoded":4,"n_remain":-1}}]'
    assert parse_slots(body) == (Slot(slot_id=0, processing=True, decoded_tokens=4),)


def test_none_left_to_generate_is_not_unlimited() -> None:
    body = b'[{"id":0,"is_processing":true,"next_token":[{"n_decoded":4,"n_remain":0}]}]'
    assert parse_slots(body) == (Slot(slot_id=0, processing=True, decoded_tokens=4, remaining_tokens=0),)


@pytest.mark.parametrize(("state", "processing"), [(0, False), (1, True), (4, True)])
def test_a_build_of_2024_gives_a_number_for_the_state(state: int, processing: bool) -> None:
    assert parse_slots(b'[{"id":3,"state":%d}]' % state) == (Slot(slot_id=3, processing=processing),)


def test_prompt_and_answer_are_not_kept() -> None:
    body = b'[{"id":0,"is_processing":true,"prompt":"my secret","generated":"my secret"}]'
    slots = parse_slots(body)
    assert slots is not None
    assert b"secret" not in msgspec.json.encode(slots)


def test_a_bad_slot_is_left_out() -> None:
    assert parse_slots(b'[{"id":0,"is_processing":false},7,{"id":"x"}]') == (Slot(slot_id=0),)


@pytest.mark.parametrize("body", [b"", b"{}", b"null", b"[7]", b"<html>", b"[" * 100_000])
def test_what_is_no_list_of_slots_is_none(body: bytes) -> None:
    assert parse_slots(body) is None


@given(JSON | st.lists(st.dictionaries(st.sampled_from(["id", "state", "next_token", "n_ctx"]), JSON)))
def test_no_answer_is_too_odd_to_be_read(value: object) -> None:
    body = json.dumps(value).encode()
    parse_slots(body)
    parse_properties(body)
    with_models(LoadFacts(), body)


ODD = st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from([2**60, 2**60 + 1, 1.0, "1"])
NEXT = st.dictionaries(st.sampled_from(["n_decoded", "n_remain", "other"]), ODD)
ROW = st.fixed_dictionaries(
    {"id": st.integers(0, 3), "is_processing": st.booleans()},
    optional={
        "n_ctx": ODD,
        "id_task": ODD,
        "n_prompt_tokens": ODD,
        "n_prompt_tokens_processed": ODD,
        "n_prompt_tokens_cache": ODD,
        "next_token": NEXT | st.lists(NEXT, max_size=2) | ODD,
        "state": ODD,
    },
)


@given(st.lists(ROW | st.dictionaries(st.sampled_from(["id", "is_processing", "state"]), ODD), max_size=3))
def test_what_is_read_in_one_go_is_what_is_read_a_field_at_a_time(value: object) -> None:
    body = json.dumps(value).encode()
    assert parse_slots(body) == bodies._one_by_one(body)


@pytest.mark.parametrize("name", ["b10434-slots-busy.json", "b10434-slots-idle-fresh.json"])
def test_what_a_server_of_today_answers_is_read_in_one_go(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = parse_slots(recorded(name))
    monkeypatch.setattr(bodies, "_one_by_one", lambda _: ())
    assert expected
    assert parse_slots(recorded(name)) == expected


def test_properties_and_models_make_the_facts() -> None:
    properties = parse_properties(recorded("b10434-props.json"))
    assert properties is not None
    assert not properties.sleeping
    assert with_models(properties.facts, recorded("b10434-v1-models.json")) == LoadFacts(
        model_path="/models/gemma-3-270m-q4_k_m.gguf",
        build=properties.facts.build,
        slot_count=2,
        context_length=2048,
        parameter_count=268_098_176,
        weights_bytes=246_587_904,
        quantization="Q4_K - Medium",
        trained_context_length=32768,
        slots_enabled=True,
        metrics_enabled=True,
    )


@pytest.mark.parametrize(
    ("body", "sleeping"), [(b'{"is_sleeping":true}', True), (b'{"is_sleeping":false}', False), (b"{}", False)]
)
def test_a_sleeping_server_says_so(body: bytes, sleeping: bool) -> None:
    properties = parse_properties(body)
    assert properties is not None
    assert properties.sleeping is sleeping
