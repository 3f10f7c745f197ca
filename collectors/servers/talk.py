"""What a kind of server is handed, and what it hands back: a URL to ask, answers, a process to recognise."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

from msgspec import Struct

from gpumon.collectors.samples import KnownBy, ModelState, RunnerSettings

if TYPE_CHECKING:
    from gpumon.collectors.http.client import Reply, TimeLimits
    from gpumon.collectors.http.endpoint import Endpoint
    from gpumon.collectors.samples import AnySample, Said
    from gpumon.collectors.source import Clock

IsActive = Callable[[str], bool | None]
"""Whether the process behind a model, given by its name, seems to work; ``None`` where that cannot be
told."""


class KnownRunners(NamedTuple):
    """The processes that hold the models of a server, seen on this machine.

    Every load and unload starts or ends one (ollama: server/sched.go), so they tell when to ask.
    """

    identities: frozenset[tuple[int, float]]
    """PID and start time of each."""
    loading: bool = False
    """Whether one of them is not ready yet."""


RunnersHint = Callable[[], KnownRunners | None]
"""What is known of a server's runners; ``None`` where they cannot be seen: far away, in a container."""


BlobsHint = Callable[[], frozenset[str]]
"""The files (``sha256-<hex>``) that processes of a server hold, and of which no name is known here."""


IsBelieved = Callable[[], Awaitable[bool]]
"""Waits until kinds that imitate this one have looked into the answers of a poll; returns whether none has
recognised itself."""


class Asked(Struct, frozen=True, kw_only=True):
    """A server to ask, and what is known beside its answers."""

    endpoint: Endpoint
    clock: Clock
    limits: TimeLimits | None = None
    """Time limits of requests; ``None`` for the usual ones."""
    known_by: KnownBy = "url"
    """How gpumon came to ask it."""
    is_active: IsActive | None = None
    runners: RunnersHint | None = None
    unnamed_blobs: BlobsHint | None = None
    is_believed: IsBelieved | None = None
    """``None``: it is what it is asked as."""
    trusted: bool = False
    """Whether it was recognised by what it says, not by a header: a proxy may stand before it."""


class Answers(Protocol):
    """What a URL has answered, and a way to ask it more."""

    @property
    def seen(self) -> Mapping[str, Reply]:
        """Answers that are there already, by path."""
        ...

    def header(self, name: str) -> str | None:
        """Return a header of the latest answer, errors included."""
        ...

    async def get(self, path: str) -> Reply | None:
        """GET ``path`` once for all kinds; ``None`` where there is no answer, or none may be asked for."""
        ...


class Talk(Protocol):
    """A conversation with one server at a URL."""

    replies: dict[str, Reply]
    """Answers of the latest poll, by path."""

    async def poll(self) -> Sequence[AnySample]:
        """Ask once; the first sample is a ``ServerSample``. Failure is a sample, not an exception."""
        ...

    def delay(self, interval: float) -> float:
        """Return seconds from this poll's start to the next one, for the user's ``interval``."""
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...


class RunnerTalk(Protocol):
    """A conversation with one process that holds a model, on its own loopback port."""

    refused_state: ModelState
    """What it means that the port refuses before the first answer."""

    async def ask(self, active: bool | None, /) -> Said | None:
        """Ask what is due, and return what was said; ``None`` where nothing is due.

        ``active``: whether the process seems to work; ``None`` where that cannot be told.
        """
        ...

    def forget(self) -> None:
        """Start from the beginning."""
        ...

    async def close(self) -> None:
        """Close connections of its own; those of the port are closed by whoever has opened it."""
        ...


def holds_nothing(path: str) -> bool:
    """Return that a file is not seen."""
    del path
    return False


def _not_known() -> None:
    """Return nothing."""


class ProcessView(Struct, frozen=True):
    """A process to recognise."""

    argv: Sequence[str]
    """Its command line. Keys may be in there: keep nothing but settings."""
    environ: Callable[[], Mapping[str, str]]
    """Returns the variables that its kind lists; none where they may not be read. Each call reads
    ``/proc``."""
    on_gpu: bool = False
    """Whether the driver lists it."""
    directory: Callable[[], str | None] = _not_known
    """Returns its working directory; ``None`` where it may not be read."""
    model_files: Callable[[], Sequence[str]] = tuple
    """Returns the files of models that it has open or mapped, the largest first; none where these may not
    be seen. It costs more than the rest: ask where nothing else tells, and of a process on a GPU only."""
    ports: Callable[[], Sequence[int]] = tuple
    """Returns the TCP ports on which it listens, as far as they may be seen."""
    holds: Callable[[str], bool] = holds_nothing
    """Returns whether a file or folder is seen by its path in its folder, or below its own root."""


class FoundServer(Struct, frozen=True):
    """A process that starts runners: it serves models itself, or stands before those that do."""

    kind: str
    """Name of its ``ServerKind``."""


class FoundRunner(Struct, frozen=True):
    """A process that holds one model."""

    kind: str
    """Name of its ``RunnerKind``."""
    settings: RunnerSettings
    is_settled: bool = True
    """Whether they stay so while it runs; else it is looked at again from time to time."""
