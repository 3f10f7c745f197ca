"""What holds for every line that any panel draws, whatever it is handed."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.widgets import strategies as any_

from gpumon.widgets.band import source_lines, verdict_lines
from gpumon.widgets.event_feed import event_lines
from gpumon.widgets.glyphs import ASCII, UNICODE
from gpumon.widgets.gpu_panel import gpu_lines
from gpumon.widgets.hints import HintsView, hint_line
from gpumon.widgets.history_chart import chart_lines
from gpumon.widgets.host_panel import host_lines
from gpumon.widgets.kit.lines import Glyphs, Line, line_width, plain_text
from gpumon.widgets.kit.panels import title_line
from gpumon.widgets.memory_panel import memory_line
from gpumon.widgets.model_panel import model_lines
from gpumon.widgets.page_panel import section_lines
from gpumon.widgets.tables import fact_lines, installed_lines

Draw = Callable[[Any, int, Glyphs], Sequence[Line]]
rows = st.lists


PANELS: dict[str, tuple[st.SearchStrategy[Any], Draw]] = {
    "verdict": (any_.verdicts, lambda view, width, glyphs: verdict_lines(view, width, glyphs, 3)),
    "gpu": (rows(any_.gpus, max_size=3), lambda view, width, glyphs: gpu_lines(view, width, glyphs, 3)),
    "gpu in one line": (rows(any_.gpus, max_size=3), gpu_lines),
    "model": (rows(any_.models, max_size=3), lambda view, width, glyphs: model_lines(view, width, glyphs, 2)),
    "memory": (any_.memories, lambda view, width, glyphs: [memory_line(view, width, glyphs)]),
    "installed": (rows(any_.installed, max_size=3), installed_lines),
    "host": (
        rows(any_.hosts, max_size=3),
        lambda view, width, glyphs: host_lines(view, width, glyphs, None, 2),
    ),
    "source": (rows(any_.sources, max_size=3), source_lines),
    "event": (rows(any_.events, max_size=3), event_lines),
    "fact": (rows(any_.facts, max_size=3), fact_lines),
    "hint": (any_.hints, lambda view, width, glyphs: [hint_line(HintsView(*view), width, glyphs)[0]]),
    "chart": (any_.charts, lambda view, width, glyphs: chart_lines(view, width, 12, glyphs)),
    "section": (any_.sections, lambda view, width, glyphs: section_lines(view, width, glyphs, 0)),
    "title": (any_.names, lambda name, width, glyphs: [title_line(name, name, width, glyphs)]),
}


@pytest.mark.parametrize("panel", PANELS)
@given(data=st.data(), width=st.integers(1, 250), glyphs=st.sampled_from([UNICODE, ASCII]))
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_line_fits_its_width_and_holds_no_control_characters(
    panel: str, data: st.DataObject, width: int, glyphs: Glyphs
) -> None:
    views, draw = PANELS[panel]
    for line in draw(data.draw(views), width, glyphs):
        text = plain_text(line)
        assert line_width(line) <= width, text
        assert not [c for c in text if unicodedata.category(c) in {"Cc", "Cf", "Cs"}], ascii(text)
        assert text.isascii() or not glyphs.ascii_only, text
