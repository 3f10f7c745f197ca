"""The JSON documents in the body of an answer, as its bytes come by in pieces of any size."""

from __future__ import annotations

from typing import Literal

from gpumon.app.meter.json_fields import Field, FieldScanner

Framing = Literal[
    "lines",  # NDJSON: a document on each line
    "events",  # server-sent events: a document on each line that begins with "data:"
    "whole",  # one document
]

_FRAMINGS: dict[str, Framing] = {
    "application/x-ndjson": "lines",
    "text/event-stream": "events",
    "application/json": "whole",
}
_PREFIXES: dict[Framing, bytes] = {"lines": b"", "events": b"data:", "whole": b""}

Document = dict[str, bytes]
"""The wanted fields of one document, raw."""


def framing_of(content_type: str) -> Framing | None:
    """Return how an answer holds its documents; ``None`` where it holds none that can be read."""
    return _FRAMINGS.get(content_type.partition(";")[0].strip().lower())


class Documents:
    """Takes a body apart; holds the wanted fields of the document under way and nothing else."""

    def __init__(self, framing: Framing, wanted: Field) -> None:
        self.streamed = framing != "whole"
        """Whether the documents are pieces of an answer, sent as it is made."""
        self._prefix = _PREFIXES[framing]
        self._wanted = wanted
        self._begin()

    def feed(self, data: bytes) -> list[Document]:
        """Take the next bytes and return the documents that end in them."""
        if not self.streamed:
            self._take(data)
            return []
        *lines, rest = data.split(b"\n")
        ended = [document for line in lines if (document := self._end_line(line))]
        self._take(rest)
        return ended

    def end(self) -> list[Document]:
        """Return the document that the end of the body ends."""
        document = self._end_line(b"")
        return [document] if document else []

    def _begin(self) -> None:
        self._scanner = FieldScanner(self._wanted)
        self._awaited = self._prefix
        """What of the prefix has not come yet."""
        self._ignored = False

    def _end_line(self, rest: bytes) -> Document:
        self._take(rest)
        document = self._scanner.values
        self._begin()
        return document

    def _take(self, piece: bytes) -> None:
        head = piece[: len(self._awaited)]
        if not self._awaited.startswith(head):
            self._ignored = True
        self._awaited = self._awaited[len(head) :]
        if not self._ignored:
            self._scanner.feed(piece[len(head) :])
