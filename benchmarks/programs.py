"""The programs that are measured beside gpumon, where they are installed."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
RUNNER_URL = "{runner}"
"""Stands for the URL of the first model's own port."""


class Program(NamedTuple):
    """A program with the text on its screen that shows that it has read the GPU."""

    name: str
    command: tuple[str, ...]
    first_frame: str
    first_figure: str
    needs_model: bool = False
    """Whether it is told the port of a model, and shows nothing without one."""


def programs(search_path: str | None = None, python: str = sys.executable) -> list[Program]:
    """Return gpumon and a bare Textual app, both run by ``python``, and the peers found on ``search_path``.

    An interpreter that has only what gpumon needs shows what users see: httpx for one loads more where a
    developer's tools are installed.
    """
    bare = (python, str(ROOT / "benchmarks" / "bare.py"))
    own = [
        Program("gpumon", (python, "-m", "gpumon.app"), "help", "°C"),
        Program("bare Textual app", bare, "row", "row"),
    ]
    peers = [
        Program("nvitop", ("nvitop", "-m", "full"), "NVITOP", "MiB /"),
        Program("nvtop", ("nvtop",), "Device", "MHz"),
        Program("gpustat", ("gpustat", "-i", "1"), "[0]", "MB"),
        Program("glances", ("glances", "-t", "1"), "CPU", "temperature"),
        Program("ollama-mtop", ("mtop",), "mtop v", "MiB"),
        Program("vramtop", ("vramtop",), "vramtop", "MB/"),
        Program("llamastat", ("llamastat", "-u", RUNNER_URL), "llamastat", "t/s", needs_model=True),
    ]
    return [*own, *(found for peer in peers if (found := _installed(peer, search_path)))]


def _installed(program: Program, search_path: str | None) -> Program | None:
    where = shutil.which(program.command[0], path=search_path)
    return program._replace(command=(where, *program.command[1:])) if where else None
