"""Every fault of the driver with every other one of a server, and some with those of a runner, end to end."""

from __future__ import annotations

import pytest
from tests.fakes.processes.actor import compiler
from tests.faults.matrix import COLUMNS, columns_of, rows_of, run_kinds, run_row, run_rows

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
    """A row that fails is run once more, by itself: it counts polls, of which a busy machine misses some."""
    rows = {result.driver for result in run_rows(drivers, what, every=False) if result.problem is not None}
    again = [result for driver in sorted(rows) for result in run_row(driver, what, every=False)]
    failed = [f"{one.driver} x {one.server}: {one.problem}" for one in again if one.problem is not None]
    assert not failed, "\n".join(failed)


@pytest.mark.skipif(compiler() is None, reason="the fakes need a C compiler")
def test_every_kind_of_server_and_every_set_up_outlives_what_happens_before_it() -> None:
    failed = [f"{one.driver} x {one.server}: {one.problem}" for one in run_kinds(every=False) if one.problem]
    assert not failed, "\n".join(failed)


def test_each_fault_of_a_server_meets_half_of_those_of_the_driver() -> None:
    left_out = {
        (driver, server)
        for driver in rows_of("servers")
        for server in COLUMNS["servers"]
        if server not in columns_of(driver, "servers")
    }
    for server in COLUMNS["servers"]:
        missed = sum((driver, server) in left_out for driver in rows_of("servers"))
        assert missed <= len(rows_of("servers")) // 2, server
    assert {columns_of(driver, "runners") for driver in rows_of("runners")} == {COLUMNS["runners"]}
