"""Printing what a command has to say."""

from __future__ import annotations

import sys

from gpumon.app.errors import GpumonError


def print_text(text: str, what: str) -> None:
    """Write ``text`` to stdout; ``what`` names it in errors.

    Raises:
        GpumonError: stdout is closed, or full.
    """
    if sys.stdout is None:
        raise GpumonError("there is no standard output to write to")
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise GpumonError(f"cannot write the {what}: {str(error.strerror).lower()}") from None


def print_json(document: object, what: str) -> None:
    """Write a document as indented JSON.

    Raises:
        GpumonError: stdout is closed, or full.
    """
    import msgspec

    print_text(f"{msgspec.json.format(msgspec.json.encode(document), indent=2).decode()}\n", what)
