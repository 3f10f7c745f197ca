"""Sections of pages: columns, bars and words at each width."""

from __future__ import annotations

import pytest

from gpumon.widgets.glyphs import UNICODE
from gpumon.widgets.kit.lines import plain_text
from gpumon.widgets.page_panel import bar_lines, cure_lines, section_lines
from gpumon.widgets.views import BarPart, BarRow, CureRow, Fact, RequestRow, Section

CURE = CureRow("/set parameter num_ctx 6400", "in ollama run: shrink the context", "6400", "~47", "9.4")
LONG = CureRow("OLLAMA_FLASH_ATTENTION=1 OLLAMA_KV_CACHE_TYPE=q8_0", "", "12032", "~48", "9.4")


def drawn(section: Section, width: int) -> list[str]:
    return [plain_text(line) for line in section_lines(section, width, UNICODE, 0)]


def test_the_figures_of_cures_stand_below_their_names() -> None:
    head, first, _ = drawn(Section("CURES", cures=(CURE,)), 80)
    for name, figure in (("context", "6400"), ("tok/s", "~47"), ("GiB", "9.4")):
        assert head.index(name) + len(name) == first.index(figure, 30) + len(figure)
    assert first.startswith("▌1 /set parameter num_ctx 6400")


@pytest.mark.parametrize(
    ("width", "columns"),
    [(60, ["context", "tok/s", "GiB"]), (50, ["tok/s", "GiB"]), (40, ["GiB"]), (34, [])],
)
def test_the_line_to_type_needs_its_room_and_the_context_goes_first(width: int, columns: list[str]) -> None:
    assert drawn(Section("CURES", cures=(CURE,)), width)[0].split()[1:] == columns


@pytest.mark.parametrize("width", [80, 60, 40, 30])
def test_no_part_of_a_line_to_type_is_lost(width: int) -> None:
    lines = [plain_text(line) for line in cure_lines(LONG, 1, width, UNICODE, selected=False)]
    words = " ".join(line[3:].strip() for line in lines)
    for part in LONG.line.split():
        assert part in words
    assert "…" not in words


def test_bars_are_on_one_scale_and_of_one_length() -> None:
    rows = (
        BarRow("weights", "~8.0", (BarPart(8.0, "model"),), 16.0),
        BarRow("in RAM", "4.0", (BarPart(4.0, "ram"),), 16.0),
        BarRow("a trace", "<0.1", (BarPart(0.01, "model"),), 16.0),
    )
    lines = [plain_text(line) for line in bar_lines(rows, 80, UNICODE)]
    assert [line.count("█") + line.count("▒") for line in lines] == [16, 8, 1]
    starts = {min(line.find(fill) for fill in "█▒" if fill in line) for line in lines}
    assert len(starts) == 1


def test_what_a_limit_leaves_is_drawn() -> None:
    row = BarRow("power", "225 of 450 W", (BarPart(225.0, "rate"),), 450.0, tracked=True)
    line = plain_text(bar_lines((row,), 80, UNICODE)[0])
    assert (line.count("█"), line.count("─")) == (16, 16)


def test_words_beside_bars_go_whole_where_there_is_no_room() -> None:
    row = BarRow("qwen3:32b", "20.7", (BarPart(20.7, "model"),), 24.0, "pid 48227")
    assert "pid 48227" in plain_text(bar_lines((row,), 50, UNICODE)[0])
    narrow = plain_text(bar_lines((row,), 30, UNICODE)[0])
    assert "pid" not in narrow
    assert "20.7" in narrow


def test_where_from_is_said_where_there_is_room() -> None:
    section = Section("WHY", facts=(Fact("need", "14.3 GiB", "arithmetic"),))
    assert drawn(section, 60)[1].endswith("arithmetic ")
    assert "arithmetic" not in drawn(section, 40)[1]


def test_a_sentence_wraps_and_loses_nothing() -> None:
    sentence = "its context is too large: a request asked for 32768 tokens"
    lines = drawn(Section("WHY", facts=(Fact("", sentence, "command line"),)), 30)[1:]
    assert " ".join(line.strip() for line in lines) == sentence


@pytest.mark.parametrize(("width", "last"), [(60, "took"), (40, "tok/s"), (32, "reply")])
def test_requests_have_as_many_columns_as_fit(width: int, last: str) -> None:
    rows = (RequestRow("10:36:02", "1.0k", ">=190", "46", "5s", kept="900", first="2s"),)
    head, row = drawn(Section("LAST REQUESTS", requests=rows), width)
    assert head.split()[-1] == last
    assert len(head.split()) - 2 == len(row.split()) - 1
    assert len(head) <= width
