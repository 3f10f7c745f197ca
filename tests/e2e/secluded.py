"""gpumon on a machine where nothing runs but what one test has started.

Processes of that test have its variable in their environment; of all others nothing is seen.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from gpumon.app.cli.main import main
from gpumon.collectors.processes.proc import Proc

VARIABLE = "GPUMON_TESTED_BY"


def is_ours(pid: int) -> bool:
    """Whether a process belongs to the same test."""
    mark = f"{VARIABLE}={os.environ[VARIABLE]}".encode()
    try:
        return mark in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return False


def seclude() -> None:
    """Hide the processes of others."""
    seen: Any = Proc
    pids, children = seen.pids, seen.children
    seen.pids = lambda proc: list(filter(is_ours, pids(proc)))
    seen.children = lambda proc, pid: list(filter(is_ours, children(proc, pid)))


if __name__ == "__main__":
    seclude()
    sys.exit(main(sys.argv[1:]))
