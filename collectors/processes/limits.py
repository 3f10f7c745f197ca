"""What a process may take of the RAM by its control groups: a container's limit, a unit's ``MemoryMax``.

Pages of files that it reads count there too, so that a model larger than the limit is read from storage again
and again though the machine has RAM to spare (Linux: Documentation/admin-guide/cgroup-v2.rst, "Memory";
cgroup-v1/memory.rst).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from gpumon.collectors.processes.proc import Proc

GROUPS = Path("/sys/fs/cgroup")
MOST_LEVELS = 32
"""Of groups within groups: Kubernetes has six."""
NO_LIMIT_BYTES = 2**60
"""Version 1 writes the largest number there is where nobody has set one."""
_LIMIT_BYTES_READ = 64


class RamLimit(NamedTuple):
    """The least of the limits that hold for a process."""

    limit_bytes: int
    group: str
    """The control group that has it: ``/system.slice/ollama.service``."""


def ram_limit(proc: Proc, pid: int, groups: Path = GROUPS) -> RamLimit | None:
    """Return the limit of a process; ``None`` where there is none, or it cannot be read."""
    try:
        lines = proc.text(pid, "cgroup").splitlines()
    except OSError:
        return None
    found = [limit for line in lines for limit in _limits(line, groups)]
    return min(found, default=None)


def _limits(line: str, groups: Path) -> Iterator[RamLimit]:
    """Yield the limits along one line, ``4:memory:/docker/1f…`` or ``0::/system.slice/…``."""
    _, _, rest = line.partition(":")
    controllers, _, path = rest.partition(":")
    is_first_version = "memory" in controllers.split(",")
    if (controllers and not is_first_version) or not path.startswith("/") or ".." in path.split("/"):
        return
    root = groups / "memory" if is_first_version else groups
    names = ("memory.limit_in_bytes",) if is_first_version else ("memory.max", "memory.high")
    parts = [part for part in path.split("/") if part][:MOST_LEVELS]
    for count in range(len(parts) + 1):
        group = "/".join(parts[:count])
        sizes = [size for name in names if (size := _size(root / group / name)) is not None]
        if sizes:
            yield RamLimit(min(sizes), f"/{group}")


def _size(file: Path) -> int | None:
    with contextlib.suppress(OSError, UnicodeError, ValueError), file.open(encoding="ascii") as opened:
        size = int(opened.read(_LIMIT_BYTES_READ))  # "max" where there is none
        return size if 0 < size < NO_LIMIT_BYTES else None
    return None
