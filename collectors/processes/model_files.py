"""What the files of processes hold that no server describes: read once for each process, beside the polls."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from gpumon.collectors.processes.owners import is_contained
from gpumon.collectors.processes.proc import Proc, reason
from gpumon.collectors.samples import FileFacts, ModelFacts, RunnerProcess, RunnerSettings
from gpumon.collectors.servers.registry import runner_named
from gpumon.collectors.source import Clock
from gpumon.collectors.worker import Errand

SOURCE = "files"


class WantedFile(NamedTuple):
    """A process whose files are to be read."""

    pid: int
    started: float
    model_path: str
    projector_path: str | None = None
    draft_path: str | None = None


def is_undescribed(kind: str, settings: RunnerSettings) -> bool:
    """Whether no server that describes its models has started a process, and its file is told."""
    known = runner_named(kind)
    is_own = settings.child_of is None and (known.stands_alone or known.reads_file)
    return is_own and settings.model_path is not None


def undescribed(runners: Iterable[RunnerProcess]) -> Iterator[WantedFile]:
    """Yield the files of the processes of which nobody else will say what they hold."""
    for one in runners:
        settings = one.settings
        if one.is_read and settings.model_path is not None:
            files = (settings.model_path, settings.projector_path, settings.draft_path)
            yield WantedFile(one.pid, one.started, *files)


Wanted = Callable[[], Iterable[WantedFile]]


def nothing_wanted() -> tuple[WantedFile, ...]:
    """Return no file."""
    return ()


class ModelFiles:
    """Reads in a thread of its own, as a disk may be far away; each process once."""

    def __init__(self, clock: Clock, proc: Proc) -> None:
        self._clock = clock
        self._proc = proc
        self._tried: set[tuple[int, float]] = set()
        self._reading: Errand[FileFacts] = Errand("model files")
        self.settle, self.close = self._reading.settle, self._reading.close

    def collect(self, wanted: Iterable[WantedFile]) -> list[FileFacts]:
        """Return what was read since the last call, and start to read what is new. Never waits."""
        samples = self._reading.outcome()
        present = {(one.pid, one.started): one for one in wanted}
        new = [one for key, one in present.items() if key not in self._tried]
        if not self._reading.is_running:
            self._tried = (self._tried & present.keys()) | {(one.pid, one.started) for one in new}
            if new:
                self._reading.start(lambda: [*map(self._read, new)])
        return samples

    def _read(self, wanted: WantedFile) -> FileFacts:
        """Read in the thread; what cannot be read is said."""
        problem, facts, size = None, None, None
        try:
            path = self._path(wanted.pid, wanted.model_path)
            facts, size = _facts_and_bytes(path)
        except OSError as error:
            problem = f"its file cannot be read: {reason(error)}"
        except ValueError as error:
            problem = f"its file cannot be read: {error}"
        return FileFacts(
            time=self._clock.now(),
            source=SOURCE,
            pid=wanted.pid,
            started=wanted.started,
            facts=facts,
            problem=problem,
            file_bytes=size,
            projector_bytes=self._bytes(wanted.pid, wanted.projector_path),
            draft=self._draft(wanted),
        )

    def _draft(self, wanted: WantedFile) -> ModelFacts | None:
        if wanted.draft_path is None:
            return None
        try:
            return _facts_and_bytes(self._path(wanted.pid, wanted.draft_path))[0]
        except (OSError, ValueError):
            return None

    def _bytes(self, pid: int, path: str | None) -> int | None:
        if path is None:
            return None
        try:
            return self._path(pid, path).stat().st_size or None
        except (OSError, ValueError):
            return None

    def _path(self, pid: int, told: str) -> Path:
        """Return where a path of a process leads from here: it may be a container's, or start at its folder.

        Raise ``OSError`` where that may not be seen.
        """
        contained = is_contained(self._proc, pid, self._status(pid))
        folder = "" if told.startswith("/") else f"{self._proc.link(pid, 'cwd')}/"
        return Path(f"{self._proc.root}/{pid}/root/{folder}{told}" if contained else f"{folder}{told}")

    def _status(self, pid: int) -> Mapping[str, str]:
        try:
            return self._proc.table(pid, "status")
        except OSError:
            return {}


def _facts_and_bytes(path: Path) -> tuple[ModelFacts, int]:
    """Return what a file holds, and the size of all its parts; raise ``ValueError`` with what is wrong."""
    from gpumon.collectors.gguf.file import GgufError, gguf_file_bytes, read_gguf  # noqa: PLC0415 - seldom

    try:
        facts = read_gguf(path)
        return _unnamed(facts), gguf_file_bytes(path)
    except GgufError as problem:
        raise ValueError(str(problem)) from None


def _unnamed(facts: ModelFacts) -> ModelFacts:
    """Return facts without path, which the settings of the process tell."""
    from msgspec.structs import replace  # noqa: PLC0415 - seldom

    return replace(facts, source=SOURCE)
