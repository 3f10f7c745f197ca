"""What was charted last and for how long, kept for the next run beside what is learned.

Settings are what somebody has written down; this is what a key has changed, and of that no more than this: a
filter, an order or a panel that is hidden belongs to the moment. It is read and written by a live dashboard
alone. A file that is not there, or cannot be read or understood, is none; one that cannot be written costs
nothing but the memory of it.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from gpumon.app.log import make_private_folder, open_private, state_folder

if TYPE_CHECKING:
    from gpumon.app.session.session import Choices, Session

MOST_BYTES = 4096
"""A larger file is none of ours."""


class Chosen(msgspec.Struct, frozen=True):
    """The part of the choices that outlives a run."""

    chart: str = ""
    window: int = 0


def chosen_path() -> Path:
    """Return ``screen.json`` in the state directory."""
    return state_folder() / "screen.json"


def restore(session: Session, path: Path | None = None) -> Chosen:
    """Choose what was chosen last, where the session is live; return what is chosen now."""
    if session.cadence is not None:
        _take(session.choices, _read(path or chosen_path()))
    return _of(session.choices)


def keep(session: Session, before: Chosen, path: Path | None = None) -> None:
    """Keep what is chosen for the next run, where that is another than ``before``."""
    chosen = _of(session.choices)
    if session.cadence is None or chosen == before:
        return
    kept_at = path or chosen_path()
    with contextlib.suppress(OSError):
        make_private_folder(kept_at.parent)
        with os.fdopen(open_private(kept_at, os.O_TRUNC), "wb") as file:
            file.write(msgspec.json.encode(chosen))


def _of(choices: Choices) -> Chosen:
    return Chosen(choices.chart, choices.window)


def _read(path: Path) -> Chosen:
    try:
        with path.open("rb") as file:
            return msgspec.json.decode(file.read(MOST_BYTES), type=Chosen)
    except (OSError, msgspec.DecodeError):
        return Chosen()


def _take(choices: Choices, chosen: Chosen) -> None:
    from gpumon.app.views.charts import QUANTITIES  # noqa: PLC0415 - the screen has it by then
    from gpumon.app.views.page import LONG_WINDOWS_SECONDS  # noqa: PLC0415

    choices.chart = next((one for one in QUANTITIES if one == chosen.chart), choices.chart)
    if 0 <= chosen.window < len(LONG_WINDOWS_SECONDS):
        choices.window = chosen.window
