from __future__ import annotations

import pytest
from msgspec.structs import replace
from tests.widgets import sample_views as views

from gpumon.widgets.glyphs import UNICODE
from gpumon.widgets.kit.lines import plain_text
from gpumon.widgets.model_panel import columns_for, heading_line, model_lines
from gpumon.widgets.views import JobView, ModelRow


@pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
def test_a_spill_is_seen_at_any_width(width: int) -> None:
    text = _text(views.SPILLED_MODEL, width)
    assert "▒" in text
    assert ("34%" in text) == (width >= 60)


@pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
def test_a_loading_model_says_so_at_any_width(width: int) -> None:
    assert "loading" in _text(views.LOADING_MODEL, width)


def test_a_spill_too_small_to_count_is_not_written_as_nothing() -> None:
    assert "<1%" in _text(replace(views.SPILLED_MODEL, spill_percent="<1%"))


def test_a_model_on_the_gpu_says_nothing_of_a_spill() -> None:
    text = _text(views.FITTING_MODEL)
    assert "%" not in text
    assert "▒" not in text


def test_bars_of_all_rows_have_one_scale() -> None:
    scale = 24 * views.GIB
    model = replace(views.FITTING_MODEL, rate_trend=())
    rows = [replace(model, gpu_bytes=size * views.GIB) for size in (3, 12)]
    short, long = (plain_text(line).count("▆") for line in model_lines(rows, 160, UNICODE, scale_bytes=scale))
    assert long / short == pytest.approx(4, rel=0.2)


def test_an_estimated_rate_is_marked() -> None:
    assert "~87 " in _text(views.ESTIMATED_MODEL)


def test_what_is_reckoned_to_be_in_ram_is_marked() -> None:
    assert "+~7.3" in _text(replace(views.SPILLED_MODEL, ram_is_estimate=True, spill_percent=""))


def test_an_old_row_has_its_age_in_place_of_its_rate() -> None:
    text = _text(views.OLD_MODEL)
    assert "22s old" in text


@pytest.mark.parametrize("width", [80, 120, 200])
def test_columns_stay_where_they_are_whatever_a_model_does(width: int) -> None:
    busy = replace(views.FITTING_MODEL, decode_tokens_per_second=112.0)
    rows = [busy, replace(busy, decode_tokens_per_second=4.8, spill_percent="34%", ram_bytes=7 * views.GIB)]
    headings = [
        plain_text(heading_line(columns_for([row], width, UNICODE), "", width, UNICODE)) for row in rows
    ]
    assert headings[0] == headings[1]


def test_a_model_that_left_says_when_and_why() -> None:
    row = replace(views.FITTING_MODEL, left_seconds=9.0, left_reason="made room for qwen3:32b")
    [line] = model_lines([row], 120, UNICODE)
    assert "left 9s ago, made room for qwen3:32b" in plain_text(line)
    assert {span.role for span in line} <= {"dim", "cursor"}


def test_the_rate_stands_beside_what_it_could_be() -> None:
    text = _text(replace(views.SPILLED_MODEL, full_tokens_per_second=47.0))
    assert text.split().index("4.8") + 1 == text.split().index("47")


def test_a_note_too_long_for_the_second_line_loses_its_last_words() -> None:
    row = replace(views.SPILLED_MODEL, notes=("its context is too large: a request asked for 32768 tokens",))
    second = plain_text(model_lines([row], 40, UNICODE, 2)[1])
    assert second.strip() == "its context is too large: a request…"


def test_a_model_of_which_nothing_more_is_to_be_said_has_one_line() -> None:
    assert len(model_lines([replace(views.FITTING_MODEL, notes=())], 120, UNICODE, 2)) == 1


def test_figures_of_all_rows_end_in_the_same_column() -> None:
    lines = [
        plain_text(line) for line in model_lines([views.SPILLED_MODEL, views.FITTING_MODEL], 120, UNICODE)
    ]
    assert lines[0].index("+7.3") + len("+7.3") == lines[1].index("5.2") + len("5.2")


def _text(row: ModelRow, width: int = 160) -> str:
    return plain_text(model_lines([row], width, UNICODE)[0])


