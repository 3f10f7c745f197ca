"""Says in words why a log cannot be read, and what to do."""

from __future__ import annotations

import contextlib
import grp
import stat
from pathlib import Path

from gpumon.collectors.samples import SourceHealth
from gpumon.collectors.server_log.places import Place

_SYSTEMD_GROUP = "systemd-journal"


def trouble(error: OSError, place: Place) -> SourceHealth:
    """Return the state of a place that could not be read."""
    return _file_trouble(error, place.path) if place.path else _journal_trouble(error)


def _file_trouble(error: OSError, path: Path) -> SourceHealth:
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return SourceHealth(state="absent", detail=f"no such file: {path}")
    if isinstance(error, PermissionError):
        return SourceHealth(state="forbidden", detail=f"permission denied: {path}", hint=_hint(path))
    return SourceHealth(state="failing", detail=f"{_reason(error)}: {path}")


def _journal_trouble(error: OSError) -> SourceHealth:
    if isinstance(error, PermissionError):
        detail = "permission denied: the journal of ollama.service"
        return SourceHealth(state="forbidden", detail=detail, hint=_join(_SYSTEMD_GROUP))
    if isinstance(error, FileNotFoundError):
        return SourceHealth(state="absent", detail="no system journal is kept here")
    return SourceHealth(
        state="absent",
        detail=f"the journal cannot be read: {_reason(error)}",
        hint="journalctl -fu ollama -o cat > FILE, and name FILE in log_files of the settings",
    )


def _reason(error: OSError) -> str:
    return error.strerror or "libsystemd.so.0 cannot be loaded"


def _hint(path: Path) -> str:
    """Name the group that may read the file, or enter the directory that is in its way."""
    group = _group_that_may(path)
    return _join(group) if group else "run gpumon as the user who runs the server"


def _join(group: str) -> str:
    return f"add yourself to group {group} (sudo usermod -aG {group} $USER) and log in again"


def _group_that_may(path: Path) -> str | None:
    """Return the group of the first thing in the way, ``None`` if its group may not either."""
    for part in (path, *path.parents):
        with contextlib.suppress(OSError, KeyError):
            status = part.stat()
            needed = stat.S_IRGRP if part == path else stat.S_IXGRP
            return grp.getgrgid(status.st_gid).gr_name if status.st_mode & needed else None
    return None
