"""Every reader of bytes from outside, what it may raise, and an example to begin from."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import msgspec
from tests.fakes.gguf.writer import tiny_llama
from tests.fakes.llama_server.simulation import Simulation
from tests.fakes.ollama.catalog import FakeModel

from gpumon.app.config.entries import ConfigError, checked, settings_from
from gpumon.app.config.file import read as read_settings
from gpumon.app.meter.direct import Chunks
from gpumon.app.meter.documents import WANTED, Documents, figures_of
from gpumon.app.recording.lines import RecordingError
from gpumon.app.recording.reader import read_recording
from gpumon.app.recording.redaction import Redaction
from gpumon.collectors.gguf.file import GgufError, read_gguf
from gpumon.collectors.learned import DocumentError, decode
from gpumon.collectors.meter import parse_report
from gpumon.collectors.server_log.follower import event_of
from gpumon.collectors.server_log.lines import split
from gpumon.collectors.server_log.ollama_lines import parse_settings
from gpumon.collectors.servers.llama_server.bodies import parse_counters, parse_properties, parse_slots
from gpumon.collectors.servers.llama_server.command_line import settings_of
from gpumon.collectors.servers.llama_server.server import parse_router_models
from gpumon.collectors.servers.ollama.bodies import BodyError, parse_ps, parse_show, parse_tags, parse_version
from gpumon.collectors.system.source import bandwidth_of_table, parse_memory_pressure


class Parser(NamedTuple):
    """One reader."""

    read: Callable[[bytes], object]
    example: bytes
    may_raise: tuple[type[Exception], ...] = ()


def _of_file(read: Callable[[Path], object]) -> Callable[[bytes], object]:
    """Return a reader of bytes that go through a file."""

    def from_bytes(data: bytes) -> object:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "file")
            path.write_bytes(data)
            return read(path)

    return from_bytes


def _recording(path: Path) -> object:
    """Read a recording as a replay and a copy without names do."""
    recording, redaction = read_recording(path), Redaction()
    for sample in recording:
        redaction.sample(sample)
    return recording.last_time()


def _metered(data: bytes) -> object:
    found: list[object] = []
    for framing in ("lines", "events", "whole"):
        for size in (7, len(data) or 1):
            documents = Documents(framing, WANTED)
            for start in range(0, len(data), size):
                found += documents.feed(data[start : start + size])
            found += documents.end()
    return [figures_of(document) for document in found if isinstance(document, dict)]


def _chunks(data: bytes) -> object:
    chunks = Chunks()
    passed = [chunks.take(data[: len(data) // 2])]
    if not chunks.in_trailer and not chunks.ended:
        passed.append(chunks.take(data[len(data) // 2 :]))
    return passed


def _log_line(data: bytes) -> object:
    return event_of(split(data.decode(errors="replace")))


def _command_line(data: bytes) -> object:
    return settings_of([word.decode(errors="surrogateescape") for word in data.split(b"\0")])


def _show(data: bytes) -> object:
    return parse_show(data, "a:8b", "0" * 64, 1.0, "http://127.0.0.1:11434")


def _gguf() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        return tiny_llama().write(Path(folder, "tiny.gguf")).read_bytes()


_MODEL = FakeModel("qwen3:8b")

PARSERS: dict[str, Parser] = {
    "/api/ps": Parser(parse_ps, msgspec.json.encode({"models": [_MODEL.ps_row()]}), (BodyError,)),
    "/api/tags": Parser(parse_tags, msgspec.json.encode({"models": [_MODEL.tags_row()]}), (BodyError,)),
    "/api/version": Parser(parse_version, b'{"version":"0.33.0"}'),
    "/api/show": Parser(_show, msgspec.json.encode(_MODEL.show()), (BodyError,)),
    "/slots": Parser(parse_slots, msgspec.json.encode(Simulation().slots_body())),
    "/metrics": Parser(parse_counters, Simulation().metrics_body().encode()),
    "/props": Parser(parse_properties, b'{"total_slots":1,"default_generation_settings":{"n_ctx":4096}}'),
    "/models": Parser(parse_router_models, b'{"data":[{"id":"a","status":{"value":"loaded"}}]}'),
    "meter report": Parser(parse_report, b'{"gpumon_meter":1,"models":[]}'),
    "metered answers": Parser(
        _metered, b'data: {"model":"a","usage":{"completion_tokens":7}}\n\n{"eval_count":7}\n'
    ),
    "command line": Parser(_command_line, b"llama-server\0--model\0/a/blobs/sha256-0\0-c\08192\0-np\02"),
    "log line": Parser(
        _log_line,
        b"time=2026-08-21T10:00:00.000Z level=INFO source=server.go:1 msg=offload layers.offload=33 x=[1]",
    ),
    "log settings": Parser(
        lambda data: parse_settings(data.decode(errors="replace")),
        b"map[OLLAMA_NUM_PARALLEL:2 OLLAMA_HOST:a]",
    ),
    "recording": Parser(
        _of_file(_recording),
        b'{"gpumon_recording":2}\n{"type":"silent","time":1.0,"source":"nvml","seconds":2.0}\n',
        (RecordingError,),
    ),
    "settings": Parser(
        _of_file(lambda path: settings_from(checked(read_settings(path, required=True)))),
        b'interval_seconds = 2.0\n[alerts]\nhold_seconds = 5\n[headers."*"]\nX-A = "b"\n',
        (ConfigError,),
    ),
    "learned": Parser(decode, b'{"gpumon_learned":1}', (DocumentError,)),
    "chunks": Parser(_chunks, b"2;a=b\r\nok\r\n10\r\n0123456789abcdef\r\n0\r\n\r\n", (ValueError,)),
    "GGUF": Parser(_of_file(read_gguf), _gguf(), (GgufError,)),
    "SMBIOS": Parser(
        bandwidth_of_table, bytes([17, 40, 0, 0, *[0] * 36]) + b"DIMM\0\0" + bytes([127, 4, 0, 0, 0, 0])
    ),
    "pressure": Parser(
        lambda data: parse_memory_pressure(data.decode(errors="replace")),
        b"some avg10=0.00 avg60=0.00 avg300=0.00 total=0\n",
    ),
}
