from __future__ import annotations

import pytest
from msgspec.structs import replace
from tests.widgets import sample_views as views

from gpumon.widgets.glyphs import UNICODE
from gpumon.widgets.kit.lines import plain_text
from gpumon.widgets.model_panel import model_lines
from gpumon.widgets.views import ModelRow


@pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
def test_a_spill_is_said_in_words_at_any_width(width: int) -> None:
    assert "SPILL 34%" in _text(views.SPILLED_MODEL, width)


@pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
def test_a_loading_model_says_so_at_any_width(width: int) -> None:
    assert "loading" in _text(views.LOADING_MODEL, width)


def test_a_spill_too_small_to_count_is_not_written_as_nothing() -> None:
    assert "SPILL <1%" in _text(replace(views.SPILLED_MODEL, spill_percent="<1%"))


def test_a_model_on_the_gpu_says_nothing_of_a_spill() -> None:
    assert "SPILL" not in _text(views.FITTING_MODEL)


def test_a_model_of_unknown_ram_has_no_bar() -> None:
    text = _text(replace(views.FITTING_MODEL, ram_bytes=None, rate_trend=()))
    assert "▆" not in text
    assert "5.2 GiB" in text


def test_an_estimated_rate_is_marked() -> None:
    assert "~87 tok/s" in _text(views.ESTIMATED_MODEL)


def test_what_is_reckoned_to_be_in_ram_is_marked() -> None:
    assert "+~7.3 GiB RAM" in _text(replace(views.SPILLED_MODEL, ram_is_estimate=True, spill_percent=""))


def test_an_old_row_has_its_age_in_place_of_its_rate() -> None:
    text = _text(views.OLD_MODEL)
    assert "22s old" in text
    assert "tok/s" not in text


def test_the_second_line_sets_the_measured_bytes_beside_the_claim() -> None:
    second = plain_text(model_lines([views.SPILLED_MODEL], 120, UNICODE, 2)[1])
    assert "VRAM measured 14.4 GiB, claimed 14.2" in second


def test_a_note_too_long_for_the_second_line_loses_its_last_words() -> None:
    row = replace(views.SPILLED_MODEL, notes=("its context is too large: a request asked for 32768 tokens",))
    second = plain_text(model_lines([row], 40, UNICODE, 2)[1])
    assert second.strip() == "its context is too large: a request…"


def test_the_second_line_says_what_the_runtime_does() -> None:
    row = replace(views.FITTING_MODEL, measured_vram_bytes=None, processor="Unknown", runtime="Ollama")
    assert plain_text(model_lines([row], 120, UNICODE, 2)[1]).strip() == "served by Ollama"


def test_figures_of_all_rows_end_in_the_same_column() -> None:
    lines = [
        plain_text(line) for line in model_lines([views.SPILLED_MODEL, views.FITTING_MODEL], 120, UNICODE)
    ]
    assert lines[0].index("14.2 GiB") + 1 == lines[1].index("5.2 GiB")
    assert lines[0].index("tok/s") == lines[1].index("tok/s")


def _text(row: ModelRow, width: int = 160) -> str:
    return plain_text(model_lines([row], width, UNICODE)[0])


def test_a_load_shows_how_far_it_has_come_and_how_long_it_still_takes() -> None:
    row = replace(
        views.LOADING_MODEL,
        state="weights 50%",
        until="8s left",
        gpu_bytes=3 * 2**30,
        load_fraction=0.5,
        notes=("1.2 GiB/s",),
    )
    first, second = (plain_text(line) for line in model_lines([row], 100, UNICODE, lines_per_row=2))
    bar = [cell for cell in first if cell in "▆─"]
    assert abs(bar.count("▆") - bar.count("─")) <= 1
    assert "weights 50%" in first
    assert "8s left" in first
    assert "1.2 GiB/s" in second


@pytest.mark.parametrize(("lines_per_row", "line"), [(1, 0), (2, 1)])
def test_a_model_that_has_left_says_why_once_and_is_dim(lines_per_row: int, line: int) -> None:
    row = ModelRow("k", "qwen3:14b", state="left", left_seconds=9.0, left_reason="made room for llama3.2:3b")
    drawn = model_lines((row,), 120, UNICODE, lines_per_row)
    words = [plain_text(one) for one in drawn]
    assert "made room for llama3.2:3b, 9s ago" in words[line]
    assert " ".join(words).count("made room") == 1
    assert {span.role for one in drawn for span in one if span.text.strip()} == {"dim"}
