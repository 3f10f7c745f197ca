"""One thing that was looked at, and how all of them are together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

Status = Literal[
    "works",
    "partly",
    "missing",
    "nothing",  # there is nothing to look at now: no model is loaded, say
]

Kind = Literal[
    "driver", "gpu", "server", "processes", "port", "log", "memory", "source", "folder", "terminal", "extra"
]


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the report; the words are harmless to print."""

    kind: Kind
    name: str
    status: Status
    found: str
    gives: str
    """What it is good for."""
    step: str | None = None
    """What would enable what is missing."""
    needed: bool = False
    """Whether the main job rests on it."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """All checks."""

    checks: tuple[Check, ...]
    exit_code: int


def report_of(checks: Sequence[Check]) -> Report:
    """Put the checks together: 0 what is needed works, 1 something is missing, 2 no driver and no server."""
    if not any(check.status == "works" for check in checks if check.kind in {"driver", "server"}):
        code = 2
    else:
        code = int(any(check.needed and check.status in {"partly", "missing"} for check in checks))
    return Report(checks=tuple(checks), exit_code=code)
