"""gpumon on a machine where nothing runs but what one test has started, and no GPU is but the test's.

Processes of that test have its variable in their environment; of all others nothing is seen, be they those of
tests that run beside it or servers of whoever owns the machine. What is built into the machine is not seen
either: there is the fake driver or none, and the bus shows what a test puts there, or is none.
"""

from __future__ import annotations

import os
import runpy
from collections.abc import Callable
from functools import partialmethod
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from gpumon.collectors.nvml.driver import Nvml, load_pynvml
from gpumon.collectors.nvml.source import NvmlSource
from gpumon.collectors.processes.proc import Proc

VARIABLE = "GPUMON_TESTED_BY"
HARDWARE = "GPUMON_TESTED_HARDWARE"
"""Names the folder of a ``Bus``."""
NOWHERE = Path("/nonexistent")
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
    """Hide the processes of others, and the machine's hardware."""
    pids, children = Proc.pids, Proc.children
    set_attribute(Proc, "pids", lambda proc: list(filter(is_ours, pids(proc))))
    set_attribute(Proc, "children", lambda proc, pid: list(filter(is_ours, children(proc, pid))))
    hide_hardware(set_attribute)


def hide_hardware(set_attribute: Callable[[Any, str, object], None] = setattr) -> None:
    """Have GPUs looked for where the test says, and by no driver but the fake one."""
    folder = Path(os.environ.get(HARDWARE, NOWHERE))
    begin = partialmethod(NvmlSource.__init__, load=_fake_driver, sysfs=folder / "sys", dev=folder / "dev")
    set_attribute(NvmlSource, "__init__", begin)


def _fake_driver() -> Nvml:
    """Return the binding; where the fake library is not wanted, one that finds none."""
    nvml = load_pynvml()
    if os.environ.get("FAKE_NVML_STATE"):
        return nvml

    def refuse() -> None:
        raise nvml.NVMLError(nvml.NVML_ERROR_LIBRARY_NOT_FOUND)

    return SimpleNamespace(nvmlInit=refuse, NVMLError=nvml.NVMLError)


if __name__ == "__main__":
    seclude()
    runpy.run_module("gpumon.app", run_name="__main__", alter_sys=True)
