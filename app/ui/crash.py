"""What is kept of a defect: a report in a file, one line on the terminal."""

from __future__ import annotations

import traceback
from pathlib import Path

from platformdirs import user_state_path


def write_crash_report(error: Exception, folder: Path | None = None) -> str:
    """Write the traceback of ``error`` to a file and return one line that says where it is."""
    path = (folder or user_state_path("gpumon")) / "crash.txt"
    problem = f"internal error ({type(error).__name__})"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(traceback.format_exception(error)), encoding="utf-8")
    except OSError:
        return f"{problem}; no report could be written to {path}"
    return f"{problem}; please report it with {path}"
