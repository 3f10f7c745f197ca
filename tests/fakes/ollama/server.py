"""A fake Ollama over real HTTP on loopback, scripted from a test or through ``POST /control``."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from typing import Any

from tests.fakes.http import Answer, Listening, Request, as_json, read_request, text
from tests.fakes.ollama.catalog import Catalog
from tests.fakes.ollama.misbehaviour import Misbehaviour, named

ANY_PATH = "*"


class FakeOllama(Listening):
    """An asynchronous context manager that listens while it is entered.

    ``misbehave("/api/ps", "hang")`` makes a path answer wrongly until ``behave()``.
    """

    def __init__(self, port: int = 0, prefix: str = "") -> None:
        super().__init__(port)
        self.catalog = Catalog()
        self.version = "0.33.0"
        self.wall_time: Callable[[], float] = time.time
        """The server's clock, shown in the ``Date`` header."""
        self.requests: list[Request] = []
        self.received = asyncio.Event()
        self.prefix = prefix
        self._wrong: dict[str, Answer | Misbehaviour] = {}

    @property
    def url(self) -> str:
        return super().url + self.prefix

    def misbehave(self, path: str, wrong: str | Answer) -> None:
        """Answer ``path`` (or ``ANY_PATH``) with a misbehaviour, by name, or with a given answer."""
        self._wrong[path] = wrong if isinstance(wrong, Answer) else named(wrong)

    def behave(self, path: str | None = None) -> None:
        """Answer ``path``, or everything, as Ollama does."""
        if path is None:
            self._wrong.clear()
        else:
            self._wrong.pop(path, None)

    def counts(self) -> Counter[str]:
        """Return the number of requests to each path."""
        return Counter(request.path for request in self.requests)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while not writer.is_closing() and (request := await read_request(reader)):
                await self._respond(request, reader, writer)
        except ValueError:
            writer.write(text(400, "400 Bad Request").encoded())
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _respond(
        self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        path = request.path
        if path == "/control":
            writer.write(self._control(request).encoded())
            return
        self.requests.append(request)
        self.received.set()
        answer = self._dated(self._answer(request))
        wrong = self._wrong.get(path, self._wrong.get(ANY_PATH))
        if callable(wrong):
            await until_left(reader, wrong(writer, answer))
        else:
            writer.write((wrong or answer).encoded())
            await writer.drain()

    def _dated(self, answer: Answer) -> Answer:
        date = formatdate(self.wall_time(), usegmt=True)
        return Answer(answer.status, answer.body, answer.content_type, answer.headers | {"Date": date})

    def _answer(self, request: Request) -> Answer:
        path = request.path.removeprefix(self.prefix)
        if request.method == "GET" and path == "/":
            return text(200, "Ollama is running")
        if request.method == "GET" and path in {"/api/ps", "/api/tags", "/api/version"}:
            return as_json(self._listing(path))
        if request.method == "POST" and path == "/api/show":
            return self._show(request.body)
        if request.method == "POST" and path == "/api/generate":
            return self._generate(request.body)
        return text(404, "404 page not found")

    def _listing(self, path: str) -> dict[str, Any]:
        if path == "/api/ps":
            return self.catalog.ps()
        return self.catalog.tags() if path == "/api/tags" else {"version": self.version}

    def _show(self, raw: bytes) -> Answer:
        name = json.loads(raw)["model"]
        model = self.catalog.installed.get(name)
        if model is None:
            return as_json({"error": f"model '{name}' not found"}, 404)
        return as_json(model.show())

    def _generate(self, raw: bytes) -> Answer:
        """Unload a model, as for a ``keep_alive`` of 0 and no prompt; nothing else is served."""
        wanted = json.loads(raw)
        name = wanted["model"]
        if name not in self.catalog.installed:
            return as_json({"error": f"model '{name}' not found"}, 404)
        if wanted.get("keep_alive") != 0 or wanted.get("prompt"):
            return as_json({"error": "the fake generates nothing"}, 501)
        self.catalog.unload(name)
        return as_json({"model": name, "response": "", "done": True, "done_reason": "unload"})

    def _control(self, request: Request) -> Answer:
        try:
            for order, value in json.loads(request.body or b"{}").items():
                self._obey(order, value)
        except (KeyError, TypeError, ValueError) as error:
            return as_json({"error": repr(error)}, 400)
        return as_json({"loaded": self.catalog.loaded, "requests": dict(self.counts())})

    def _obey(self, order: str, value: Any) -> None:  # noqa: ANN401 - JSON
        match order:
            case "install":
                self.catalog.load(**value)
                self.catalog.unload(value["name"])
            case "load":
                self.catalog.load(**value)
            case "unload":
                self.catalog.unload(value)
            case "clear":
                self.catalog.clear()
            case "version":
                self.version = str(value)
            case "clock_skew_seconds":
                self.wall_time = lambda: time.time() + float(value)
            case "raw_ps_rows":
                self.catalog.raw_ps_rows[:] = value
            case "misbehave":
                self._misbehave_all(value)
            case _:
                raise KeyError(order)

    def _misbehave_all(self, by_path: dict[str, str]) -> None:
        """Replace every misbehaviour; an empty object makes the server behave."""
        self.behave()
        for path, name in by_path.items():
            self.misbehave(path, name)


async def until_left(reader: asyncio.StreamReader, answering: Awaitable[None]) -> None:
    """Answer, and stop when the client has gone: what hangs for ever would hold the connection."""
    tasks = [asyncio.ensure_future(answering), asyncio.ensure_future(reader.read(1))]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
