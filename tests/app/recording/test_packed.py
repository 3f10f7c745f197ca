"""Recordings that are packed: written so that a kill loses little, read whatever state they are in."""

from __future__ import annotations

import gzip
import os
import signal
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from tests.app.recording.test_trouble import ENDLESS, ROOT, environment
from tests.fakes.recordings import HEADER, scenario_samples, write_recording

from gpumon.app.recording import keys, writer
from gpumon.app.recording.lines import RecordingError, encode_header, encode_line
from gpumon.app.recording.packing import GZIP, ZSTD, Form
from gpumon.app.recording.reader import read_recording
from gpumon.app.recording.redaction import redact
from gpumon.app.recording.writer import Recorder

zstandard = pytest.importorskip("zstandard")

SAMPLES = scenario_samples("spill", 40)
HALF = len(SAMPLES) // 2
PLAIN = encode_header(HEADER) + b"".join(map(encode_line, SAMPLES))
FORMS = [GZIP, ZSTD]


@pytest.fixture(params=FORMS, ids=lambda form: form.suffix[1:])
def form(request: pytest.FixtureRequest) -> Form:
    found: Form = request.param
    return found


@pytest.fixture
def path(form: Form, tmp_path: Path) -> Path:
    return tmp_path / f"run.jsonl{form.suffix}"


@pytest.fixture
def short_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a block be done after some samples."""
    monkeypatch.setattr(keys, "BLOCK_BYTES", 4000)
    monkeypatch.setattr(keys, "KEY_SHARE", 1)


def packed(form: Form, content: bytes) -> bytes:
    return gzip.compress(content) if form is GZIP else zstandard.compress(content)


def unpacked(form: Form, content: bytes) -> bytes:
    """Unpack as the usual programs do: all blocks, one after the other."""
    if form is GZIP:
        return gzip.decompress(content)
    reader = zstandard.ZstdDecompressor().stream_reader(content, read_across_frames=True)
    return bytes(reader.read())


def blocks(form: Form, content: bytes) -> list[int]:
    """Return where blocks begin, as far as their first bytes tell."""
    at, found = content.find(form.magic), []
    while at >= 0:
        found.append(at)
        at = content.find(form.magic, at + 1)
    return found


def test_it_is_packed_and_holds_what_a_plain_one_does(form: Form, path: Path) -> None:
    write_recording(path, SAMPLES)
    assert path.read_bytes().startswith(form.magic)
    assert unpacked(form, path.read_bytes()) == PLAIN
    assert path.stat().st_size < len(PLAIN) / 4
    assert list(read_recording(path)) == SAMPLES


@pytest.mark.usefixtures("short_blocks")
def test_of_many_blocks_the_samples_are_the_same_and_keys_are_none(form: Form, path: Path) -> None:
    write_recording(path, SAMPLES)
    assert unpacked(form, path.read_bytes()).count(keys.KEY_MAGIC) > 3
    assert list(read_recording(path)) == SAMPLES


def test_it_is_known_by_its_content_not_by_its_name(form: Form, path: Path) -> None:
    write_recording(path, SAMPLES)
    other = path.rename(path.with_name("evening.jsonl"))
    assert list(read_recording(other)) == SAMPLES


def test_one_that_another_program_has_packed_is_read(form: Form, path: Path) -> None:
    path.write_bytes(packed(form, PLAIN))
    recording = read_recording(path)
    assert list(recording) == SAMPLES
    assert recording.left_out is None


def test_blocks_may_end_in_the_middle_of_a_line(form: Form, path: Path) -> None:
    third = len(PLAIN) // 3
    path.write_bytes(b"".join(packed(form, PLAIN[at : at + third]) for at in range(0, len(PLAIN), third)))
    assert list(read_recording(path)) == SAMPLES


def test_it_is_continued_as_it_is_packed_whatever_it_is_called(form: Form, path: Path) -> None:
    write_recording(path, SAMPLES[:HALF])
    other = path.rename(path.with_name("run.jsonl"))
    write_recording(other, SAMPLES[HALF:])
    assert unpacked(form, other.read_bytes()).count(b'{"gpumon_recording":') == 2
    assert list(read_recording(other)) == SAMPLES


def test_a_plain_one_stays_plain_whatever_it_is_called(path: Path) -> None:
    path.write_bytes(PLAIN)
    write_recording(path, SAMPLES[:1])
    assert path.read_bytes().startswith(PLAIN)
    assert list(read_recording(path)) == [*SAMPLES, SAMPLES[0]]


def test_a_packed_file_that_is_no_recording_is_refused_and_left_as_it_is(form: Form, path: Path) -> None:
    content = packed(form, b"precious notes")
    path.write_bytes(content)
    with pytest.raises(RecordingError, match="is not a gpumon recording"):
        Recorder(path, HEADER)
    with pytest.raises(RecordingError, match="line 1: not a gpumon recording"):
        read_recording(path)
    assert path.read_bytes() == content


def test_cut_off_it_gives_what_came_before_the_cut_and_tells_of_nothing(form: Form, path: Path) -> None:
    press_each_line(path)
    whole = path.read_bytes()
    for part in (0.3, 0.7, 0.95):
        path.write_bytes(whole[: int(len(whole) * part)])
        recording = read_recording(path)
        kept = list(recording)
        assert kept == SAMPLES[: len(kept)]
        assert kept
        assert recording.left_out is None


def press_each_line(path: Path) -> None:
    """Record so that each line can be read as soon as it is written."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writer, "FLUSH_SECONDS", 0.0)
        write_recording(path, SAMPLES)


