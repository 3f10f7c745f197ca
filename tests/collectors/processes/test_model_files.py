"""What the files of processes hold: which are read, where they are, and what is said of others."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.fakes.gguf.writer import tiny_llama

from gpumon.collectors.processes.model_files import ModelFiles, WantedFile, is_undescribed
from gpumon.collectors.processes.proc import Proc
from gpumon.collectors.samples import FileFacts, RunnerSettings
from gpumon.collectors.source import SystemClock


async def read(path: str, *, pid: int | None = None, **more: str) -> FileFacts:
    files = ModelFiles(SystemClock(), Proc())
    wanted = WantedFile(os.getpid() if pid is None else pid, 1.0, path, **more)
    assert files.collect([wanted]) == []
    await files.settle()
    (found,) = files.collect([wanted])
    assert files.collect([wanted]) == [], "each process once"
    files.close()
    return found


async def test_what_a_file_holds_is_read(tmp_path: Path) -> None:
    file = tiny_llama().write(tmp_path / "a.gguf")
    found = await read(str(file))
    assert found.facts is not None
    assert (found.facts.architecture, found.facts.layer_count, found.problem) == ("llama", 2, None)
    assert found.file_bytes == file.stat().st_size


async def test_files_beside_it_are_read_too(tmp_path: Path) -> None:
    file, draft = (tiny_llama().write(tmp_path / name) for name in ("a.gguf", "d.gguf"))
    projector = tmp_path / "p.gguf"
    projector.write_bytes(b"x" * 1234)
    found = await read(str(file), draft_path=str(draft), projector_path=str(projector))
    assert found.draft is not None
    assert found.projector_bytes == 1234


async def test_a_path_is_that_of_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny_llama().write(tmp_path / "a.gguf")
    monkeypatch.chdir(tmp_path)
    assert (await read("a.gguf")).facts is not None


async def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    (tmp_path / "text.gguf").write_text("hello, this is no model at all")
    os.mkfifo(tmp_path / "pipe.gguf")
    for name, words in (
        ("gone.gguf", "its file cannot be read: gone.gguf does not exist"),
        ("text.gguf", "its file cannot be read: text.gguf is no GGUF file"),
        ("pipe.gguf", "its file cannot be read: pipe.gguf is not a file"),
        ("nul\0.gguf", "its file cannot be read: "),
    ):
        found = await read(str(tmp_path / name))
        assert found.facts is None
        assert (found.problem or "").startswith(words)


async def test_a_process_that_has_gone_is_no_fault() -> None:
    found = await read("relative.gguf", pid=2**22 + 1)
    assert found.problem == "its file cannot be read: no such file or directory"


@pytest.mark.parametrize(
    ("kind", "settings", "is_read"),
    [
        ("llama_server", RunnerSettings(model_path="/m.gguf"), True),
        ("llama_server", RunnerSettings(model_name="org/repo"), False),
        ("llama_server", RunnerSettings(model_path="/b", blob="sha256-00", child_of="ollama"), False),
        ("ollama_runner", RunnerSettings(model_path="/b", blob="sha256-00"), False),
        ("nobody", RunnerSettings(model_path="/b"), False),
    ],
)
def test_those_that_a_server_describes_are_left_to_it(
    kind: str, settings: RunnerSettings, is_read: bool
) -> None:
    assert is_undescribed(kind, settings) is is_read
