"""Reads a few fields of a JSON object as its bytes come by, and keeps nothing else of it.

Neither the length of the document nor that of a string in it matters: what is not wanted is not held.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec
from msgspec import Struct, field

ITEM = b'"'
"""Stands for any element of a list, ``choices[].text``: no name in a document is a bare quotation mark."""
LONGEST_VALUE = 512
"""A longer value counts as not there."""
PRESENT = b"1"
"""The value of a private field that is not empty: its content is not kept."""

_STRING_REST = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL)
_SYMBOL = re.compile(rb'["{}\[\],:]')
_SYMBOL_THAT_NESTS = re.compile(rb'["{}\[\]]')
_BACKSLASH = ord("\\")


class Field(Struct):
    """A place in a document, and what is wanted below it."""

    path: str | None = None
    """Set where a text, number or literal is wanted at this very place."""
    private: bool = False
    """Only whether there is text is wanted."""
    inside: dict[bytes, Field] = field(default_factory=dict)


def wanted_fields(paths: Iterable[str], private_paths: Iterable[str] = ()) -> Field:
    """Return the tree of dotted paths: ``usage.prompt_tokens``, ``choices[].delta.content``."""
    root = Field()
    for path in paths:
        _grow(root, path).path = path
    for path in private_paths:
        leaf = _grow(root, path)
        leaf.path, leaf.private = path, True
    return root


_OBJECT: msgspec.json.Decoder[dict[str, msgspec.Raw]] = msgspec.json.Decoder(dict[str, msgspec.Raw])
_LIST: msgspec.json.Decoder[list[msgspec.Raw]] = msgspec.json.Decoder(list[msgspec.Raw])


def read_whole(wanted: Field, document: bytes) -> dict[str, bytes] | None:
    """Return what ``FieldScanner`` finds in an object that is here as a whole, several times as fast.

    ``None`` for what is no valid object.
    """
    values: dict[str, bytes] = {}
    try:
        _read_object(wanted, document, values)
    except (ValueError, RecursionError):
        return None
    return values


def _read_object(wanted: Field, document: bytes, values: dict[str, bytes]) -> None:
    for name, raw in _OBJECT.decode(document).items():
        here = wanted.inside.get(name.encode("utf-8", "replace"))
        if here is not None:
            _read_value(here, bytes(raw), values)


def _read_value(here: Field, raw: bytes, values: dict[str, bytes]) -> None:
    first = raw[:1]
    if first == b"{":
        if here.inside:
            _read_object(here, raw, values)
    elif first == b"[":
        if (item := here.inside.get(ITEM)) is not None:
            for element in _LIST.decode(raw):
                _read_value(item, bytes(element), values)
    elif here.path is not None:
        text = raw[1:-1] if first == b'"' else raw
        if not here.private:
            if len(text) <= LONGEST_VALUE:
                values[here.path] = text
        elif first == b'"':
            _note_private(values, here.path, text)


def _note_private(values: dict[str, bytes], path: str, text: bytes) -> None:
    """Note whether there is something; of the elements of a list one is enough."""
    if text:
        values[path] = PRESENT
    elif "[]" in path:
        values.setdefault(path, b"")
    else:
        values[path] = b""


def _grow(root: Field, path: str) -> Field:
    place = root
    for step in path.replace("[]", ".[]").split("."):
        place = place.inside.setdefault(ITEM if step == "[]" else step.encode(), Field())
    return place


class FieldScanner:
    """Scans one document; ``values`` holds what was found so far, raw: texts as they are escaped."""

    def __init__(self, wanted: Field) -> None:
        self.values: dict[str, bytes] = {}
        self._open: list[tuple[Field, bool]] = []
        """The containers around this place that hold something wanted, and whether each is an object."""
        self._skipped = 0
        """How deep this place is inside a container that holds nothing wanted."""
        self._here: Field | None = wanted
        """What is wanted of the value at this place."""
        self._at_value = True
        self._in_string = False
        self._escaped = False
        """The last bytes ended between a backslash and what it escapes."""
        self._room = 0
        self._text = bytearray()
        self._ended = False

    def feed(self, data: bytes) -> None:
        """Take in the next bytes."""
        at = 0
        while at < len(data) and not self._ended:
            at = self._in_text(data, at) if self._in_string else self._between(data, at)

    def _in_text(self, data: bytes, at: int) -> int:
        if self._escaped:
            self._escaped = False
            self._keep(data, at, at + 1)
            return at + 1
        match = _STRING_REST.match(data, at)
        end = match.end() if match else at
        self._keep(data, at, end)
        if end == len(data):
            return end
        if data[end] == _BACKSLASH:
            self._keep(data, end, end + 1)
            self._escaped = True
        else:
            self._in_string = False
            self._end_text()
        return end + 1

    def _between(self, data: bytes, at: int) -> int:
        symbol = (_SYMBOL_THAT_NESTS if self._skipped else _SYMBOL).search(data, at)
        end = symbol.start() if symbol else len(data)
        if not self._skipped:
            self._keep(data, at, end)
        if symbol is None:
            return end
        self._take_symbol(symbol[0])
        return end + 1

    def _keep(self, data: bytes, start: int, end: int) -> None:
        if len(self._text) < self._room:
            self._text += data[start : min(end, start + self._room - len(self._text))]

    def _take_symbol(self, symbol: bytes) -> None:
        if symbol == b'"':
            self._begin_text()
        elif symbol in b"{[":
            self._go_in(is_object=symbol == b"{")
        elif symbol in b"}]":
            self._go_out()
        elif symbol == b":":
            self._expect(self._here)
        else:
            self._next()

    def _begin_text(self) -> None:
        self._in_string = True
        self._text.clear()
        if self._skipped:
            self._room = 0
        elif not self._at_value:
            self._room = LONGEST_VALUE
        else:
            self._room = _room(self._here)

    def _end_text(self) -> None:
        if self._skipped:
            return
        if self._at_value:
            self._note(bytes(self._text))
            self._here, self._room = None, 0
        else:
            self._here = self._open[-1][0].inside.get(bytes(self._text)) if self._open else None

    def _note(self, text: bytes) -> None:
        if self._here is None or self._here.path is None:
            return
        if self._here.private:
            _note_private(self.values, self._here.path, text)
        elif len(text) <= LONGEST_VALUE:
            self.values[self._here.path] = text

    def _end_scalar(self) -> None:
        """Note a number or literal, if one stands before this symbol."""
        text = bytes(self._text).strip()
        if self._at_value and text and self._here is not None and not self._here.private:
            self._note(text)

    def _expect(self, wanted: Field | None) -> None:
        """Make ready for a value."""
        self._at_value, self._here, self._room = True, wanted, _room(wanted)
        self._text.clear()

    def _go_in(self, *, is_object: bool) -> None:
        here = self._here if self._at_value and not self._skipped else None
        inside = here if here is None or is_object else here.inside.get(ITEM)
        if here is None or inside is None:
            self._skipped += 1
            return
        self._open.append((here, is_object))
        self._expect(inside)
        self._at_value = not is_object

    def _go_out(self) -> None:
        if self._skipped:
            self._skipped -= 1
        else:
            self._end_scalar()
            if self._open:
                self._open.pop()
        self._here, self._room = None, 0
        self._ended = not self._open and not self._skipped

    def _next(self) -> None:
        self._end_scalar()
        if self._open and not self._open[-1][1]:
            self._expect(self._open[-1][0].inside.get(ITEM))
        else:
            self._here, self._at_value, self._room = None, False, 0


def _room(wanted: Field | None) -> int:
    """Return how many bytes of a value to hold: one more than is taken shows that it is too long."""
    if wanted is None or wanted.path is None:
        return 0
    return 1 if wanted.private else LONGEST_VALUE + 1
