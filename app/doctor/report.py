"""The report as text: a line for each check, what it gives and what to do under it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from gpumon.app.doctor.check import Report

STATUS_WIDTH = 9
LONGEST_NAME = 28

CONCLUSIONS = (
    "What is needed works.",
    "Something that is needed is missing.",
    "Neither a GPU driver nor a server answers.",
)
"""By exit code."""


def report_text(report: Report, columns: int = 80) -> str:
    """Return the report in at most ``columns`` characters a line, but for words longer than that."""
    names = min(LONGEST_NAME, max((len(check.name) for check in report.checks), default=0))
    lines: list[str] = []
    for check in report.checks:
        head = f"{check.status:<{STATUS_WIDTH}}{check.name:<{names}}  "
        lines += _wrapped(head, check.found, columns)
        details = (("gives", check.gives), ("do", check.step or ""))
        for word, text in details:
            lines += _wrapped(f"{'':<{STATUS_WIDTH}}  {word:<6}", text, columns) if text else []
    return "\n".join([*lines, "", CONCLUSIONS[report.exit_code], ""])


def _wrapped(head: str, text: str, columns: int) -> Iterator[str]:
    indent = " " * len(head)
    yield from textwrap.wrap(
        text,
        columns,
        initial_indent=head,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
