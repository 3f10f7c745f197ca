"""Every fault of the driver with every fault of a server, and some with those of a runner, end to end."""

from __future__ import annotations

import pytest
from tests.fakes.processes.actor import compiler
from tests.faults.matrix import COLUMNS, rows_of, run_rows

ROWS_A_TEST = 3
"""Side by side: they wait more than they work."""
GROUPS = [
    (what, rows_of(what)[start : start + ROWS_A_TEST])
    for what in COLUMNS
    for start in range(0, len(rows_of(what)), ROWS_A_TEST)
]


@pytest.mark.skipif(compiler() is None, reason="the fakes need a C compiler")
@pytest.mark.parametrize(
    ("what", "drivers"), GROUPS, ids=lambda part: part if isinstance(part, str) else part[0]
)
def test_every_fault_is_shown_and_over_while_that_of_the_driver_is(
    what: str, drivers: tuple[str, ...]
) -> None:
    failed = [
        f"{result.driver} x {result.server}: {result.problem}"
        for result in run_rows(drivers, what)
        if result.problem is not None
    ]
    assert not failed, "\n".join(failed)
