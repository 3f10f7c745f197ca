"""A file for node_exporter: whole or not there, readable for others, and one line where it cannot be."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from gpumon.app.errors import GpumonError
from gpumon.app.outlets.exporter.page import TextFile


def test_it_is_replaced_as_a_whole_and_others_may_read_it(tmp_path: Path) -> None:
    file = TextFile(tmp_path / "gpumon.prom")
    file.write(b"a 1\n")
    file.write(b"a 2\n")
    assert (tmp_path / "gpumon.prom").read_bytes() == b"a 2\n"
    assert stat.S_IMODE((tmp_path / "gpumon.prom").stat().st_mode) == 0o644
    assert [one.name for one in tmp_path.iterdir()] == ["gpumon.prom"]


def test_it_goes_when_nobody_writes_it_any_more(tmp_path: Path) -> None:
    file = TextFile(tmp_path / "gpumon.prom")
    file.write(b"a 1\n")
    file.remove()
    file.remove()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("gpumon.txt", "files that end in .prom, and gpumon.txt does not"),
        ("none/gpumon.prom", "no such file or directory"),
        ("folder.prom", "is a directory"),
    ],
)
def test_where_it_cannot_be_written_one_line_says_so(tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / "folder.prom").mkdir()
    with pytest.raises(GpumonError, match=words):
        TextFile(tmp_path / name)
