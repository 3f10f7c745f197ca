"""Where the log of a server is."""

from __future__ import annotations

import contextlib
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from msgspec import Struct

from gpumon.collectors.samples import ServerProcess, SourceHealth
from gpumon.collectors.server_log.journal import UNIT

PROC: Final = Path("/proc")
USUAL_FILES: Final = (
    Path("/opt/homebrew/var/log/ollama.log"),
    Path("/usr/local/var/log/ollama.log"),
    Path("/var/log/ollama.log"),
)
_OUTPUTS = (1, 2)
_CLOCK_SECONDS = 2.0
"""How far the start of a process, counted from boot, may be off the wall clock."""


class Place(Struct, frozen=True):
    """A file, or the journal of Ollama's service."""

    path: Path | None = None
    """``None``: the journal."""
    since: float | None = None
    """From when on the journal is wanted, Unix seconds."""
    from_end: bool = False
    """What is in the file already may be of an earlier run."""

    @property
    def source(self) -> str:
        """The ``source`` of its samples."""
        return "log journal ollama" if self.path is None else f"log {self.path}"


def find_places(
    servers: Sequence[ServerProcess],
    named: Sequence[Path] = (),
    home: Path | None = None,
    proc: Path = PROC,
    usual_files: Sequence[Path] = USUAL_FILES,
) -> tuple[Place, ...]:
    """Return the logs to follow: those that the user named, or else those that can be found."""
    if named:
        return tuple(Place(path) for path in named)
    here = [server for server in servers if not server.other_namespace]
    written = [Place(file) for server in here for file in _outputs(proc, server.pid)]
    usual = _usual([*_logs_beside_models(here, home), *usual_files], here)
    journal = [] if written else _journal(here, proc)
    return (*_different([*written, *usual]), *journal)


def nothing_found(servers: Sequence[ServerProcess]) -> SourceHealth:
    """Say why there is no log, and how to get one."""
    if not servers:
        return SourceHealth(state="absent", detail="no server is running, so there is no log to read")
    if all(server.other_namespace for server in servers):
        return SourceHealth(
            state="absent",
            detail="the server runs in a container, where its log is out of reach",
            hint="docker logs -f NAME > FILE 2>&1, and name FILE in log_files of the settings",
        )
    return SourceHealth(
        state="absent",
        detail="the server writes its log to a terminal, or where it cannot be seen",
        hint="ollama serve > FILE 2>&1, and name FILE in log_files of the settings",
    )


def _outputs(proc: Path, pid: int) -> Iterator[Path]:
    """Return the regular files that a process writes to, by the name that they have here."""
    for output in _OUTPUTS:
        link = proc / str(pid) / "fd" / str(output)
        with contextlib.suppress(OSError):
            file = link.readlink()
            if _is_regular(link) and _identity(file) == _identity(link):
                yield file


def _logs_beside_models(servers: Sequence[ServerProcess], home: Path | None) -> Iterator[Path]:
    """Return where the desktop app keeps its log: ``~/.ollama/logs``, next to ``~/.ollama/models``."""
    if home is not None:
        yield home / ".ollama" / "logs" / "server.log"
    for server in servers:
        if server.models_path:
            yield Path(server.models_path).parent / "logs" / "server.log"


def _usual(files: Sequence[Path], servers: Sequence[ServerProcess]) -> Iterator[Place]:
    """Return those that exist and, if a server is known, were written to since it started."""
    started = min((server.started for server in servers), default=None)
    for file in files:
        with contextlib.suppress(OSError):
            is_of_this_run = started is None or file.stat().st_mtime >= started - _CLOCK_SECONDS
            if is_of_this_run and _is_regular(file):
                yield Place(file, from_end=started is None)


def _journal(servers: Sequence[ServerProcess], proc: Path) -> Iterator[Place]:
    """Return the journal if Ollama is a service of systemd: its control group says so (man 7 cgroups)."""
    for server in servers:
        with contextlib.suppress(OSError):
            groups = (proc / str(server.pid) / "cgroup").read_text(errors="replace").splitlines()
            if any(group.endswith(f"/{UNIT}") and "/user@" not in group for group in groups):
                yield Place(since=server.started - _CLOCK_SECONDS)
                return


def _different(places: Sequence[Place]) -> list[Place]:
    """Drop places that are the same file as one before, and those that are gone meanwhile."""
    files: dict[tuple[int, int], Place] = {}
    for place in places:
        with contextlib.suppress(OSError):
            if place.path:
                files.setdefault(_identity(place.path), place)
    return list(files.values())


def _is_regular(file: Path) -> bool:
    return stat.S_ISREG(file.stat().st_mode)


def _identity(file: Path) -> tuple[int, int]:
    status = file.stat()
    return status.st_dev, status.st_ino
