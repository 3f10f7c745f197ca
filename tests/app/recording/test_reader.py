from __future__ import annotations

from pathlib import Path

import pytest
from tests.fakes.recordings import CREATED, HEADER, scenario_samples, write_recording

from gpumon.app.errors import GpumonError
from gpumon.app.recording import spools
from gpumon.app.recording.lines import RecordingError, encode_header, encode_line
from gpumon.app.recording.reader import read_recording
from gpumon.collectors.samples import AnySample, SourceSilent

SAMPLES = scenario_samples("spill", 2)
LINES = [encode_line(sample) for sample in SAMPLES]
SHORT: list[AnySample] = [
    SourceSilent(time=CREATED + second, source="nvml", seconds=second) for second in range(6)
]


def file_of(path: Path, *lines: bytes) -> Path:
    path.write_bytes(encode_header(HEADER) + b"".join(lines))
    return path


def test_a_recording_gives_its_header_and_samples(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    write_recording(path, SAMPLES)
    recording = read_recording(path)
    assert recording.header == HEADER
    assert list(recording) == SAMPLES
    assert list(recording) == SAMPLES, "as often as you like"


def test_cut_off_at_any_byte_it_gives_the_samples_before_the_cut(tmp_path: Path) -> None:
    header = encode_header(HEADER)
    whole = header + b"".join(map(encode_line, SHORT))
    path = tmp_path / "cut.jsonl"
    for cut in range(len(header) - 1, len(whole) + 1):
        path.write_bytes(whole[:cut])
        complete = whole[: cut + 1].count(b"\n") - 1  # a line that lacks only its end is whole
        recording = read_recording(path)
        assert list(recording) == SHORT[:complete], f"cut at byte {cut}"
        assert (recording.unknown, recording.damaged) == (0, 0), f"cut at byte {cut}"


def test_cut_off_inside_the_header_it_is_no_recording(tmp_path: Path) -> None:
    path = tmp_path / "cut.jsonl"
    header = encode_header(HEADER)
    for cut in range(len(header) - 1):
        path.write_bytes(header[:cut])
        with pytest.raises(RecordingError, match=r"cut\.jsonl"):
            read_recording(path)


def test_a_wrong_line_in_the_middle_is_skipped_and_counted(tmp_path: Path) -> None:
    recording = read_recording(
        file_of(tmp_path / "run", LINES[0], LINES[1][:40] + b"\n", b"\x00\n", LINES[2])
    )
    assert list(recording) == [SAMPLES[0], SAMPLES[2]]
    assert recording.damaged == 2


def test_a_line_of_a_newer_version_is_skipped_and_counted(tmp_path: Path) -> None:
    newer = b'{"type":"vllm","time":1,"source":"x"}\n'
    recording = read_recording(file_of(tmp_path / "run", LINES[0], newer, LINES[1]))
    assert list(recording) == SAMPLES[:2]
    assert (recording.unknown, recording.damaged) == (1, 0)


def test_a_line_that_is_too_long_is_skipped_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spools, "LINE_BYTES_MAXIMUM", 4096)
    recording = read_recording(file_of(tmp_path / "run", LINES[0], b"[" * 10_000 + b"\n", LINES[1]))
    assert list(recording) == SAMPLES[:2]
    assert recording.damaged == 1


def test_a_further_header_tells_that_a_new_run_begins(tmp_path: Path) -> None:
    recording = read_recording(file_of(tmp_path / "run", LINES[0], encode_header(HEADER), LINES[1]))
    assert list(recording.items()) == [HEADER, SAMPLES[0], HEADER, SAMPLES[1]]


def test_blank_lines_and_further_headers_are_passed_over(tmp_path: Path) -> None:
    recording = read_recording(file_of(tmp_path / "run", LINES[0], b"\n", encode_header(HEADER), LINES[1]))
    assert list(recording) == SAMPLES[:2]
    assert recording.damaged == 0


def test_the_first_and_last_times_are_told(tmp_path: Path) -> None:
    recording = read_recording(file_of(tmp_path / "run", *LINES, LINES[0][:25]))
    assert recording.first_time() == SAMPLES[0].time
    assert recording.last_time() == SAMPLES[-1].time


def test_without_samples_there_are_no_times(tmp_path: Path) -> None:
    recording = read_recording(file_of(tmp_path / "run"))
    assert (recording.first_time(), recording.last_time()) == (None, None)


@pytest.mark.parametrize(
    "content",
    [b"hello\n", b'{"a": 1}\n', b'{"gpumon_recording":"one"}\n', b'{"gpumon_recording":2,', b"\xff" * 99],
)
def test_another_file_is_refused_with_its_name_and_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "other.txt"
    path.write_bytes(content)
    with pytest.raises(RecordingError, match=r"other\.txt line 1: not a gpumon recording"):
        read_recording(path)


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    with pytest.raises(RecordingError, match="empty is empty"):
        read_recording(tmp_path / "empty")


def test_a_newer_format_is_refused_with_both_numbers(tmp_path: Path) -> None:
    path = tmp_path / "new"
    path.write_bytes(b'{"gpumon_recording":3}\n')
    with pytest.raises(RecordingError, match="format 3 of a newer gpumon, this one reads 2"):
        read_recording(path)


def test_an_older_format_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "old"
    path.write_bytes(b'{"gpumon_recording":1}\n')
    with pytest.raises(RecordingError, match="format 1 of an older gpumon, this one reads 2"):
        read_recording(path)


def test_a_missing_file_and_a_directory_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="no such file or directory"):
        read_recording(tmp_path / "missing")
    with pytest.raises(RecordingError, match="not a regular file"):
        read_recording(tmp_path)


def test_its_errors_end_the_program_with_one_line() -> None:
    assert issubclass(RecordingError, GpumonError)
