from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from tests.fakes.recordings import HEADER, scenario_samples, write_recording

from gpumon.app.recording import writer
from gpumon.app.recording.lines import RecordingError, encode_header, encode_line, new_header
from gpumon.app.recording.reader import read_recording
from gpumon.app.recording.writer import Recorder

SAMPLES = scenario_samples("spill", 4)
HALF = len(SAMPLES) // 2


def test_a_recording_is_a_header_and_a_line_for_each_sample(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    write_recording(path, SAMPLES)
    assert path.read_bytes() == encode_header(HEADER) + b"".join(map(encode_line, SAMPLES))


def test_each_line_is_one_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[bytes] = []

    def write(descriptor: int, data: bytes) -> int:
        written.append(data)
        return len(data)

    monkeypatch.setattr("os.write", write)
    write_recording(tmp_path / "run.jsonl", SAMPLES)
    assert written == [encode_header(HEADER), *map(encode_line, SAMPLES)]


def test_a_recording_is_continued_with_a_new_header(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    write_recording(path, SAMPLES[:HALF])
    write_recording(path, SAMPLES[HALF:])
    assert path.read_bytes().count(b'{"gpumon_recording":') == 2
    assert list(read_recording(path)) == SAMPLES


def test_a_recording_with_a_cut_line_is_continued_on_a_fresh_one(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    write_recording(path, SAMPLES[:HALF])
    with path.open("ab") as file:
        file.write(encode_line(SAMPLES[HALF])[:50])
    write_recording(path, SAMPLES[HALF:])
    recording = read_recording(path)
    assert list(recording) == SAMPLES
    assert recording.damaged == 1


@pytest.mark.parametrize("content", [b"precious notes", b"\x00", b'{"type":"nvml"}\n'])
def test_a_file_that_is_no_recording_is_refused_and_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(content)
    with pytest.raises(RecordingError, match=r"notes\.txt is not a gpumon recording"):
        Recorder(path, HEADER)
    assert path.read_bytes() == content


def test_an_empty_file_is_begun(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    path.touch()
    write_recording(path, SAMPLES)
    assert list(read_recording(path)) == SAMPLES


def test_a_path_that_cannot_be_opened_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"cannot record to .*no such file or directory"):
        Recorder(tmp_path / "missing" / "run.jsonl", HEADER)
    with pytest.raises(RecordingError, match="is a directory"):
        Recorder(tmp_path, HEADER)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_ends_the_recording_and_says_so() -> None:
    recorder = Recorder(Path("/dev/full"), HEADER)
    recorder.write(SAMPLES[0])
    recorder.close()
    assert str(recorder.problem) == "recording to /dev/full ended: no space left on device"
    recorder.write(SAMPLES[1])


def test_a_file_that_was_deleted_ends_the_recording_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    write_recording(path, SAMPLES[:1])
    recorder = Recorder(path, HEADER)
    path.unlink()
    recorder.write(SAMPLES[0])
    recorder.close()
    assert str(recorder.problem) == f"recording to {path} ended: the file was deleted"


def test_a_fifo_can_be_recorded_to_without_waiting_for_its_reader(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    recorder = Recorder(path, HEADER)
    recorder.write(SAMPLES[0])
    with path.open("rb") as reader:
        recorder.write(SAMPLES[1])
        recorder.close()
        assert reader.read() == encode_header(HEADER) + encode_line(SAMPLES[0]) + encode_line(SAMPLES[1])


def test_a_reader_that_leaves_ends_the_recording(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    recorder = Recorder(path, HEADER)
    with path.open("rb") as reader:
        reader.readline()
    recorder.write(SAMPLES[0])
    recorder.close()
    assert "broken pipe" in str(recorder.problem)


def test_a_disk_that_hangs_does_not_hold_the_caller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hanging = threading.Event()

    def hang(_descriptor: int, _line: bytes) -> None:
        hanging.wait(10)

    monkeypatch.setattr(writer, "CLOSE_SECONDS", 0.01)
    monkeypatch.setattr(writer, "WAITING_LINES", 2)
    monkeypatch.setattr(writer, "_write", hang)
    recorder = Recorder(tmp_path / "run.jsonl", HEADER)
    for sample in SAMPLES:
        recorder.write(sample)
    recorder.close()
    assert "writing is too slow" in str(recorder.problem)
    hanging.set()


def test_the_header_says_who_recorded_and_when() -> None:
    header = new_header(12.5, demo=True)
    assert (header.gpumon_recording, header.created, header.demo) == (2, 12.5, True)
    assert header.host
