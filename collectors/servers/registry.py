"""The kinds of servers: those built in, in order of recognition, and those of other packages.

Entry points of the group ``gpumon.servers`` name an instance or a subclass of ``ServerKind``. They are
looked up when they are first needed, never at import: that reads the metadata of every installed package. A
broken one costs itself only.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from gpumon.collectors.samples import SourceSilent
from gpumon.collectors.servers.by_process.kind import KNOWN_BY_PROCESS
from gpumon.collectors.servers.comfyui.kind import ComfyUiKind
from gpumon.collectors.servers.docker_model_runner import DockerModelRunnerKind
from gpumon.collectors.servers.invokeai import InvokeAiKind
from gpumon.collectors.servers.kind import RunnerKind, ServerKind
from gpumon.collectors.servers.koboldcpp import KoboldCppKind
from gpumon.collectors.servers.launchers import LAUNCHERS
from gpumon.collectors.servers.lemonade import LemonadeKind
from gpumon.collectors.servers.llama_server.kind import LlamaServerKind
from gpumon.collectors.servers.llama_swap import LlamaSwapKind
from gpumon.collectors.servers.lm_studio.kind import LmStudioKind
from gpumon.collectors.servers.localai.kind import LocalAiKind
from gpumon.collectors.servers.ollama.kind import OllamaKind
from gpumon.collectors.servers.sdapi import SdNextKind, SdWebUiKind
from gpumon.collectors.servers.sglang.kind import SglangKind
from gpumon.collectors.servers.tabbyapi.kind import TabbyApiKind
from gpumon.collectors.servers.vllm.kind import VllmKind
from gpumon.collectors.source import Clock
from gpumon.text.safe import visible

GROUP = "gpumon.servers"
PLUG_IN_PREFIX = "plug-in "
"""Begins the name of the source that says what is wrong with a kind of another package."""
FAULTS = (Exception, SystemExit)
"""What the code of other packages may raise: a ``sys.exit()`` in there must not end gpumon."""

DEFAULT = OllamaKind()
"""What is expected at a URL until it has answered."""
BUILT_IN: tuple[ServerKind, ...] = (
    DEFAULT,
    LlamaServerKind(),
    LlamaSwapKind(),
    VllmKind(),
    KoboldCppKind(),
    LemonadeKind(),
    DockerModelRunnerKind(),
    *LAUNCHERS,
    SglangKind(),
    LmStudioKind(),
    TabbyApiKind(),
    LocalAiKind(),
    ComfyUiKind(),
    SdNextKind(),
    SdWebUiKind(),
    InvokeAiKind(),
    *KNOWN_BY_PROCESS,
)


class UnknownKind(ServerKind):
    """A kind that is not installed here, drawn by its own name: of a recording that was made elsewhere."""

    has_url = False

    def __init__(self, name: str) -> None:
        self.name, self.label = name, visible(name)  # type: ignore[misc]


class Registry:
    """Knows the kinds by name. Safe to use from several threads."""

    def __init__(self, built_in: Sequence[ServerKind] = BUILT_IN) -> None:
        self._built_in = tuple(built_in)
        self._lock = threading.Lock()
        self._forget()

    def _forget(self) -> None:
        self._added: tuple[ServerKind, ...] = ()
        self._looked = False
        self._unknown: dict[str, ServerKind] = {}
        self._index()
        self.problems: dict[str, str] = {}
        """What is wrong with kinds of other packages, by name, in one line."""

    def _index(self) -> None:
        kinds = (*self._built_in, *self._added)
        self._in_order = tuple(sorted(kinds, key=lambda kind: kind.is_last_resort))
        self._with_processes = tuple(kind for kind in self._in_order if _knows_processes(kind))
        self._by_name: Mapping[str, ServerKind] = {kind.name: kind for kind in reversed(kinds)}
        self._runners: Mapping[str, tuple[RunnerKind, ServerKind]] = {
            runner.name: (runner, kind) for kind in reversed(kinds) for runner in kind.runners
        }

    def kinds(self) -> tuple[ServerKind, ...]:
        """Return all kinds, in order of recognition; looks up those of other packages the first time."""
        self._look()
        return self.known()

    def with_processes(self) -> tuple[ServerKind, ...]:
        """Return those of all kinds that recognise processes: many are asked of each, and few of these."""
        self._look()
        return self._with_processes

    def known(self) -> tuple[ServerKind, ...]:
        """Return the kinds that are there without a look at other packages; the last resorts come last."""
        return self._in_order

    def kind(self, name: str | None) -> ServerKind:
        """Return the kind of that name, a stand-in if it is not installed; the default for ``None``."""
        if name is None:
            return DEFAULT
        return self._by_name.get(name) or self._rare(name)

    def runner(self, name: str) -> RunnerKind:
        """Return the kind of process of that name; a plain one where it is not known."""
        return self._known_runner(name)[0]

    def kind_of_runner(self, name: str) -> ServerKind:
        """Return the kind of server that a kind of process belongs to."""
        return self._known_runner(name)[1]

    def add(self, kind: ServerKind) -> None:
        """Take in a kind that no entry point names; it comes last in order of recognition."""
        with self._lock:
            self._take(kind)

    def reset(self) -> None:
        """Forget all kinds that are not built in: the next question looks them up again."""
        with self._lock:
            self._forget()

    def note_problem(self, name: str, error: BaseException) -> None:
        """Note that a kind has failed; the text of ``error`` may hold what must not be shown."""
        self.problems[name] = f"internal error: {type(error).__name__}"

    def problem_samples(self, time: float) -> list[SourceSilent]:
        """Return a sample for each kind of another package that is broken."""
        return [
            SourceSilent(
                time=time, source=f"{PLUG_IN_PREFIX}{name}", seconds=0.0, state="absent", detail=words
            )
            for name, words in list(self.problems.items())
        ]

    def _known_runner(self, name: str) -> tuple[RunnerKind, ServerKind]:
        found = self._runners.get(name)
        if found is None and not self._looked:
            self._look()
            found = self._runners.get(name)
        return found or (RunnerKind(name=name), self._unknown.setdefault(name, UnknownKind(name)))

    def _rare(self, name: str) -> ServerKind:
        self._look()
        return self._by_name.get(name) or self._unknown.setdefault(name, UnknownKind(name))

    def _look(self) -> None:
        """Load the kinds of other packages, once."""
        if self._looked:
            return
        with self._lock:
            if self._is_done():
                return
            if any(map(_announces, sys.path)):
                self._load()
            self._looked = True

    def _load(self) -> None:
        from importlib.metadata import entry_points

        for entry in entry_points(group=GROUP):
            try:
                self._take(_instance(entry.load()))
            except FAULTS as error:
                self.problems[entry.name] = _words(error)

    def _is_done(self) -> bool:
        """Return whether another thread has looked meanwhile."""
        return self._looked

    def _take(self, kind: ServerKind) -> None:
        names = {known.name for known in (*self._built_in, *self._added)}
        if kind.name in names:
            raise DuplicateKindError(kind.name)
        self._added = (*self._added, kind)
        self._index()


def _knows_processes(kind: ServerKind) -> bool:
    return type(kind).recognise_process is not ServerKind.recognise_process


def _announces(folder: str) -> bool:
    """Return whether a package in a folder of ``sys.path`` may have an entry point of ours.

    It is written in a file of its own (PyPA: entry points specification). To look costs less than to import
    ``importlib.metadata``, which most never need. Of what is no folder, as a zip file, it is not known.
    """
    try:
        with os.scandir(folder or ".") as entries:
            found = [Path(entry) for entry in entries if entry.name.endswith((".dist-info", ".egg-info"))]
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return any(_mentions_us(path / "entry_points.txt") for path in found)


def _mentions_us(path: Path) -> bool:
    try:
        return GROUP in path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False


class DuplicateKindError(Exception):
    """Two kinds have one name."""


def _instance(loaded: object) -> ServerKind:
    kind = loaded() if isinstance(loaded, type) else loaded
    if not isinstance(kind, ServerKind):
        raise TypeError(GROUP)
    for attribute in ("name", "label"):
        if not isinstance(getattr(kind, attribute, None), str):
            raise TypeError(attribute)
    return kind


def _words(error: BaseException) -> str:
    match error:
        case DuplicateKindError():
            return f"there is a kind named {error} already"
        case ImportError():
            return "it cannot be imported"
        case TypeError():
            return f"it is no ServerKind of this version ({error})"
    return f"it fails when it is loaded: {type(error).__name__}"


REGISTRY = Registry()
"""The one that the program uses."""

kind_named = REGISTRY.kind
runner_named = REGISTRY.runner
kind_of_runner = REGISTRY.kind_of_runner


class PluginsSource:
    """Says what is wrong with kinds of other packages; silent where all are well."""

    name = "plug-ins"

    def __init__(self, clock: Clock, registry: Registry = REGISTRY) -> None:
        self._clock = clock
        self._registry = registry

    async def poll(self) -> Sequence[SourceSilent]:
        """Return a sample for each broken one."""
        self._registry.kinds()
        return self._registry.problem_samples(self._clock.now())

    def delay(self, interval: float) -> float:
        """Return seconds to the next look: seldom."""
        return max(interval, 10.0)

    async def close(self) -> None:
        """Nothing is held."""
