"""How each panel looks, kept as text to be read: ``GPUMON_UPDATE_GOLDEN=1 pytest`` writes it again."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from tests.widgets import sample_views as views

from gpumon.widgets.band import source_lines, verdict_lines
from gpumon.widgets.event_feed import event_lines
from gpumon.widgets.glyphs import ASCII, UNICODE
from gpumon.widgets.gpu_panel import gpu_lines
from gpumon.widgets.hints import HintsView, hint_line
from gpumon.widgets.history_chart import chart_lines
from gpumon.widgets.host_panel import host_lines
from gpumon.widgets.kit.lines import Glyphs, Line, plain_text
from gpumon.widgets.memory_panel import memory_line
from gpumon.widgets.model_panel import model_lines
from gpumon.widgets.page_panel import section_lines
from gpumon.widgets.tables import fact_lines

GOLDEN = Path(__file__).parent / "golden"
WIDTHS = (200, 120, 80, 60, 40)

PANELS: dict[str, Callable[[int, Glyphs], Sequence[Line]]] = {
    "verdict": lambda width, glyphs: verdict_lines(views.VERDICT, width, glyphs),
    "verdict_on_two_lines": lambda width, glyphs: verdict_lines(views.VERDICT, width, glyphs, 2),
    "band": lambda width, glyphs: verdict_lines(views.SPILL_VERDICT, width, glyphs, 3 if width < 60 else 2),
    "gpu_on_one_line": lambda width, glyphs: gpu_lines(views.GPUS, width, glyphs, 1, "GPU-b"),
    "gpu_on_two_lines": lambda width, glyphs: gpu_lines(views.GPUS, width, glyphs, 2, "GPU-b"),
    "model_on_one_line": lambda width, glyphs: model_lines(views.MODELS, width, glyphs, 1, "8b"),
    "model_on_two_lines": lambda width, glyphs: model_lines(views.MODELS, width, glyphs, 2, "8b"),
    "model_healthy": lambda width, glyphs: model_lines([views.FITTING_MODEL], width, glyphs),
    "pictures": lambda width, glyphs: model_lines(
        [*views.GENERATORS, views.FITTING_MODEL], width, glyphs, 2, "sdxl"
    ),
    "model_of_several_runtimes": lambda width, glyphs: model_lines(views.SEVERAL_RUNTIMES, width, glyphs, 2),
    "memory": lambda width, glyphs: [memory_line(views.MEMORY, width, glyphs)],
    "hosts": lambda width, glyphs: host_lines(views.HOSTS, width, glyphs, "rig", 2 if width >= 60 else 1),
    "source": lambda width, glyphs: source_lines(views.SOURCES, width, glyphs),
    "event": lambda width, glyphs: event_lines(views.EVENTS, width, glyphs),
    "fact": lambda width, glyphs: fact_lines(views.FACTS, width, glyphs),
    "hint": lambda width, glyphs: [hint_line(HintsView(views.HINTS), width, glyphs)[0]],
    "section": lambda width, glyphs: [
        line for section in views.SECTIONS for line in section_lines(section, width, glyphs, 0)
    ],
    "chart": lambda width, glyphs: chart_lines(views.CHART, width, 12, glyphs),
}


@pytest.mark.parametrize("panel", PANELS)
def test_panel_looks_as_kept(panel: str) -> None:
    pictures = [_picture(f"{width} columns", PANELS[panel](width, UNICODE)) for width in WIDTHS]
    _compare(panel, "\n".join(pictures))


def test_panels_look_as_kept_in_ascii() -> None:
    pictures = [_picture(panel, draw(100, ASCII)) for panel, draw in PANELS.items()]
    _compare("glyphs_ascii", "\n".join(pictures))


def _picture(heading: str, lines: Sequence[Line]) -> str:
    return "\n".join([f"== {heading}", *(plain_text(line).rstrip() for line in lines), ""])


def _compare(name: str, picture: str) -> None:
    file = GOLDEN / f"{name}.txt"
    if os.environ.get("GPUMON_UPDATE_GOLDEN"):
        file.write_text(picture, encoding="utf-8")
    assert file.read_text(encoding="utf-8") == picture, f"{file} differs; see this module's docstring"
