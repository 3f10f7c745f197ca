"""The size of the file that a runner loads."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpumon.collectors.processes.details import model_file_bytes


def test_it_is_the_size_on_disk_links_followed(tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_bytes(b"12345")
    (tmp_path / "link").symlink_to("model.gguf")
    assert model_file_bytes(str(tmp_path / "link")) == 5


def test_the_path_of_a_container_is_looked_up_in_its_own_root(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models/m").write_bytes(b"123")
    assert model_file_bytes("/models/m", tmp_path) == 3


@pytest.mark.parametrize(
    "path",
    [None, "", "relative.gguf", "/nowhere/m.gguf", "/m-00001-of-00003.gguf", "/a\0b", "/" + 9**4 * "a"],
)
def test_what_cannot_be_seen_or_is_only_a_part_is_unknown(path: str | None) -> None:
    assert model_file_bytes(path) is None


def test_one_part_of_several_is_not_the_model(tmp_path: Path) -> None:
    part = tmp_path / "m-00001-of-00003.gguf"
    part.write_bytes(b"123")
    assert model_file_bytes(str(part)) is None
