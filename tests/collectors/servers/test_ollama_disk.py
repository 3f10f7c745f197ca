"""What Ollama's own directory says of an installed model is what its server would say."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from tests.fakes.gguf.mixture import dense
from tests.fakes.ollama.disk import put_on_disk

from gpumon.collectors.servers.ollama.disk import read_installed

NAME = "llama3.1:8b"


def test_a_model_of_the_library_is_read(tmp_path: Path) -> None:
    digest = put_on_disk(tmp_path, NAME, dense(), {"num_ctx": 8192, "stop": ["<x>"], "num_gpu": 20})
    found = read_installed(str(tmp_path), NAME, digest)
    assert found is not None
    assert (found.architecture, found.layer_count, found.trained_context_length) == ("llama", 32, 131072)
    assert found.parameters == {"num_ctx": "8192", "num_gpu": "20"}
    assert found.weights is not None
    assert len(found.blobs) == 1


@pytest.mark.parametrize(
    ("place", "name"),
    [
        ("registry.ollama.ai/maker", "maker/small:8b"),
        ("ollama.com/library", "small:8b"),
        ("hf.co/Maker", "hf.co/Maker/small:8b"),
    ],
)
def test_a_model_of_any_registry_is_read(tmp_path: Path, place: str, name: str) -> None:
    digest = put_on_disk(tmp_path, "small:8b", dense(), place=place)
    assert read_installed(str(tmp_path), name, digest) is not None


def test_a_projector_is_a_blob_beside_the_weights(tmp_path: Path) -> None:
    digest = put_on_disk(tmp_path, NAME, dense(), projector=b"eyes")
    found = read_installed(str(tmp_path), NAME, digest)
    assert found is not None
    assert len(found.blobs) == 2


def test_another_model_of_the_same_name_is_not_taken_for_it(tmp_path: Path) -> None:
    put_on_disk(tmp_path, NAME, dense())
    assert read_installed(str(tmp_path), NAME, "0" * 64) is None


@pytest.mark.parametrize(
    "name",
    [
        "../../etc:passwd",
        "a/b/c/d:8b",
        "..:8b",
        "",
        ":",
        "llama3.1",
        "llama3.1:../8b",
        "llama3.1:8b\0",
        "/x:y",
    ],
)
def test_a_name_that_leads_elsewhere_is_no_model(tmp_path: Path, name: str) -> None:
    digest = put_on_disk(tmp_path, NAME, dense())
    assert read_installed(str(tmp_path), name, digest) is None


@pytest.mark.parametrize("content", [b"", b"GGUF", b"{}"])
def test_weights_that_are_no_gguf_say_nothing(tmp_path: Path, content: bytes) -> None:
    digest = put_on_disk(tmp_path, NAME, dense())
    [blob] = (tmp_path / "blobs").iterdir()
    blob.write_bytes(content)
    assert read_installed(str(tmp_path), NAME, digest) is None


@pytest.mark.parametrize("content", [b"", b"[]", b'{"layers": 7}', b"[" * 100_000])
def test_a_damaged_manifest_says_nothing(tmp_path: Path, content: bytes) -> None:
    put_on_disk(tmp_path, NAME, dense())
    path = tmp_path / "manifests/registry.ollama.ai/library/llama3.1/8b"
    path.write_bytes(content)
    assert read_installed(str(tmp_path), NAME, hashlib.sha256(content).hexdigest()) is None


def test_where_nothing_may_be_read_nothing_is_said(tmp_path: Path) -> None:
    assert read_installed(str(tmp_path / "not-there"), NAME, "0" * 64) is None
