"""Every kind of server, and set-ups around one, with faults that are made before it.

``python -m tests.faults.kinds`` runs all kinds in one process, side by side, each with a session, a ``/proc``
and a server of its own, without a screen. A gate stands before each server: it lets everything through, or
answers in its place.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import ctypes
import json
import os
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.fakes.http import HTML_TYPE, Answer, Listening, as_json, read_request
from tests.fakes.llama_server.server import FakeLlamaServer
from tests.fakes.nvml.driver import GIB, FakeDriver
from tests.fakes.ollama.catalog import BLOBS
from tests.fakes.ollama.server import FakeOllama
from tests.fakes.processes.secluded import hide_hardware
from tests.fakes.processes.tree import FakeProc
from tests.faults.columns import KINDS, MODEL, Kind
from tests.faults.hurry import hurry

from gpumon.app.config.settings import HistorySettings, LearnSettings, ServerSettings, Settings
from gpumon.app.session.build import live_session
from gpumon.app.session.session import Session
from gpumon.app.snapshot.build import build_snapshot
from gpumon.app.snapshot.schema import ModelEntry, Snapshot, SourceEntry
from gpumon.collectors.processes.proc import Proc
from gpumon.collectors.samples import AnySample, ServerSample, WorkSample
from gpumon.collectors.servers import conversation, llama_swap, picture_talk
from gpumon.collectors.servers.lm_studio import conversation as lm_studio
from gpumon.collectors.servers.localai import conversation as localai

DEADLINE_SECONDS = 20.0
AT_ONCE = 6
"""Columns: each is a whole session, and all share one process."""
INTERVAL_SECONDS = 0.2
ANSWERS_TO_RECOVER = 4
"""One may have been under way, and one have met the closed port; the kind is asked for before its models."""
SERVER_PID, RUNNER_PID, SERVICE = 3_999_001, 3_999_002, 998


class Gate(Listening):
    """Stands before a server."""

    def __init__(self, behind: Listening) -> None:
        super().__init__()
        self._behind = behind
        self._answer: Answer | None = None
        self._hangs = False

    async def become(
        self, answer: Answer | None = None, *, hangs: bool = False, listens: bool = True
    ) -> None:
        """Drop every connection, and be so from now on."""
        await self.refuse()
        self._answer, self._hangs = answer, hangs
        if listens:
            await self.listen()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._answer is None and not self._hangs:
            await self._behind._serve(reader, writer)
            return
        with contextlib.suppress(ValueError, ConnectionError):
            while await read_request(reader):
                if self._answer is None:
                    await reader.read()
                    break
                writer.write(self._answer.encoded())
                await writer.drain()
        writer.close()


WRONG: Any = {
    "models": "x",
    "slots": 5,
    "data": {},
    "running": "x",
    "result": 5,
    "value": [],
    "version": 7,
    "status": [[]],
    "idle": "no",
    "role": -1,
}
PAGE = "<html><body>hello</body></html>"


@dataclass(frozen=True)
class Fault:
    """What the gate does, and what the server may then truly be said to be."""

    begin: Callable[[Gate], Any]
    states: frozenset[str]


FAULTS: dict[str, Fault] = {
    "refused": Fault(lambda gate: gate.become(listens=False), frozenset({"not_running"})),
    "hang": Fault(lambda gate: gate.become(hangs=True), frozenset({"hanging"})),
    "500 with HTML": Fault(
        lambda gate: gate.become(Answer(500, PAGE.encode(), HTML_TYPE)), frozenset({"failing"})
    ),
    "wrong types": Fault(
        lambda gate: gate.become(as_json(WRONG)), frozenset({"nonsense", "foreign", "failing", "idle"})
    ),
    "other software": Fault(
        lambda gate: gate.become(Answer(200, PAGE.encode(), HTML_TYPE)), frozenset({"foreign"})
    ),
    "restart": Fault(lambda gate: gate.become(), frozenset({"serving"})),
}


# --- The processes of a column

ROOT: contextvars.ContextVar[Path] = contextvars.ContextVar("root")
"""Where the column that is running has its ``/proc``."""


def apart() -> None:
    """Let each column see processes of its own; what a plain user may not read is refused."""
    begin, environment, descriptors, link = Proc.__init__, Proc.environment, Proc.descriptors, Proc.link

    def init(proc: Proc, root: Path | None = None) -> None:
        begin(proc, ROOT.get())

    def refused(proc: Proc) -> bool:
        return (proc.root / "closed").exists()

    def closed(read: Callable[..., Any]) -> Callable[..., Any]:
        def reads(proc: Proc, pid: int | str, *more: object) -> object:
            if refused(proc) and pid in {SERVER_PID, RUNNER_PID}:
                raise PermissionError(13, "Permission denied")
            return read(proc, pid, *more)

        return reads

    seen: Any = Proc
    seen.__init__ = init
    seen.environment, seen.descriptors, seen.link = closed(environment), closed(descriptors), closed(link)


def populate(tree: FakeProc, kind: Kind, port: int, runner_port: int, blob: str) -> None:
    """Run the server's process and that of its model, as somebody else's."""
    if kind.process is None:
        return
    contained = kind.process == "contained"
    inner = {SERVER_PID: (1,), RUNNER_PID: (7,)} if contained else {}
    lines = {
        SERVER_PID: ("ollama", "serve"),
        RUNNER_PID: ("llama-server", "--model", f"{BLOBS}/{blob}", "--port", str(runner_port)),
    }
    for pid, argv in lines.items():
        parent = SERVER_PID if pid == RUNNER_PID else 1
        tree.add(pid, argv, parent, user_id=SERVICE, namespace_pids=inner.get(pid, ()))
        tree.link(pid, "ns/net", "net:[2]" if contained else "net:[1]")
        tree.link(pid, "ns/pid", "pid:[2]" if contained else "pid:[1]")
        listens = f"0: 0100007F:{port:04X} 00000000:0000 0A 0:0 0:0 0 {SERVICE} 0 77"
        tree.write(pid, "net/tcp", f"title\n{listens if not contained else ''}\n".encode())
    if kind.process == "closed":
        (tree.root / "closed").touch()


# --- One column


class Column:
    """A session and what it is asked about."""

    def __init__(self, kind: Kind, gate: Gate, second: FakeOllama, session: Session) -> None:
        self.kind, self.gate, self.second, self.session = kind, gate, second, session
        self.answers: Counter[str] = Counter()
        self._first_well: int | None = None
        """At which of its answers the server was well first, since the fault ended."""
        self._changed = asyncio.Event()
        session.monitor.listen(self._take)

    @property
    def snapshot(self) -> Snapshot:
        return build_snapshot(self.session.monitor.pictures)

    def _take(self, sample: AnySample) -> None:
        self.answers[sample.source] += not isinstance(sample, WorkSample)
        if self._first_well is None and _is_serving(sample, self.gate.url):
            self._first_well = self.answers[sample.source]
        self._changed.set()

    async def until(self, holds: Callable[[], bool], what: str) -> None:
        """Wait until something holds; raise ``AssertionError`` if it never does."""
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                while not holds():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            sources = [f"{one.name} {one.state} ({one.detail})" for one in self.snapshot.sources]
            models = [(one.name, one.url, one.runner and one.runner.pid) for one in self.snapshot.models]
            raise AssertionError(f"never {what}: {sources}, {models}") from None

    def source(self, url: str) -> SourceEntry | None:
        return next((one for one in self.snapshot.sources if one.name == url), None)

    def models(self, url: str) -> list[ModelEntry]:
        return [one for one in self.snapshot.models if one.url == url]

    def is_well(self) -> bool:
        source, models = self.source(self.gate.url), self.models(self.gate.url)
        named = [one.name for one in models] == [self.kind.name]
        return named and source is not None and source.state == "serving" and self._is_joined(models[0])

    def _is_joined(self, model: ModelEntry) -> bool:
        """Whether its process is the one that there is, and it is asked or said why not."""
        if self.kind.process is None:
            return model.runner is None
        runner = next(iter(self.session.monitor.state.runners.values()), None)
        answer = runner.answer if runner else None
        told = "unreachable" if self.kind.process == "contained" else "ready"
        return model.runner is not None and answer is not None and answer.state == told

    def is_shown(self, fault: Fault) -> bool:
        """Whether the truth is told: the state, no model that there is not, the neighbour as it was."""
        source = self.source(self.gate.url)
        names = {one.name for one in self.models(self.gate.url)}
        return source is not None and source.state in fault.states and names <= {self.kind.name}

    def neighbour_is_well(self) -> bool:
        source, models = self.source(self.second.url), self.models(self.second.url)
        if not self.kind.second:
            return True
        return source is not None and source.state == "serving" and [one.name for one in models] == ["gemma3"]

    async def cell(self, fault: Fault) -> None:
        """Make a fault and end it; raise ``AssertionError`` where something is not as it must be."""
        await self.until(lambda: self.is_well() and self.neighbour_is_well(), "well at first")
        await fault.begin(self.gate)
        await self.until(lambda: self.is_shown(fault), "shown as it is")
        await self._others_go_on()
        await self.until(lambda: self.is_shown(fault), "still shown as it is")
        await self.gate.become()
        self._first_well, before = None, self.answers[self.gate.url]
        await self.until(self.is_well, "well again")
        polls = (self._first_well or 0) - before
        assert polls <= ANSWERS_TO_RECOVER, f"recovered after {polls} answers"

    async def _others_go_on(self) -> None:
        live = ["system", *([self.second.url] if self.kind.second else [])]
        before = self.answers.copy()
        await self.until(lambda: all(self.answers[one] > before[one] for one in live), f"live: {live}")
        await self.until(self.neighbour_is_well, "the neighbour as it was")


def _is_serving(sample: AnySample, url: str) -> bool:
    if not isinstance(sample, ServerSample) or sample.source != url:
        return False
    return sample.health.state == "serving" and bool(sample.models)


@contextlib.asynccontextmanager
async def column(kind: Kind, folder: Path, driver: FakeDriver) -> AsyncIterator[Column]:
    """Run one session against one kind for the time of the context."""
    behind, second, runner = kind.serve(), FakeOllama(), FakeLlamaServer()
    second.catalog.load("gemma3")
    tree = FakeProc(folder)
    ROOT.set(folder)
    async with Gate(behind) as gate, second, runner:
        blob = behind.catalog.installed[MODEL].blob if isinstance(behind, FakeOllama) else ""
        populate(tree, kind, gate.port, runner.port, blob)
        settings = Settings(
            urls=(gate.url, second.url) if kind.second else (gate.url,),
            interval_seconds=INTERVAL_SECONDS,
            learn=LearnSettings(enabled=False),
            history=HistorySettings(enabled=False),
            servers=ServerSettings(find=False),
        )
        session = live_session(settings)
        running = asyncio.create_task(session.feed.run(session.monitor))
        yield Column(kind, gate, second, session)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await session.close()


async def run_column(name: str, faults: Sequence[str], folder: Path, driver: FakeDriver) -> None:
    """Run the cells of one kind and print what came of each."""
    async with column(KINDS[name], folder, driver) as one:
        for fault in faults:
            problem: str | None = None
            try:
                await one.cell(FAULTS[fault])
            except AssertionError as failed:
                problem = str(failed)
                await one.gate.become()
            line = {"driver": name, "server": fault, "problem": problem}
            print(json.dumps(line), file=sys.__stdout__, flush=True)


def faults_of(name: str, *, every: bool) -> tuple[str, ...]:
    """Return all faults, or every other one: a chequerboard."""
    at = tuple(KINDS).index(name)
    return tuple(fault for number, fault in enumerate(FAULTS) if every or (number + at) % 2 == 0)


async def run_all(folder: Path, driver: FakeDriver, *, every: bool) -> None:
    """Run all columns, some side by side."""
    places = asyncio.Semaphore(AT_ONCE)

    async def run(name: str, faults: Sequence[str], folder: Path) -> None:
        async with places:
            await run_column(name, faults, folder, driver)

    async with asyncio.TaskGroup() as group:
        for number, name in enumerate(KINDS):
            faults = faults_of(name, every=every)
            group.create_task(run(name, faults, folder / str(number)))


def main(*words: str) -> None:
    """Run every cell, or with ``half`` every other one."""
    hurry()
    conversation.FAILURE_CAP_SECONDS = INTERVAL_SECONDS
    llama_swap.STEADY_SECONDS = localai.STEADY_SECONDS = INTERVAL_SECONDS
    lm_studio.LOADED_SECONDS = lm_studio.IDLE_SECONDS = INTERVAL_SECONDS
    picture_talk.RESTING_SECONDS = INTERVAL_SECONDS
    apart()
    hide_hardware()
    with tempfile.TemporaryDirectory() as folder, FakeDriver(Path(folder, "state"), 1) as driver:
        ctypes.CDLL(str(driver.library))
        os.environ["FAKE_NVML_STATE"] = str(driver.path)
        driver.run(0, RUNNER_PID, 5 * GIB)
        asyncio.run(run_all(Path(folder), driver, every="half" not in words))


if __name__ == "__main__":
    main(*sys.argv[1:])