def test_a_load_shows_how_far_it_has_come_and_how_long_it_still_takes() -> None:
    row = replace(
        views.LOADING_MODEL,
        state="weights 50%",
        until="8s left",
        gpu_bytes=3 * 2**30,
        is_loading=True,
        planned_gpu_bytes=6 * 2**30,
        notes=("1.2 GiB/s",),
    )
    first, second = (plain_text(line) for line in model_lines([row], 100, UNICODE, lines_per_row=2))
    assert abs(first.count("▆") - first.count("┄")) <= 1
    assert first.count("▆")
    assert "weights 50%" in first
    assert "8s left" in first
    assert "1.2 GiB/s" in second


@pytest.mark.parametrize("width", [40, 80, 120])
def test_a_picture_under_way_has_its_speed_where_others_have_tokens(width: int) -> None:
    drawing, tokens = (
        plain_text(line)
        for line in model_lines([views.DRAWING_GENERATOR, views.FITTING_MODEL], width, UNICODE)
    )
    rate = f"{views.FITTING_MODEL.decode_tokens_per_second:.0f}"
    assert drawing.index("1.4 s/it") + len("1.4 s/it") == tokens.index(rate) + len(rate)
    assert ("7/20" in drawing) == (width >= 80)


def test_steps_faster_than_one_a_second_are_told_by_the_second() -> None:
    fast = replace(views.DRAWING_GENERATOR, job=JobView(7, 20, 0.4, 3.0))
    assert "2.5 it/s" in _text(fast)


def test_one_that_tells_no_steps_is_busy_and_says_for_how_long() -> None:
    text = _text(views.BUSY_GENERATOR)
    assert "busy" in text
    assert "1m 15s" in text


def test_a_generator_at_rest_has_a_name_and_what_it_holds() -> None:
    text = _text(views.IDLE_GENERATOR)
    assert "ComfyUI" in text
    assert "0.4" in text
    assert "tok" not in text


@pytest.mark.parametrize("width", [40, 80, 120])
def test_columns_stay_where_they_are_while_a_picture_is_drawn(width: int) -> None:
    jobs = (JobView(1, 100, 12.3), JobView(99, 100, 0.041), JobView(None, None, None, 7200.0), None)
    others = set()
    for job in jobs:
        rows = [replace(views.DRAWING_GENERATOR, job=job), views.FITTING_MODEL]
        drawn, other = (plain_text(line) for line in model_lines(rows, width, UNICODE))
        others.add(other)
        assert len(drawn) <= width
    assert len(others) == 1, "the row below does not move"


def test_a_list_of_generators_alone_has_headings_of_its_own() -> None:
    fitted = columns_for(views.GENERATORS, 120, UNICODE)
    heading = plain_text(heading_line(fitted, "", 120, UNICODE, of_pictures=True))
    assert "steps" in heading
    assert "tok/s" not in heading


def test_what_serves_a_model_is_told_where_several_runtimes_do() -> None:
    rows = views.SEVERAL_RUNTIMES
    lines = [plain_text(line) for line in model_lines(rows, 120, UNICODE)]
    starts = {line.index(words) for line, words in zip(lines, ("Ollama", "llama-s", "llama-s"), strict=False)}
    assert len(starts) == 1, "in a column"
    heading = plain_text(heading_line(columns_for(rows, 120, UNICODE), "", 120, UNICODE))
    assert heading.index("served by") in starts


def test_where_one_runtime_serves_all_it_is_not_said() -> None:
    rows = [replace(row, runtime="llama-server") for row in views.SEVERAL_RUNTIMES]
    for width in (200, 120, 80):
        lines = [plain_text(line) for line in model_lines(rows, width, UNICODE)]
        assert not any("llama-server" in line for line in lines)
        assert model_lines(rows, width, UNICODE) == model_lines(
            [replace(row, runtime="") for row in rows], width, UNICODE
        )


def test_its_column_does_not_follow_what_a_model_does() -> None:
    rows = views.SEVERAL_RUNTIMES
    worked = [replace(row, decode_tokens_per_second=123.4, ram_bytes=2**33) for row in rows]
    assert columns_for(rows, 120, UNICODE) == columns_for(worked, 120, UNICODE)
