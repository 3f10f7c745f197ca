"""The faults of a server in the matrix: how each begins and ends, and what is then true."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from tests.fakes.http import Answer
from tests.fakes.ollama.catalog import FakeModel
from tests.fakes.ollama.misbehaviour import html
from tests.fakes.ollama.server import ANY_PATH, FakeOllama
from tests.faults.hurry import INTERVAL_SECONDS

from gpumon.app.snapshot.schema import Snapshot, SourceEntry

MODEL = "qwen3:8b"

Change = Callable[[FakeOllama], Awaitable[None]]


@dataclass(frozen=True)
class ServerFault:
    """One column of the matrix."""

    begin: Change
    end: Change
    states: frozenset[str]
    """What the server may truly be said to be while it lasts; healthy states are for what is no fault."""
    words: tuple[str, ...]
    """What the screen says of it."""
    models: int | None = None
    """How many models there then are; ``None`` where nothing is known."""
    version: str | None = None
    """The version that is then known; ``None`` where it does not matter."""
    interval_seconds: float = INTERVAL_SECONDS


def server_of(snapshot: Snapshot) -> SourceEntry | None:
    """Return the entry of the server."""
    return next((one for one in snapshot.sources if one.name.startswith("http")), None)


def shown(fault: ServerFault, snapshot: Snapshot, url: str) -> bool:
    """Tell whether the snapshot tells the truth about the server."""
    server = server_of(snapshot)
    loaded = [model for model in snapshot.models if model.url == url]
    told = server is not None and server.state in fault.states
    return told and (fault.models is None or len(loaded) == fault.models)


async def behave(ollama: FakeOllama) -> None:
    """Let the server be as it should be, with one model loaded."""
    ollama.behave()
    ollama.catalog.clear()
    ollama.catalog.load(MODEL)
    if ollama._server is None:
        await ollama.listen()


def misbehaves(*wrong: str | Answer, state: str, words: str, path: str = "/api/ps") -> ServerFault:
    """Return the fault of a path that is answered wrongly."""

    async def begin(ollama: FakeOllama) -> None:
        ollama.misbehave(path, wrong[0])

    return ServerFault(begin, behave, frozenset({state}), (words,))


async def _refuse(ollama: FakeOllama) -> None:
    await ollama.refuse()


class _FullBacklog:
    """Takes the server's port and lets nobody in: the kernel drops attempts to connect."""

    def __init__(self) -> None:
        self._sockets: list[socket.socket] = []

    async def begin(self, ollama: FakeOllama) -> None:
        await ollama.refuse()
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", ollama.port))
        listener.listen(0)
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        self._sockets = [*fillers, listener]

    async def end(self, ollama: FakeOllama) -> None:
        while self._sockets:
            self._sockets.pop().close()
        await behave(ollama)


async def _thousand(ollama: FakeOllama) -> None:
    for number in range(999):
        ollama.catalog.load(f"model-{number:03}:8b")


def _wrong_rows() -> list[dict[str, Any]]:
    """Return a row of ``/api/ps`` for each field and each wrong type of it, and one without the field."""
    row = FakeModel("wrong:8b").ps_row()
    wrongs: list[Any] = [None, True, -1, 1.5, "", "x", [], {}, [[]], {"a": 1}, 10**30]
    rows = [row | {name: wrong} for name in row for wrong in wrongs]
    return rows + [{key: row[key] for key in row if key != name} for name in row] + wrongs[2:]


async def _wrong_types(ollama: FakeOllama) -> None:
    ollama.catalog.raw_ps_rows[:] = _wrong_rows()


async def _restart(ollama: FakeOllama) -> None:
    await ollama.refuse()
    ollama.catalog.loaded.clear()
    await ollama.listen()


async def _update(ollama: FakeOllama) -> None:
    await _restart(ollama)
    ollama.version = "0.34.1"
    ollama.catalog.load(MODEL)


async def _downdate(ollama: FakeOllama) -> None:
    ollama.version = "0.33.0"


_BACKLOG = _FullBacklog()
HANGS = ("hanging", "not answering")
SERVING, STOPPED = frozenset({"serving"}), frozenset({"not_running"})

ABSENT = "absent since the start"

SERVER_FAULTS: dict[str, ServerFault] = {
    "well": ServerFault(behave, behave, SERVING, (MODEL,), models=1),
    ABSENT: ServerFault(_refuse, behave, STOPPED, ("not running", "connection refused")),
    "refused: it stops": ServerFault(_refuse, behave, STOPPED, ("connection refused",)),
    "hang at connect": ServerFault(_BACKLOG.begin, _BACKLOG.end, frozenset({"hanging"}), ("not answering",)),
    "hang before the headers": misbehaves("hang", state="hanging", words="not answering", path=ANY_PATH),
    "hang in the body": misbehaves("hang_body", state="hanging", words="not answering", path=ANY_PATH),
    "busy: only /api/ps hangs": misbehaves("hang", state="hanging", words="busy"),
    "drip": misbehaves("drip", state="hanging", words="not answering", path=ANY_PATH),
    "reset in the body": misbehaves("reset", state="failing", words="closed the connection"),
    "1 GB body": misbehaves("huge_body", state="nonsense", words="too large"),
    "header without end": misbehaves("huge_header", state="foreign", words="another program"),
    "gzip bomb": misbehaves("gzip_bomb", state="nonsense", words="too large"),
    "deep JSON": misbehaves("deep_models", state="nonsense", words="understood"),
    "NaN": misbehaves("nan", state="nonsense", words="understood"),
    "huge numbers": ServerFault(
        misbehaves("huge_integer", state="", words="").begin, behave, SERVING, ("llama3:8b",), models=1
    ),
    "wrong types in each field": ServerFault(_wrong_types, behave, SERVING, (MODEL,)),
    "401 with HTML": misbehaves("unauthorized_html", state="forbidden", words="HTTP 401"),
    "403 with HTML": misbehaves("forbidden_html", state="forbidden", words="HTTP 403"),
    "404 with HTML": misbehaves(
        html(404, "Not Found"), state="foreign", words="another program", path=ANY_PATH
    ),
    "500 with HTML": misbehaves(html(500, "Internal"), state="failing", words="HTTP 500"),
    "503 with HTML": misbehaves("unavailable_html", state="failing", words="HTTP 503"),
    "redirect loop": misbehaves("redirect_loop", state="foreign", words="redirects"),
    "other software: a web page": misbehaves(
        "html_200", state="foreign", words="another program", path=ANY_PATH
    ),
    "other software: JSON": misbehaves(
        "other_json_200", state="foreign", words="another program", path=ANY_PATH
    ),
    "other software: not HTTP": misbehaves(
        "not_http", state="foreign", words="another program", path=ANY_PATH
    ),
    "restart": ServerFault(_restart, behave, frozenset({"idle"}), (), models=0),
    "version change": ServerFault(_update, _downdate, SERVING, (MODEL,), models=1, version="0.34.1"),
    "1,000 models": ServerFault(
        _thousand, behave, SERVING, ("model-000",), models=1000, interval_seconds=0.5
    ),
}
