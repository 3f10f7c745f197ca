"""Two spans side by side."""

from __future__ import annotations

import pytest
from tests.app.report.rows import load, material, request

from gpumon.app.report.compared import compare, compared
from gpumon.app.report.document import Grid, Words

SLOW, FAST = [30.0, 31.0, 32.0, 33.0, 34.0, 35.0], [40.0, 41.0, 42.0, 43.0, 44.0, 45.0]


def test_what_is_clearly_more_is_better_where_more_is() -> None:
    assert compare(SLOW, FAST, more_is_better=True).verdict == "better (+31%)"
    assert compare(SLOW, FAST, more_is_better=False).verdict == "worse (+31%)"
    assert compare(FAST, SLOW, more_is_better=True).verdict == "worse (-24%)"


@pytest.mark.parametrize(("before", "after"), [(SLOW[:4], FAST), (SLOW, FAST[:4])])
def test_with_fewer_than_five_nothing_is_better(before: list[float], after: list[float]) -> None:
    assert compare(before, after, more_is_better=True).verdict == "too few to tell"


def test_what_overlaps_is_no_difference() -> None:
    assert compare([30, 50, 31, 49, 40], [33, 52, 30, 51, 44], more_is_better=True).verdict == "no difference"


def test_what_nobody_notices_is_no_difference() -> None:
    nearly = [value * 1.01 for value in [40.0] * 20]
    assert compare([40.0] * 20, nearly, more_is_better=True).verdict == "no difference"


def test_a_model_in_both_is_set_side_by_side_with_how_many_it_is_of() -> None:
    before = material(*(request(at, decode_tokens_per_second=rate) for at, rate in enumerate(SLOW)), load(0))
    after = material(*(request(at, decode_tokens_per_second=rate) for at, rate in enumerate(FAST)), load(0))
    section = compared(before, after)
    (grid,) = [block for block in section.blocks if isinstance(block, Grid)]
    assert [tuple(row) for row in grid.rows] == [
        ("llama3:8b", "tok/s", "32", "42", "6, 6", "better (+31%)"),
        ("", "load", "8.0s", "8.0s", "1, 1", "too few to tell"),
    ]
    assert section.blocks[-1] == Words("Which is better is said from 5 on either side on.")


def test_a_model_that_is_in_one_alone_is_not_compared() -> None:
    section = compared(material(), material(request(0, decode_tokens_per_second=4.0)))
    assert section.blocks[-1] == Words("No model has ended a request in both.")
