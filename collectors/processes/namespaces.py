"""Whether a process lives in a container (man 7 namespaces)."""

from __future__ import annotations

from collections.abc import Mapping

from gpumon.collectors.processes.proc import Proc


def is_unreachable(proc: Proc, pid: int, status: Mapping[str, str]) -> bool:
    """Tell whether its loopback ports cannot be reached from here.

    The network namespace decides. Where it may not be read (another user's process), a PID of its own inside
    a container is taken as the sign of one.
    """
    differs = _differs(proc, pid, "net")
    return has_inner_pid(status) if differs is None else differs


def is_contained(proc: Proc, pid: int, status: Mapping[str, str]) -> bool:
    """Tell whether it is in another PID namespace: its paths are then the container's."""
    return has_inner_pid(status) or bool(_differs(proc, pid, "pid"))


def has_inner_pid(status: Mapping[str, str]) -> bool:
    """Tell whether ``NSpid`` lists more than the PID that is seen from here. Readable by all."""
    return len(status.get("NSpid", "").split()) > 1


def _differs(proc: Proc, pid: int, kind: str) -> bool | None:
    try:
        return proc.link(pid, f"ns/{kind}") != proc.link("self", f"ns/{kind}")
    except OSError:
        return None
