"""The header of a safetensors file, and files that are none, damaged, or made to do harm."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpumon.collectors.safetensors import (
    MAX_HEADER_BYTES,
    FileTensor,
    SafetensorsError,
    read_safetensors,
    tensors_of,
)

HALF = {"dtype": "F16", "shape": [2, 3], "data_offsets": [0, 12]}


def write(path: Path, header: object, data_bytes: int = 12, length: int | None = None) -> Path:
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    size = len(raw) if length is None else length
    path.write_bytes(size.to_bytes(8, "little") + raw + bytes(data_bytes))
    return path


def problem(path: Path) -> str:
    with pytest.raises(SafetensorsError) as caught:
        read_safetensors(path)
    return str(caught.value)


class TestAWholeFile:
    def test_gives_type_shape_and_bytes_of_each_tensor(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.safetensors", {"a.weight": HALF})
        assert read_safetensors(path) == {"a.weight": FileTensor("F16", (2, 3), 12)}

    def test_metadata_is_no_tensor(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.safetensors", {"__metadata__": {"format": "pt"}, "a": HALF})
        assert list(read_safetensors(path)) == ["a"]

    def test_a_scalar_is_one_number(self, tmp_path: Path) -> None:
        scalar = {"dtype": "F32", "shape": [], "data_offsets": [0, 4]}
        assert read_safetensors(write(tmp_path / "a.sft", {"a": scalar}))["a"].numbers == 1

    def test_a_type_of_tomorrow_is_taken_by_its_offsets(self, tmp_path: Path) -> None:
        new = {"dtype": "F2_X", "shape": [100], "data_offsets": [0, 12]}
        assert read_safetensors(write(tmp_path / "a.sft", {"a": new}))["a"].bytes == 12

    def test_all_parts_of_a_split_model_are_read(self, tmp_path: Path) -> None:
        for part in (1, 2):
            write(tmp_path / f"m-0000{part}-of-00002.safetensors", {f"t{part}": HALF})
        assert set(read_safetensors(tmp_path / "m-00002-of-00002.safetensors")) == {"t1", "t2"}


class TestAFileThatIsNone:
    def test_that_does_not_exist(self, tmp_path: Path) -> None:
        assert problem(tmp_path / "a.safetensors") == "a.safetensors does not exist"

    def test_a_part_that_is_missing_is_named(self, tmp_path: Path) -> None:
        write(tmp_path / "m-00001-of-00002.safetensors", {"a": HALF})
        found = problem(tmp_path / "m-00001-of-00002.safetensors")
        assert found == "m-00002-of-00002.safetensors does not exist"

    def test_a_folder(self, tmp_path: Path) -> None:
        assert problem(tmp_path) == f"{tmp_path.name} is not a file"

    def test_a_pipe_is_not_waited_for(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "a.safetensors")
        assert problem(tmp_path / "a.safetensors") == "a.safetensors is not a file"

    def test_a_name_that_no_file_has(self, tmp_path: Path) -> None:
        assert "cannot be read" in problem(tmp_path / ("a" * 5000))
        assert "cannot be read" in problem(tmp_path / "a\0b")

    @pytest.mark.parametrize("content", [b"", b"1234", b"\xff" * 8, bytes(8), b"GGUF" + bytes(64)])
    def test_no_header(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "a.sft").write_bytes(content)
        assert problem(tmp_path / "a.sft") == "a.sft is no safetensors file, or is not whole"

    def test_a_length_beyond_patience_is_not_read(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.sft", {"a": HALF}, length=MAX_HEADER_BYTES + 1)
        with path.open("r+b") as stream:
            stream.truncate(MAX_HEADER_BYTES * 2)  # a sparse file
        assert problem(path) == "a.sft is no safetensors file, or is not whole"

    @pytest.mark.parametrize(
        "header",
        [
            b"not json",
            b'{"a": 1}',
            b'["a"]',
            b'{"a": {"dtype": "F16"}}',
            b'{"a": {"dtype": "F16", "shape": "2", "data_offsets": [0, 4]}}',
            b'{"a": {"dtype": "F16", "shape": [2], "data_offsets": [0]}}',
            b'{"a": {"dtype": "F16", "shape": [1e400], "data_offsets": [0, 4]}}',
            b'{"a":' * 100_000,
        ],
    )
    def test_a_header_that_makes_no_sense(self, tmp_path: Path, header: bytes) -> None:
        assert "its header makes no sense" in problem(write(tmp_path / "a.sft", header))

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"shape": [-2, -3]}, "a tensor that no model has"),
            ({"shape": [1] * 9}, "a tensor that no model has"),
            ({"data_offsets": [12, 0]}, "a tensor that no model has"),
            ({"data_offsets": [-12, 0]}, "a tensor that no model has"),
            ({"shape": [2, 4]}, "shape and size differ"),
            ({"shape": [2**40, 2**40]}, "shape and size differ"),
        ],
    )
    def test_a_tensor_that_cannot_be(self, tmp_path: Path, change: dict[str, object], words: str) -> None:
        assert words in problem(write(tmp_path / "a.sft", {"a": HALF | change}))

    def test_data_that_is_not_there(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.sft", {"a": HALF}, data_bytes=5)
        assert problem(path) == "a.sft is not whole: 5 of 12 bytes of data are there"

    def test_no_tensors(self, tmp_path: Path) -> None:
        assert problem(write(tmp_path / "a.sft", {})) == "a.sft holds no tensors"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
ENTRY = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from(["F16", "F8_E4M3", "BF16", "X"]) | JSON,
        "shape": st.lists(st.integers(-(2**70), 2**70), max_size=10) | JSON,
        "data_offsets": st.lists(st.integers(-(2**70), 2**70), min_size=2, max_size=2) | JSON,
    }
)


class TestWhateverTheHeaderIs:
    @given(st.binary(max_size=200))
    def test_bytes_are_read_or_refused(self, raw: bytes) -> None:
        read_or_refuse(raw)

    @given(st.dictionaries(st.text(max_size=8), ENTRY | JSON, max_size=5))
    def test_entries_are_read_or_refused(self, header: object) -> None:
        read_or_refuse(json.dumps(header).encode())


def read_or_refuse(raw: bytes) -> None:
    try:
        found = tensors_of(raw, 2**20)
    except SafetensorsError:
        return
    assert all(0 <= tensor.bytes <= 2**20 for tensor in found.values())
