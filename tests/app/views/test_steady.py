"""Nothing moves on the dashboard while a demonstration goes on, unless something has got better or worse."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import pytest
from tests.app.ui.screen import scenario

from gpumon.app.alerts.limits import Limits
from gpumon.app.demo.scenarios import list_scenarios
from gpumon.app.demo.story import PRELUDE_SECONDS
from gpumon.app.monitor import Monitor
from gpumon.app.views.dashboard import DashboardView, ModelOrder, dashboard_view
from gpumon.collectors.samples import NvmlSample
from gpumon.widgets import gpu_panel, model_panel
from gpumon.widgets.glyphs import UNICODE
from gpumon.widgets.kit.lines import plain_text
from gpumon.widgets.views import ModelRow

SECONDS = 120
WIDTHS = (200, 120, 80, 40)
NAMES = tuple(one.name for one in list_scenarios())


def pictures(name: str) -> Iterator[DashboardView]:
    """Yield what the dashboard shows, second by second."""
    monitor, samples = Monitor(Limits()), scenario(name, PRELUDE_SECONDS + SECONDS)
    begin = samples[0].time + PRELUDE_SECONDS
    for sample in samples:
        monitor.feed(sample)
        if isinstance(sample, NvmlSample) and sample.time >= begin:
            yield dashboard_view(monitor, ModelOrder(sort="trouble"))


def headings(view: DashboardView, width: int) -> tuple[str, str]:
    """Return the names of the columns of both tables: where they stand, the columns do."""
    columns = model_panel.columns_for(view.models, width, UNICODE)
    return (
        plain_text(
            gpu_panel.heading_line(gpu_panel.columns_for(view.gpus, width, UNICODE), "", width, UNICODE)
        ),
        plain_text(model_panel.heading_line(columns, "", width, UNICODE)),
    )


def longest(view: DashboardView) -> int:
    return max((len(row.name) for row in view.models), default=0)


@pytest.mark.parametrize("name", NAMES)
def test_no_column_moves(name: str) -> None:
    for before, after in pairwise(pictures(name)):
        if longest(before) == longest(after):
            assert [headings(before, width) for width in WIDTHS] == [
                headings(after, width) for width in WIDTHS
            ]


def _place(row: ModelRow) -> tuple[str, bool]:
    """Return all on which the place of a row may rest, but for what was first."""
    return row.level if row.level in {"bad", "watch"} else "well", row.left_seconds is not None


@pytest.mark.parametrize("name", NAMES)
def test_no_row_moves_but_for_a_change_of_its_level_or_because_it_has_left(name: str) -> None:
    for before, after in pairwise(pictures(name)):
        places = {row.key: _place(row) for row in before.models}
        still = {row.key for row in after.models if places.get(row.key) == _place(row)}
        assert [row.key for row in before.models if row.key in still] == [
            row.key for row in after.models if row.key in still
        ]


@pytest.mark.parametrize("name", NAMES)
def test_gpus_stand_in_the_drivers_order(name: str) -> None:
    for view in pictures(name):
        assert [row.index for row in view.gpus] == sorted(row.index for row in view.gpus)
