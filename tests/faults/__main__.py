"""Prints the matrix as three tables: ``PYTHONPATH=.dev:. python -m tests.faults``."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from tests.faults.matrix import COLUMNS, Result, rows_of, run_kinds, run_rows


def table(results: Sequence[Result]) -> str:
    """Return the cells as a Markdown table, a column for each fault of the driver, or kind of server."""
    passed = {(result.driver, result.server) for result in results if result.problem is None}
    drivers = list(dict.fromkeys(result.driver for result in results))
    others = list(dict.fromkeys(result.server for result in results))
    lines = [_line("", *drivers), _line("---", *["---"] * len(drivers))]
    lines += (
        _line(other, *("ok" if (driver, other) in passed else "**failed**" for driver in drivers))
        for other in others
    )
    sums = [sum((driver, other) in passed for other in others) for driver in drivers]
    lines.append(_line("passed", *(f"{count} of {len(others)}" for count in sums)))
    return "\n".join([*lines, "", f"{len(passed)} of {len(results)} cells passed.", "", ""])


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def main() -> int:
    """Run all; return 1 where a cell has failed."""
    parts = [*(run_rows(rows_of(what), what) for what in COLUMNS), run_kinds()]
    sys.stdout.writelines(map(table, parts))
    failed = [result for results in parts for result in results if result.problem is not None]
    sys.stderr.writelines(f"{one.driver} x {one.server}: {one.problem}\n" for one in failed)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
