"""A real process that maps a file, loses it from memory and reads it again, as from too little RAM."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gpumon.app.state.rates import disk
from gpumon.app.state.rates.disk import DiskReads
from gpumon.collectors.processes.details import RunnerReader
from gpumon.collectors.processes.finder import Runner
from gpumon.collectors.processes.owners import Users
from gpumon.collectors.processes.proc import Proc
from gpumon.collectors.samples import RunnerProcess, RunnerSettings

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

FILE_BYTES = 16 * 1024**2
READER = """
import mmap, os, sys
file = os.open(sys.argv[1], os.O_RDONLY)
pages = mmap.mmap(file, 0, prot=mmap.PROT_READ)
pages.madvise(mmap.MADV_RANDOM)
def read():
    return sum(pages[at] for at in range(0, len(pages), 4096))
read()
print("resident", flush=True)
for line in sys.stdin:
    pages.madvise(mmap.MADV_DONTNEED)
    os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
    read()
    print("again", flush=True)
"""


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    weights = tmp_path / "weights.gguf"
    with weights.open("wb") as file:
        file.write(bytes(range(256)) * (FILE_BYTES // 256))
        file.flush()
        os.fsync(file.fileno())
    command = [sys.executable, "-c", READER, str(weights)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "resident\n"
        yield process
        process.kill()


class Looks:
    """Looks at it as the source does."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.proc = Proc()
        self.reader = RunnerReader(self.proc, Users())

    def look(self) -> RunnerProcess:
        stat = self.proc.stat(self.process.pid)
        runner = Runner(
            pid=self.process.pid,
            start_ticks=stat.start_ticks,
            kind="llama_server",
            settings=RunnerSettings(),
            server_pid=None,
            stat=stat,
        )
        return self.reader.read((runner,), time.time())[0]

    def read_again(self) -> RunnerProcess:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "again\n"
        return self.look()


def test_its_bytes_faults_and_what_is_in_memory_are_counted(reader: subprocess.Popen[str]) -> None:
    looks = Looks(reader)
    before = looks.look()
    after = looks.read_again()
    if after.read_bytes == before.read_bytes:
        pytest.skip("a file here is not dropped from memory")
    assert (after.read_bytes or 0) - (before.read_bytes or 0) >= FILE_BYTES
    assert (after.major_faults or 0) - (before.major_faults or 0) >= FILE_BYTES / 4096 / 2
    assert before.file_bytes is not None
    assert before.file_bytes >= FILE_BYTES
    assert abs((after.file_bytes or 0) - before.file_bytes) <= FILE_BYTES / 4


def test_it_is_held_to_be_read_from_disk(
    reader: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk, "HOLD_SECONDS", 4.0)
    looks, reads = Looks(reader), DiskReads()
    first = looks.look()
    reads.add(first, 0.0, None)
    for second in range(1, 4):
        reads.add(looks.read_again(), float(second), None)
    if looks.look().read_bytes == first.read_bytes:
        pytest.skip("a file here is not dropped from memory")
    told = [reads.active]
    reads.add(looks.read_again(), 4.0, None)
    assert [*told, reads.active] == [False, True]
    assert reads.figures is not None
    assert reads.figures.read_bytes == pytest.approx(FILE_BYTES, rel=0.25)
