"""The source ``processes``: servers, runners and who else is on a GPU."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from gpumon.collectors.processes.details import RunnerReader
from gpumon.collectors.processes.finder import Finder
from gpumon.collectors.processes.holders import HolderReader
from gpumon.collectors.processes.manifests import ModelNames
from gpumon.collectors.processes.model_files import ModelFiles, Wanted, nothing_wanted, undescribed
from gpumon.collectors.processes.owners import Users
from gpumon.collectors.processes.proc import Proc, reason
from gpumon.collectors.processes.published import Publications
from gpumon.collectors.processes.server_details import ServerReader
from gpumon.collectors.samples import BlobNames, FileFacts, ProcessSample, RunnerProcess, SourceHealth
from gpumon.collectors.source import Clock
from gpumon.collectors.worker import Worker

IDLE_SECONDS = 5.0


class ProcessSource:
    """Looks at processes in a thread of its own.

    ``gpu_pids`` returns the PIDs that the driver reported last; it is called on the event loop and must not
    block, as is ``wanted``: the processes of servers that have not described what these hold. ``proc`` is
    where /proc is mounted.
    """

    name = "processes"

    def __init__(
        self,
        clock: Clock,
        gpu_pids: Callable[[], frozenset[int]],
        proc: Path = Path("/proc"),
        wanted: Wanted = nothing_wanted,
    ) -> None:
        self._clock = clock
        self._gpu_pids = gpu_pids
        self._proc = reader = Proc(proc)
        users = Users()
        self._finder = Finder(reader)
        publications = Publications(reader)
        self._runners = RunnerReader(reader, users, publications=publications)
        self._servers = ServerReader(reader, users, publications)
        self._holders = HolderReader(reader)
        self._names = ModelNames(clock)
        self._files, self._wanted = ModelFiles(clock, reader), wanted
        self._worker = Worker("processes")
        self._has_servers = False

    async def poll(self) -> Sequence[ProcessSample | BlobNames | FileFacts]:
        """Look once; names of blobs, and what files hold, come along in the poll after they were read."""
        gpu_pids = self._gpu_pids()
        sample = await self._worker.run(lambda: self._look(gpu_pids))
        if sample.servers is None:
            return [sample]
        self._has_servers = bool(sample.servers or sample.runners)
        paths = (server.models_path for server in sample.servers)
        names = self._names.collect(path for path in paths if path)
        files = self._files.collect([*undescribed(sample.runners or ()), *self._wanted()])
        return [sample, *names, *files]

    def delay(self, interval: float) -> float:
        """Return the interval; longer while there is no server that could start a load and no GPU process."""
        return interval if self._has_servers or self._gpu_pids() else max(interval, IDLE_SECONDS)

    async def close(self) -> None:
        """End all threads after what they are in."""
        self._names.close()
        self._files.close()
        self._worker.close()

    def _look(self, gpu_pids: frozenset[int]) -> ProcessSample:
        now = self._clock.now()
        if not self._proc.is_mounted():
            return self._nothing(now, _NOT_MOUNTED if self._proc.root.is_dir() else _NO_PROC)
        try:
            found = self._finder.look(gpu_pids, now)
            runners = self._runners.read(found.runners, now)
            servers = self._servers.read(found.servers, found.runners, now)
            holders = self._holders.read(gpu_pids - _pids_of(runners), now)
        except (OSError, ValueError) as error:
            return self._nothing(now, _health_of(error))
        is_idle = not (servers or runners or holders)
        health = SourceHealth(state="idle" if is_idle else "serving")
        return ProcessSample(
            time=now, source=self.name, health=health, servers=servers, runners=runners, holders=holders
        )

    def _nothing(self, now: float, health: SourceHealth) -> ProcessSample:
        return ProcessSample(
            time=now, source=self.name, health=health, servers=None, runners=None, holders=None
        )


def _pids_of(runners: Sequence[RunnerProcess]) -> set[int]:
    return {pid for runner in runners for pid in (runner.pid, *(worker for worker, _ in runner.workers))}


_NO_PROC = SourceHealth(state="absent", detail="no /proc here", hint="processes are read on Linux only")
_NOT_MOUNTED = SourceHealth(
    state="absent", detail="/proc is not mounted", hint="mount it: mount -t proc proc /proc"
)


def _health_of(error: OSError | ValueError) -> SourceHealth:
    """Return what is wrong with /proc as a whole; single processes fail on their own."""
    if isinstance(error, FileNotFoundError):
        return _NO_PROC
    if isinstance(error, PermissionError):
        return SourceHealth(state="forbidden", detail="/proc: permission denied")
    words = reason(error) if isinstance(error, OSError) else str(error)
    return SourceHealth(state="failing", detail=f"/proc: {words}")
