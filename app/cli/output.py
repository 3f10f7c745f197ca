"""Prints what a command has to say: harmless to a terminal, and encoded as far as the output can."""

from __future__ import annotations

import sys

from gpumon.app.errors import GpumonError
from gpumon.text.safe import escaped_json, printable, well_formed


def print_text(text: str, what: str) -> None:
    """Write ``text`` to stdout; ``what`` names it in errors.

    Control characters are shown, and what the output cannot encode is a question mark.

    Raises:
        GpumonError: stdout is closed, or full.
    """
    _write(text_bytes(text).decode(_encoding()), what)


def text_bytes(text: str) -> bytes:
    """Return ``text`` for stdout, made harmless as ``print_text`` does."""
    return printable(text).encode(_encoding(), "replace")


def print_json(document: object, what: str) -> None:
    """Write a document as indented JSON; characters that are not plainly visible are escaped.

    Raises:
        GpumonError: stdout is closed, or full.
    """
    import msgspec

    text = escaped_json(msgspec.json.format(_encoded(document), indent=2).decode(), _encoding())
    _write(f"{text}\n", what)


def json_line(document: object) -> bytes:
    """Return a document as one line of JSON for stdout, escaped as ``print_json`` does."""
    encoding = _encoding()
    return f"{escaped_json(_encoded(document).decode(), encoding)}\n".encode(encoding)


def is_unicode() -> bool:
    """Return whether stdout can encode block characters."""
    try:
        "█░".encode(_encoding())
    except UnicodeEncodeError:
        return False
    return True


def _encoded(document: object) -> bytes:
    import msgspec

    try:
        return msgspec.json.encode(document)
    except UnicodeEncodeError:  # half a character, in the name of a process or a file
        return msgspec.json.encode(well_formed(msgspec.to_builtins(document)))


def _encoding() -> str:
    return getattr(sys.stdout, "encoding", None) or "utf-8"


def _write(text: str, what: str) -> None:
    if sys.stdout is None:
        raise GpumonError("there is no standard output to write to")
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise GpumonError(f"cannot write the {what}: {str(error.strerror).lower()}") from None