def test_after_a_cut_it_can_be_continued(form: Form, path: Path) -> None:
    press_each_line(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 7 // 10])
    kept = list(read_recording(path))
    write_recording(path, SAMPLES)
    recording = read_recording(path)
    assert list(recording) == [*kept, *SAMPLES]
    assert recording.left_out == "1 block damaged left out"


@pytest.mark.usefixtures("short_blocks")
def test_of_a_damaged_block_the_rest_is_left_out_and_the_others_are_there(form: Form, path: Path) -> None:
    write_recording(path, SAMPLES)
    content = bytearray(path.read_bytes())
    begins = blocks(form, bytes(content))
    at = begins[3] + (begins[4] - begins[3]) // 2
    content[at : at + 8] = b"\xff" * 8
    path.write_bytes(content)
    recording = read_recording(path)
    kept = list(recording)
    assert len(SAMPLES) * 0.5 < len(kept) < len(SAMPLES)
    assert [sample for sample in SAMPLES if sample in kept] == kept
    assert recording.left_out is not None
    assert "damaged" in recording.left_out


def test_what_was_written_before_a_kill_is_there(form: Form, path: Path, tmp_path: Path) -> None:
    script = ENDLESS.replace("recorder =", "writer.FLUSH_SECONDS = 0.0\nrecorder =")
    command = [sys.executable, "-c", script, str(path)]
    with subprocess.Popen(
        command, env=environment(tmp_path), stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as recorder:
        assert recorder.stdout is not None
        while (line := recorder.stdout.readline()) and int(line) < 300:
            pass
        recorder.send_signal(signal.SIGKILL)
    recording = read_recording(path)
    assert len(list(recording)) > 50
    assert recording.left_out is None


def test_lines_that_wait_are_written_once_it_is_time(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "FLUSH_SECONDS", 0.0)
    recorder = Recorder(path, HEADER)
    recorder.write(SAMPLES[0])
    while not path.stat().st_size or not list(read_recording(path)):
        os.sched_yield()
    assert list(read_recording(path)) == SAMPLES[:1], "nothing came after it, and it was not closed"
    recorder.close()


def test_a_redacted_copy_is_packed_by_its_name(form: Form, path: Path, tmp_path: Path) -> None:
    (tmp_path / "plain").write_bytes(PLAIN)
    done = redact(read_recording(tmp_path / "plain"), path)
    assert done.samples == len(SAMPLES)
    assert path.read_bytes().startswith(form.magic)
    assert len(list(read_recording(path))) == len(SAMPLES)


@pytest.mark.usefixtures("short_blocks")
def test_no_name_is_left_in_the_keys_of_a_copy(tmp_path: Path) -> None:
    write_recording(tmp_path / "run.jsonl", SAMPLES)
    redact(read_recording(tmp_path / "run.jsonl"), tmp_path / "copy.jsonl")
    assert keys.KEY_MAGIC in (tmp_path / "copy.jsonl").read_bytes()
    assert b"qwen2.5" in (tmp_path / "run.jsonl").read_bytes()
    assert b"qwen2.5" not in (tmp_path / "copy.jsonl").read_bytes()


def test_without_the_package_one_line_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "run").write_bytes(packed(ZSTD, PLAIN))
    monkeypatch.setitem(sys.modules, "zstandard", None)
    words = "zstd needs a package: pip install 'gpumon-llm\\[zstd\\]'"
    with pytest.raises(RecordingError, match=words):
        read_recording(tmp_path / "run")
    with pytest.raises(RecordingError, match=words):
        Recorder(tmp_path / "new.zst", HEADER)
    assert not (tmp_path / "new.zst").exists()


def test_a_line_without_an_end_is_no_trap(form: Form, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gpumon.app.recording.spools.LINE_BYTES_MAXIMUM", 100_000)
    path.write_bytes(packed(form, PLAIN + b"[" * 10_000_000 + b"\n" + encode_line(SAMPLES[0])))
    recording = read_recording(path)
    assert list(recording) == [*SAMPLES, SAMPLES[0]]
    assert recording.left_out == "1 line damaged left out"


def test_unpacking_errors_are_those_of_the_form() -> None:
    assert zlib.error in GZIP.errors
    assert zstandard.ZstdError in ZSTD.errors
