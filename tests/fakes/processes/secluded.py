"""gpumon on a machine where nothing runs but what one test has started.

Processes of that test have its variable in their environment; of all others nothing is seen, be they those of
tests that run beside it or servers of whoever owns the machine.
"""

from __future__ import annotations

import os
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gpumon.collectors.processes.proc import Proc

VARIABLE = "GPUMON_TESTED_BY"
COMMAND = ("-m", "tests.fakes.processes.secluded")
"""For the interpreter, in place of ``-m gpumon.app``."""


def is_ours(pid: int) -> bool:
    """Return whether a process belongs to the same test."""
    mark = f"{VARIABLE}={os.environ[VARIABLE]}".encode()
    try:
        return mark in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return False


def seclude(set_attribute: Callable[[Any, str, object], None] = setattr) -> None:
    """Hide the processes of others."""
    pids, children = Proc.pids, Proc.children
    set_attribute(Proc, "pids", lambda proc: list(filter(is_ours, pids(proc))))
    set_attribute(Proc, "children", lambda proc, pid: list(filter(is_ours, children(proc, pid))))


if __name__ == "__main__":
    seclude()
    runpy.run_module("gpumon.app", run_name="__main__", alter_sys=True)
