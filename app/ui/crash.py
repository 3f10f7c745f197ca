"""What is kept of a defect: a report in a file, one line on the terminal."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from pathlib import Path

from platformdirs import user_state_path


def write_crash_report(error: Exception, folder: Path | None = None) -> str:
    """Write where ``error`` came from to a file and return one line that says where that is.

    Of each exception it holds the type and the lines of code, not its text: that may be a header or a name.
    """
    path = (folder or user_state_path("gpumon")) / "crash.txt"
    problem = f"internal error ({type(error).__name__})"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(_lines(error)), encoding="utf-8")
    except OSError:
        return f"{problem}; no report could be written to {path}"
    return f"{problem}; please report it with {path}"


def _lines(error: BaseException) -> Iterator[str]:
    """Yield the report, the cause of each exception before it."""
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if before is not None:
        yield from _lines(before)
        yield "\nwhich led to\n\n"
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _lines(inner)
            yield "\nin a group\n\n"
    yield from traceback.format_tb(error.__traceback__)
    yield f"{type(error).__module__}.{type(error).__qualname__}\n"
