"""What stays of an event in a narrow pane, and where the panel is."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from gpumon.widgets.event_feed import EventFeed, event_lines, is_about_one, words_for
from gpumon.widgets.glyphs import ASCII, UNICODE
from gpumon.widgets.kit.lines import plain_text
from gpumon.widgets.views import EventRow

NAME = "qwen2.5-coder:14b-instruct"
BARE = ("spilled: 5.5 GiB (38%) in RAM; 47 → 7.0 tok/s", "spilled, 47 → 7.0 tok/s")
SPILL = EventRow(
    key="spill",
    time="14:18:37",
    ways=tuple(f"{NAME} {way}" for way in BARE),
    bare=BARE,
    model=NAME,
    names=(NAME,),
    level="bad",
    lasting="57s",
    ongoing=True,
)
READY = EventRow("ready", "14:18:37", (f"{NAME} ready after 8s",), ("ready after 8s",), NAME, (NAME,))


def drawn(width: int, row: EventRow = SPILL, *, is_single: bool = True) -> str:
    (line,) = event_lines([row], width, UNICODE, is_single=is_single)
    return plain_text(line)


def test_a_wide_pane_shows_all_with_how_long_it_lasts_at_its_right() -> None:
    line = drawn(120)
    assert line.startswith(f" ■ 14:18:37  {NAME} spilled: 5.5 GiB (38%) in RAM; 47 → 7.0 tok/s ")
    assert line.endswith("  ongoing 57s")
    assert len(line) == 120


def test_the_name_goes_before_the_figures() -> None:
    assert drawn(80) == " ■ 14:18:37  spilled: 5.5 GiB (38%) in RAM; 47 → 7.0 tok/s".ljust(69) + "ongoing 57s"


def test_the_figures_survive_in_forty_columns() -> None:
    assert drawn(40) == " ■ 14:18:37 spilled, 47 → 7.0 tok/s"


def test_the_name_stays_in_short_where_events_are_about_several_models() -> None:
    assert drawn(48, is_single=False) == " ■ 14:18:37 qwen2.…ct spilled, 47 → 7.0 tok/s".replace(
        "qwen2.…ct", "qwen2.5…ruct"
    )


def test_words_that_do_not_fit_are_cut_between_words() -> None:
    other = EventRow("x", "14:18:37", ("swapping: 5 MiB/s in, 6 MiB/s out",), level="watch")
    assert drawn(40, other) == " ▲ 14:18:37 swapping: 5 MiB/s in, 6…"


def test_what_is_no_alert_has_neither_mark_nor_duration() -> None:
    assert drawn(80, READY) == f"   14:18:37  {NAME} ready after 8s"


def test_an_alert_that_is_over_says_how_long_it_lasted_and_its_mark_is_dim() -> None:
    (line,) = event_lines([replace(SPILL, ongoing=False)], 120, UNICODE)
    assert plain_text(line).endswith("lasted 57s")
    assert {span.role for span in line if span.text == "■"} == {"dim"}


def test_one_that_is_acknowledged_says_so_at_any_width() -> None:
    seen = replace(SPILL, acknowledged=True)
    assert drawn(120, seen).endswith("ongoing 57s, acknowledged")
    assert drawn(44, seen).endswith("ack")
    (line,) = event_lines([seen], 120, UNICODE)
    assert {span.role for span in line} <= {"dim", "cursor"}


def test_without_unicode_an_arrow_is_a_word() -> None:
    assert words_for(SPILL, 60, ASCII, is_single=True) == "spilled: 5.5 GiB (38%) in RAM; 47 to 7.0 tok/s"


@pytest.mark.parametrize(("models", "is_one"), [(("a", "a", ""), True), (("a", "b"), False), ((), True)])
def test_events_are_about_one_model_or_several(models: tuple[str, ...], is_one: bool) -> None:
    assert is_about_one([replace(READY, model=model) for model in models]) is is_one


def feed(count: int) -> EventFeed:
    panel = EventFeed()
    panel._rows = tuple(replace(READY, key=f"event {number}") for number in range(count))
    return panel


def test_the_panel_is_absent_where_nothing_has_happened() -> None:
    assert feed(0).lines_for(80, 10) == []


def test_the_panel_keeps_its_title() -> None:
    title, *rows = feed(5).lines_for(80, 5)
    assert "Events" in plain_text(title)
    assert "+1 more" in plain_text(title)
    assert len(rows) == 4


def test_one_line_is_the_most_important_event() -> None:
    assert len(feed(5).lines_for(80, 1)) == 1


def test_what_is_new_is_in_view_once_the_cursor_is_elsewhere() -> None:
    panel = feed(20)
    panel._cursor_key = "event 19"
    assert plain_text(panel.lines_for(80, 5)[-1]).startswith("▌")
    panel._cursor_key = None
    panel.lines_for(80, 5)
    assert panel._window.first == 0
