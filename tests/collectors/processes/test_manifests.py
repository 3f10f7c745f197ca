"""Names of models from the manifests on disk."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.fakes.processes.tree import BLOB, OTHER_BLOB

from gpumon.collectors.processes import manifests
from gpumon.collectors.processes.manifests import ManifestReader, model_name
from gpumon.collectors.samples import BlobNames

HOME = "first.ollama.ai/library"


def manifest(blob: str = BLOB, kind: str = "model") -> bytes:
    layers = [
        {"mediaType": "application/vnd.ollama.image.template", "digest": "sha256:" + "0" * 64},
        {"mediaType": f"application/vnd.ollama.image.{kind}", "digest": blob.replace("-", ":"), "size": 1},
    ]
    return json.dumps({"schemaVersion": 2, "layers": layers}).encode()


def store(models: Path, name: str, raw: bytes) -> Path:
    path = models / "manifests" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(raw)
    return path


def read(models: Path) -> BlobNames:
    sample = ManifestReader(str(models)).read(1.0)
    assert sample is not None
    return sample


def test_a_blob_has_the_names_of_all_its_manifests(tmp_path: Path) -> None:
    store(tmp_path, f"{HOME}/qwen3/8b", manifest())
    store(tmp_path, f"{HOME}/qwen3/latest", manifest())
    store(tmp_path, f"{HOME}/gemma3/4b", manifest(OTHER_BLOB))
    assert read(tmp_path).names == {BLOB: ("qwen3:8b", "qwen3:latest"), OTHER_BLOB: ("gemma3:4b",)}


def test_a_name_has_the_digest_of_its_manifest(tmp_path: Path) -> None:
    store(tmp_path, f"{HOME}/qwen3/8b", manifest())
    assert read(tmp_path).digests == {"qwen3:8b": hashlib.sha256(manifest()).hexdigest()}


def test_the_source_is_the_directory(tmp_path: Path) -> None:
    store(tmp_path, f"{HOME}/qwen3/8b", manifest())
    sample = read(tmp_path)
    assert (sample.source, sample.time, sample.health.state) == (f"models {tmp_path}", 1.0, "serving")


def test_a_model_of_tensors_has_a_digest_and_no_blob(tmp_path: Path) -> None:
    store(tmp_path, f"{HOME}/qwen3/mlx", manifest(kind="tensor"))
    sample = read(tmp_path)
    assert (sample.names, list(sample.digests)) == ({}, ["qwen3:mlx"])


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("first.ollama.ai/library/qwen3/8b", "qwen3:8b"),
        ("first.ollama.ai/me/qwen3/8b", "me/qwen3:8b"),
        ("hub.example/me/qwen3/Q4_K_M", "hub.example/me/qwen3:Q4_K_M"),
        ("hub.example/library/qwen3/8b", "hub.example/library/qwen3:8b"),
    ],
)
def test_the_defaults_are_left_out_of_a_name(path: str, name: str) -> None:
    assert model_name(path) == name


def test_bytes_of_a_name_that_are_no_text_can_be_recorded(tmp_path: Path) -> None:
    store(tmp_path, os.fsdecode(f"{HOME}/qw".encode() + b"\xff/8b"), manifest())
    assert list(read(tmp_path).digests) == ["qw\\xff:8b"]
    msgspec.json.encode(read(tmp_path))


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"[]",
        b'{"layers": 3}',
        b'{"layers":[3]}',
        b"\xff",
        b"[" * 100_000,
        b'{"layers":[{"digest":1}]}',
    ],
)
def test_what_is_no_manifest_is_passed_over(tmp_path: Path, raw: bytes) -> None:
    store(tmp_path, f"{HOME}/broken/1b", raw)
    store(tmp_path, f"{HOME}/qwen3/8b", manifest())
    assert list(read(tmp_path).digests) == ["qwen3:8b"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(raw=st.binary())
def test_no_content_raises(tmp_path: Path, raw: bytes) -> None:
    store(tmp_path, f"{HOME}/any/1b", raw)
    read(tmp_path)


@pytest.mark.parametrize("digest", ["sha256:abc", "../../etc", "sha256-" + "a" * 64, ""])
def test_a_digest_that_is_none_names_no_blob(tmp_path: Path, digest: str) -> None:
    layer = {"mediaType": "application/vnd.ollama.image.model", "digest": digest}
    store(tmp_path, f"{HOME}/qwen3/8b", json.dumps({"layers": [layer]}).encode())
    assert read(tmp_path).names == {}


def test_what_has_not_changed_is_not_said_again(tmp_path: Path) -> None:
    store(tmp_path, f"{HOME}/qwen3/8b", manifest())
    reader = ManifestReader(str(tmp_path))
    assert reader.read(1.0) is not None
    assert reader.read(61.0) is None


def test_only_what_has_changed_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    read_one = manifests._entry

    def noting(path: str) -> manifests.Entry | None:
        opened.append(Path(path).name)
        return read_one(path)

    monkeypatch.setattr(manifests, "_entry", noting)
    store(tmp_path, f"{HOME}/qwen3/8b", manifest())
    changed = store(tmp_path, f"{HOME}/qwen3/4b", manifest())
    reader = ManifestReader(str(tmp_path))
    reader.read(1.0)
    opened.clear()
    changed.write_bytes(manifest(OTHER_BLOB) + b" ")
    sample = reader.read(61.0)
    assert sample is not None
    assert sample.names == {BLOB: ("qwen3:8b",), OTHER_BLOB: ("qwen3:4b",)}
    assert opened == ["4b"]


def test_a_removed_model_is_gone(tmp_path: Path) -> None:
    path = store(tmp_path, f"{HOME}/qwen3/8b", manifest())
    reader = ManifestReader(str(tmp_path))
    reader.read(1.0)
    path.unlink()
    sample = reader.read(61.0)
    assert sample is not None
    assert (sample.names, sample.digests) == ({}, {})


def test_a_directory_that_is_not_there_is_said_in_words(tmp_path: Path) -> None:
    health = read(tmp_path).health
    assert (health.state, health.detail) == ("absent", "manifests: no such file or directory")


def test_a_directory_that_is_closed_is_said_with_a_way_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def deny(path: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "scandir", deny)
    health = read(tmp_path).health
    assert (health.state, health.detail) == ("forbidden", "manifests: permission denied")
    assert "ollama" in (health.hint or "")


def test_the_number_of_manifests_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifests, "MANIFEST_LIMIT", 3)
    for number in range(5):
        store(tmp_path, f"{HOME}/qwen3/{number}b", manifest())
    assert len(read(tmp_path).digests) == 3


def test_the_number_of_entries_looked_at_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifests, "ENTRY_LIMIT", 4)
    for number in range(5):
        store(tmp_path, f"{HOME}/qwen3/{number}b", manifest())
    assert len(read(tmp_path).digests) == 1


def test_a_file_too_large_for_a_manifest_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifests, "MANIFEST_BYTES", 10)
    store(tmp_path, f"{HOME}/qwen3/8b", manifest())
    assert read(tmp_path).digests == {}


def test_files_at_other_depths_and_linked_directories_are_passed_over(tmp_path: Path) -> None:
    store(tmp_path, "stray", manifest())
    store(tmp_path, f"{HOME}/qwen3/deep/er", manifest())
    (tmp_path / "manifests" / HOME / "loop").symlink_to(tmp_path / "manifests")
    assert read(tmp_path).digests == {}
