"""A fake server of fixed routes: it remembers what it was asked, and may want a key."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping

from tests.fakes.http import Answer, Listening, Request, as_json, read_request

Route = Answer | Callable[[], object] | dict[str, object] | list[object]
"""An answer, what makes one now, or the JSON of one."""


class FakeRoutes(Listening):
    """Answers ``routes`` by path, with or without its query; all else is ``missing``."""

    def __init__(self, routes: Mapping[str, Route], key: str | None = None) -> None:
        super().__init__()
        self.routes: dict[str, Route] = dict(routes)
        self.key = key
        """The bearer token that it wants; ``None``: none."""
        self.open: frozenset[str] = frozenset()
        """Paths that need no key."""
        self.headers: dict[str, str] = {}
        """Of every answer."""
        self.missing: Answer = as_json({"detail": "Not Found"}, 404)
        self.unauthorized: Answer = as_json({"error": "unauthorized"}, 401)
        self.answer_all: Answer | None = None
        """In the place of every right answer."""
        self.asked: list[tuple[str, str]] = []
        """Method and path of each request, with its query."""

    @property
    def counts(self) -> Counter[tuple[str, str]]:
        return Counter(self.asked)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while request := await read_request(reader):
                self.asked.append((request.method, request.path))
                writer.write(self._with_headers(self._answer(request)).encoded())
                await writer.drain()
        except (ValueError, ConnectionError):
            pass
        finally:
            writer.close()

    def _answer(self, request: Request) -> Answer:
        path = request.path.partition("?")[0]
        wants_key = self.key is not None and path not in self.open
        if wants_key and request.headers.get("authorization") != f"Bearer {self.key}":
            return self.unauthorized
        if self.answer_all is not None:
            return self.answer_all
        route = self.routes.get(request.path, self.routes.get(path))
        if route is None:
            return self.missing
        answer = route() if callable(route) else route
        return answer if isinstance(answer, Answer) else as_json(answer)

    def _with_headers(self, answer: Answer) -> Answer:
        return Answer(answer.status, answer.body, answer.content_type, {**self.headers, **answer.headers})
