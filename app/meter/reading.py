"""Reads along one exchange, without ever standing in its way."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from gpumon.app.meter.book import Book
from gpumon.app.meter.documents import Document, Documents, framing_of
from gpumon.app.meter.figures import REQUEST_WANTED, WANTED
from gpumon.app.meter.json_fields import FieldScanner
from gpumon.collectors.samples.meter import Outcome

INFERENCE_PATHS = (
    "/api/generate",
    "/api/chat",
    "/api/embed",
    "/completion",
    "/completions",
    "/infill",
    "/responses",
    "/messages",
    "/embeddings",
)
"""Ends of the paths that have a model work: Ollama's, OpenAI's, Anthropic's and llama-server's."""

Now = Callable[[], float]


def is_inference(method: str, path: str) -> bool:
    """Tell whether a request has a model work."""
    return method == "POST" and path.rstrip("/").endswith(INFERENCE_PATHS)


class Reading:
    """One request that has a model work, from its first byte to its end."""

    def __init__(self, book: Book, now: Now) -> None:
        self._book = book
        self._now = now
        self._exchange = book.begin(now())
        self._request: FieldScanner | None = FieldScanner(REQUEST_WANTED)
        self._answer: Documents | None = None
        self._over = False

    def request_piece(self, piece: bytes) -> None:
        """Take the next bytes of the request; once they have named the model, no more are looked at."""
        if self._request is None:
            return
        self._request.feed(piece)
        if self._request.values:
            self._exchange.name_model(self._request.values)
            self._request = None

    def answer_begins(self, content_type: str, content_encoding: str) -> None:
        """Take how the answer is written; what is compressed cannot be read along."""
        framing = framing_of(content_type)
        if framing is not None and content_encoding.lower() in {"", "identity"}:
            self._answer = Documents(framing, WANTED)

    def answer_piece(self, piece: bytes) -> None:
        """Take the next bytes of the answer."""
        if self._answer is not None:
            self._take(self._answer.feed(piece), streamed=self._answer.streamed)

    def end(self, outcome: Outcome) -> None:
        """Note the end; later calls say nothing new."""
        if self._over:
            return
        self._over = True
        if self._answer is not None:
            self._take(self._answer.end(), streamed=self._answer.streamed)
        self._book.end(self._exchange, outcome, self._now())

    def _take(self, documents: Iterable[Document], *, streamed: bool) -> None:
        now = self._now()
        for document in documents:
            self._exchange.take(document, now, streamed=streamed)
