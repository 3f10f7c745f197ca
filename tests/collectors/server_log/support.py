"""Short ways to say what a log should be read as."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from gpumon.collectors.samples import BufferComponent, LogEvent, ServerProcess
from gpumon.collectors.server_log.follower import Assembler

LOGS = Path(__file__).parents[2] / "recordings" / "logs"
BLOB = "sha256-4c27e0f5b5adf02ac956c7322bd2ee7636fe3f45a8512c9aba5385242cb6e09a"
MIB = 1024**2
GIB = 1024**3

LOADED = 'time=2026-08-29T08:45:31.410Z level=INFO msg="llama-server started in 7.94 seconds"'
LOAD_FINISHED = LogEvent(kind="load_finished", at=1787993131.41, seconds=7.94)
"""What ``LOADED`` says."""


class FakeClock:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def now(self) -> float:
        return self.seconds


def events_in(name: str) -> list[LogEvent]:
    assembler = Assembler()
    lines = (LOGS / name).read_text(encoding="utf-8").splitlines()
    return [event for line in lines if (event := assembler.feed(line))]


def assembled(*lines: str) -> list[LogEvent]:
    assembler = Assembler()
    return [event for line in lines if (event := assembler.feed(line))]


def seconds(iso: str) -> float:
    return datetime.fromisoformat(iso).timestamp()


def buffer(device: str, component: BufferComponent, mib: float, at: float | None = None) -> LogEvent:
    size = round(mib * MIB)
    return LogEvent(kind="buffer", device=device, component=component, size_bytes=size, at=at)


def server(pid: int = 77, started: float = 500.0, **fields: object) -> ServerProcess:
    return ServerProcess(pid=pid, started=started, kind="ollama", **fields)  # type: ignore[arg-type]
