"""``/api/show``: weights, geometry and abilities of a model."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.collectors.ollama.support import JSON
from tests.fakes.ollama.catalog import FakeModel, llama_geometry

from gpumon.collectors.samples import ModelFacts
from gpumon.collectors.servers.ollama.bodies import BodyError, parse_show

BLOB = "sha256-" + "ab" * 32
OTHER_BLOB = "sha256-" + "cd" * 32


def parsed(raw: bytes) -> ModelFacts:
    return parse_show(raw, "llama3:8b", "d" * 64, time=1.0, source="http://127.0.0.1:11434")


def shown(**changes: object) -> ModelFacts:
    """Parse the answer for a common model with some parts changed."""
    return parsed(json.dumps(FakeModel("llama3:8b").show() | changes).encode())


def geometry(**info: object) -> dict[str, Any]:
    return shown(model_info={key.replace("__", "."): value for key, value in info.items()}).geometry


def test_the_facts_of_a_common_model() -> None:
    facts = shown()
    assert (facts.name, facts.digest, facts.architecture) == ("llama3:8b", "d" * 64, "llama")
    assert (facts.trained_context_length, facts.layer_count, facts.embedding_length) == (131072, 32, 4096)
    assert facts.parameter_count == 8030261312
    assert facts.capabilities == ("completion", "tools")
    assert facts.blobs == (FakeModel("llama3:8b").blob,)
    assert facts.geometry["llama.attention.head_count_kv"] == 8


@pytest.mark.parametrize(
    "line",
    [
        f"FROM /usr/share/ollama/.ollama/models/blobs/{BLOB}",
        f"FROM /home/a b/.ollama/models/blobs/{BLOB}  ",
        f'FROM "/home/x/blobs/{BLOB}"',
        rf"FROM C:\Users\U\.ollama\models\blobs\{BLOB}",
        f"FROM /blobs/{BLOB.replace('-', ':')}",
    ],
)
def test_the_weights_are_the_blob_of_the_from_line(line: str) -> None:
    assert shown(modelfile=f"# comment\n{line}\nTEMPLATE x\n").blobs == (BLOB,)


def test_projectors_follow_the_weights() -> None:
    assert shown(modelfile=f"FROM /b/{BLOB}\nFROM /b/{OTHER_BLOB}\n").blobs == (BLOB, OTHER_BLOB)


@pytest.mark.parametrize(
    "modelfile",
    [
        "FROM llama3:8b",
        f"ADAPTER /blobs/{BLOB}",
        f"# FROM /blobs/{BLOB}",
        f"FROM /blobs/{BLOB}00",
        f"FROM /blobs/{BLOB[:-1]}",
        "FROM ",
        "",
        None,
        5,
    ],
)
def test_other_lines_name_no_weights(modelfile: object) -> None:
    assert shown(modelfile=modelfile).blobs == ()


def test_heads_per_layer_are_a_list() -> None:
    assert geometry(a__heads=[8, 0, 8]) == {"a.heads": (8, 0, 8)}


def test_flags_per_layer_are_a_list() -> None:
    assert geometry(a__pattern=[True, False]) == {"a.pattern": (True, False)}


@pytest.mark.parametrize("value", [5, -5, 0.5, True, "gpt2"])
def test_scalars_are_kept(value: object) -> None:
    assert geometry(a__key=value) == {"a.key": value}


@pytest.mark.parametrize(
    "value",
    [None, [], {}, ["a"], [1.5], [[1]], [1, None], "x" * 1000, 2**64, list(range(1025)), [0] * 50_000],
)
def test_what_is_no_geometry_is_left_out(value: object) -> None:
    assert geometry(a__key=value, a__block_count=7) == {"a.block_count": 7}


def test_a_list_of_as_many_items_as_ollama_sends_is_kept() -> None:
    assert len(geometry(a__key=list(range(1024)))["a.key"]) == 1024


def test_an_endless_number_of_keys_is_cut() -> None:
    assert len(geometry(**{f"k{number}": 1 for number in range(5000)})) == 512


@pytest.mark.parametrize("info", [None, [], "x", 5, {}, {"general.architecture": 5}])
def test_without_geometry_the_rest_is_still_there(info: object) -> None:
    facts = shown(model_info=info)
    assert (facts.architecture, facts.layer_count, facts.trained_context_length) == (None, None, None)
    assert facts.blobs


def test_a_bad_count_is_unknown() -> None:
    facts = shown(model_info=llama_geometry() | {"llama.block_count": -1, "llama.context_length": "many"})
    assert (facts.layer_count, facts.trained_context_length, facts.embedding_length) == (None, None, 4096)


@pytest.mark.parametrize("capabilities", [None, "tools", 5, {}, [5, None]])
def test_bad_capabilities_are_none(capabilities: object) -> None:
    assert shown(capabilities=capabilities).capabilities == ()


def listed(name: str, kind: object = "Q4_K", shape: object = (4096, 4096)) -> dict[str, object]:
    return {"name": name, "type": kind, "shape": shape}


def test_tensors_are_summed_by_layer_and_kind() -> None:
    tensors = [
        listed("token_embd.weight", "Q4_K", [4096, 128256]),
        listed("output.weight", "Q6_K", [4096, 128256]),
        listed("blk.0.attn_q.weight"),
        listed("blk.0.ffn_gate_exps.weight", "Q4_K", [4096, 1024, 8]),
        listed("blk.1.attn_q.weight", "Q6_K"),
        listed("v.blk.0.attn_q.weight", "F16", [16, 16]),
    ]
    weights = shown(tensors=tensors).weights
    assert weights is not None
    assert weights.token_embedding_bytes == 4096 * 128256 * 144 // 256
    assert weights.output_bytes == 4096 * 128256 * 210 // 256
    assert weights.layer_bytes == (4096 * 4096 * 3 * 144 // 256, 4096 * 4096 * 210 // 256)
    assert weights.expert_bytes == (4096 * 1024 * 8 * 144 // 256, 0)
    assert (weights.projector_bytes, weights.vocabulary_size) == (512, 128256)


@pytest.mark.parametrize(
    "tensors",
    [
        None,
        [],
        {},
        "many",
        [5],
        [listed("a", "Q9")],
        [listed("a", 5)],
        [listed("a", "F32", [-1])],
        [listed("a", "F32", [2**59, 2**59])],
        [listed("a", "F32", [1] * 5)],
        [listed("a", "F32", "wide")],
        [listed("x" * 1000)],
        [listed("a"), {"name": "b"}],
    ],
)
def test_a_list_of_tensors_that_is_not_good_whole_gives_no_weights(tensors: object) -> None:
    facts = shown(tensors=tensors)
    assert facts.weights is None
    assert facts.layer_count == 32


def test_an_endless_list_of_tensors_gives_no_weights() -> None:
    assert shown(tensors=[listed("a", "F32", [1])] * 262_145).weights is None


def test_parameters_that_bear_on_memory_are_kept() -> None:
    text = 'num_ctx                        8192\nstop      "<|eot_id|>"\ntemperature 0.7\nnum_gpu 20\n'
    assert shown(parameters=text).parameters == {"num_ctx": "8192", "num_gpu": "20"}


@pytest.mark.parametrize(
    "text", [None, 5, "", "num_ctx", "num_ctx   ", "num_ctx " + "9" * 1000, "xnum_ctx 5"]
)
def test_what_is_no_parameter_is_left_out(text: object) -> None:
    assert shown(parameters=text).parameters == {}


@pytest.mark.parametrize("raw", [b"", b"[]", b"null", b"<html>", b"{", b"[" * 100_000])
def test_what_is_no_object_is_a_body_error(raw: bytes) -> None:
    with pytest.raises(BodyError):
        parsed(raw)


@given(
    st.dictionaries(
        st.sampled_from(sorted(FakeModel("x").show())), JSON | st.dictionaries(st.text(), JSON), max_size=6
    )
)
def test_any_json_gives_facts_that_can_be_recorded(values: dict[str, Any]) -> None:
    clean = json.loads(json.dumps(values), parse_constant=lambda _name: None)
    facts = parsed(json.dumps(clean).encode())
    assert msgspec.json.decode(msgspec.json.encode(facts), type=ModelFacts) == facts


@given(st.binary())
def test_any_bytes_give_facts_or_a_body_error(raw: bytes) -> None:
    with contextlib.suppress(BodyError):
        parsed(raw)
