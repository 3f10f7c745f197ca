"""What stays of an alert's message in a narrow pane."""

from __future__ import annotations

from gpumon.widgets.glyphs import UNICODE
from gpumon.widgets.kit.lines import plain_text
from gpumon.widgets.notices import alert_lines
from gpumon.widgets.views import AlertRow

NAME = "qwen2.5-coder:14b-instruct"
SPILL = AlertRow(
    key="spill",
    level="bad",
    subject="",
    message=f"{NAME} spill: 5.5 GiB (38%) in RAM, 9.1 GiB (62%) on GPU",
    started="14:18:37",
    duration_seconds=57,
    ongoing=True,
    name=NAME,
)


def drawn(width: int) -> str:
    (line,) = alert_lines([SPILL], width, UNICODE)
    return plain_text(line)


def test_a_wide_pane_shows_the_message_as_it_is() -> None:
    assert SPILL.message in drawn(120)


def test_the_name_goes_before_the_figures() -> None:
    assert "5.5 GiB (38%) in RAM, 9.1 GiB" in drawn(80)


def test_the_figure_of_the_spill_survives_in_forty_columns() -> None:
    assert "5.5 GiB" in drawn(40)


def test_a_message_without_the_name_in_it_is_only_cut_at_its_end() -> None:
    other = AlertRow("x", "bad", "", "swapping: 5 MiB/s in, 6 MiB/s out", "14:18:37", 57, True)
    (line,) = alert_lines([other], 40, UNICODE)
    assert "swapping" in plain_text(line)
