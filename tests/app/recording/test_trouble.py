"""A recording when its process is killed, its disk is full or gone, or another writes to it."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.fakes.recordings import HEADER, scenario_samples, write_recording

from gpumon.app.recording.lines import RecordingError
from gpumon.app.recording.reader import read_recording
from gpumon.app.recording.writer import Recorder

ROOT = Path(__file__).parents[3]
SAMPLES = scenario_samples("spill", 4)
LIMIT_BYTES = 20_000

ENDLESS = """
import os, sys
from itertools import cycle
from pathlib import Path
from tests.fakes.recordings import HEADER, scenario_samples
from gpumon.app.recording import writer
samples = scenario_samples("spill", 4)
write, count = writer._write, 0
def told(descriptor, line):
    global count
    write(descriptor, line)
    count += 1
    os.write(1, b"%d\\n" % count)
writer._write = told
recorder = writer.Recorder(Path(sys.argv[1]), HEADER)
for sample in cycle(samples):
    recorder._lines.put(writer.encode_line(sample))
"""


def environment(folder: Path) -> dict[str, str]:
    """Neither a driver nor an Ollama, and nobody's settings."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "XDG_STATE_HOME": str(folder / "state"),
        "PYTHONPATH": os.pathsep.join([str(ROOT / ".dev"), str(ROOT)]),
        "OLLAMA_HOST": "127.0.0.1:9",
    }


def test_what_was_written_before_a_kill_is_there_and_the_recording_can_be_continued(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    command = [sys.executable, "-c", ENDLESS, str(path)]
    with subprocess.Popen(
        command, env=environment(tmp_path), stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as writer:
        assert writer.stdout is not None
        while (line := writer.stdout.readline()) and int(line) < 500:
            pass
        writer.send_signal(signal.SIGKILL)
        told = int([line, *writer.stdout.read().splitlines()][-1])
    recording = read_recording(path)
    assert len(list(recording)) >= told - 1, "all lines that were acknowledged, less the header"
    assert recording.damaged == 0
    kept = len(list(recording))
    write_recording(path, SAMPLES)
    assert len(list(read_recording(path))) == kept + len(SAMPLES), (
        "no lock is left of the one that was killed"
    )


def headless(path: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """Record on a disk that takes no more than a few samples."""
    return subprocess.run(
        # -B: the limit would cut off the bytecode that Python keeps beside the modules, too.
        [sys.executable, "-B", "-m", "gpumon.app", "record", "--headless", str(path)],
        env=environment(folder),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1500, 1500)),
    )


def test_a_recording_without_a_dashboard_ends_when_the_disk_is_full_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    done = headless(path, tmp_path)
    assert done.returncode == 2
    assert done.stderr == f"gpumon: recording to {path} ended: file too large\n"
    assert list(read_recording(path)), "what was written before is there"


def test_a_second_writer_is_refused_and_the_first_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    first = Recorder(path, HEADER)
    with pytest.raises(RecordingError) as refused:
        Recorder(path, HEADER)
    assert str(refused.value) == f"cannot record to {path}: another gpumon is recording to it"
    first.write(SAMPLES[0])
    first.close()
    assert list(read_recording(path)) == SAMPLES[:1]


def test_once_the_first_writer_is_done_another_may_begin(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    write_recording(path, SAMPLES[:1])
    write_recording(path, SAMPLES[1:2])
    assert list(read_recording(path)) == SAMPLES[:2]


def test_one_that_is_recorded_to_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    write_recording(path, SAMPLES[:1])
    recorder = Recorder(path, HEADER)
    assert list(read_recording(path)) == SAMPLES[:1]
    recorder.close()


def test_a_refused_file_that_is_no_recording_is_not_held(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("precious")
    for _ in range(2):
        with pytest.raises(RecordingError, match="is not a gpumon recording"):
            Recorder(path, HEADER)


def test_a_directory_that_vanishes_ends_the_recording_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "run.jsonl"
    path.parent.mkdir()
    recorder = Recorder(path, HEADER)
    while not path.stat().st_size:  # the header is written by another thread
        os.sched_yield()
    path.unlink()
    path.parent.rmdir()
    recorder.write(SAMPLES[0])
    recorder.close()
    assert str(recorder.problem) == f"recording to {path} ended: the file was deleted"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_directory_that_cannot_be_written_to_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(RecordingError, match=r"cannot record to .*: permission denied"):
        Recorder(tmp_path / "run.jsonl", HEADER)


@pytest.mark.parametrize(
    ("number", "words"),
    [(28, "no space left on device"), (30, "read-only file system"), (5, "input/output error")],
)
def test_a_write_that_fails_ends_the_recording_and_keeps_what_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, words: str
) -> None:
    path = tmp_path / "run.jsonl"
    write = os.write

    def full(descriptor: int, data: bytes) -> int:
        if os.fstat(descriptor).st_size > LIMIT_BYTES:
            raise OSError(number, os.strerror(number))
        return write(descriptor, data)

    monkeypatch.setattr("os.write", full)
    recorder = Recorder(path, HEADER)
    for sample in SAMPLES * 50:
        recorder.write(sample)
    recorder.close()
    assert str(recorder.problem) == f"recording to {path} ended: {words}"
    kept = list(read_recording(path))
    assert kept == (SAMPLES * 50)[: len(kept)]
