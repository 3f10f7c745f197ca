"""What a panel redraws, counted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace
from tests.widgets import sample_views as views
from textual.app import App, ComposeResult
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from gpumon.widgets.band import SourcePanel, VerdictLine
from gpumon.widgets.event_feed import EventFeed
from gpumon.widgets.glyphs import ASCII
from gpumon.widgets.gpu_panel import GpuPanel
from gpumon.widgets.hints import HintBar
from gpumon.widgets.history_chart import HistoryChart
from gpumon.widgets.kit.lines import Line, Span
from gpumon.widgets.kit.panels import LinePanel
from gpumon.widgets.kit.rows import RowPanel
from gpumon.widgets.memory_panel import MemoryPanel
from gpumon.widgets.model_panel import ModelPanel
from gpumon.widgets.tables import FactTable

View = object
PANELS: list[tuple[type[Any], View, View]] = [
    (VerdictLine, views.VERDICT, replace(views.VERDICT, sentence="all models on GPU")),
    (GpuPanel, views.GPUS, views.GPUS[:2]),
    (ModelPanel, views.MODELS, views.MODELS[:2]),
    (MemoryPanel, views.MEMORY, replace(views.MEMORY, cpu_percent=99.0)),
    (SourcePanel, views.SOURCES, views.SOURCES[:1]),
    (EventFeed, views.EVENTS, views.EVENTS[:1]),
    (FactTable, views.FACTS, views.FACTS[:1]),
    (HintBar, views.HINTS, views.HINTS[:1]),
    (HistoryChart, views.CHART, replace(views.CHART, ceiling=48.0)),
]


class PanelApp(App[None]):
    """One panel on a screen."""

    def __init__(self, panel: Widget) -> None:
        super().__init__()
        self.panel = panel
        self.clicked: list[str] = []

    def compose(self) -> ComposeResult:
        yield self.panel

    def on_row_panel_row_selected(self, event: RowPanel.RowSelected) -> None:
        self.clicked.append(event.key)


class Tally:
    """Counts what a panel asks to be redrawn and which lines it draws."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, panel: LinePanel) -> None:
        self.refreshed: list[int] = []
        self.layouts = 0
        self.built: list[str] = []
        refresh, build = panel.refresh, panel._strip
        monkeypatch.setattr(panel, "refresh", lambda *a, **k: self._refresh(refresh, *a, **k))
        monkeypatch.setattr(panel, "_strip", lambda line: self._build(build, line))

    def _refresh(self, original: Callable[..., Widget], *regions: Region, **options: bool) -> Widget:
        self.refreshed += [region.y for region in regions]
        self.layouts += options.get("layout", False)
        return original(*regions, **options)

    def _build(self, original: Callable[[Line], Strip], line: Line) -> Strip:
        strip = original(line)
        self.built.append(strip.text)
        return strip


@pytest.fixture(autouse=True)
def _in_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)


@pytest.mark.parametrize(("kind", "view", "other"), PANELS)
async def test_an_equal_view_redraws_nothing(
    kind: type[Any], view: View, other: View, monkeypatch: pytest.MonkeyPatch
) -> None:
    panel = kind()
    async with PanelApp(panel).run_test(size=(100, 30)) as pilot:
        panel.show(view)
        await pilot.pause()
        tally = Tally(monkeypatch, panel)
        panel.show(view)
        await pilot.pause()
        assert (tally.refreshed, tally.built, tally.layouts) == ([], [], 0)


@pytest.mark.parametrize(("kind", "view", "other"), PANELS)
async def test_another_view_is_drawn(
    kind: type[Any], view: View, other: View, monkeypatch: pytest.MonkeyPatch
) -> None:
    panel = kind()
    async with PanelApp(panel).run_test(size=(100, 30)) as pilot:
        panel.show(view)
        await pilot.pause()
        before = _text(panel)
        panel.show(other)
        await pilot.pause()
        assert _text(panel) != before


async def test_one_changed_row_redraws_only_its_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    panel = GpuPanel()
    async with PanelApp(panel).run_test(size=(100, 30)) as pilot:
        panel.show(views.GPUS)
        await pilot.pause()
        tally = Tally(monkeypatch, panel)
        hotter = replace(views.HOT_GPU, temperature_celsius=85.0)
        panel.show((views.BUSY_GPU, hotter, *views.GPUS[2:]))
        await pilot.pause()
        assert tally.refreshed == [2], "the title, then the GPUs"
        assert len(tally.built) == 1
        assert tally.layouts == 0


async def test_a_panel_grows_with_its_rows() -> None:
    panel = ModelPanel()
    async with PanelApp(panel).run_test(size=(100, 30)) as pilot:
        panel.show(views.MODELS[:2])
        await pilot.pause()
        panel.show(views.MODELS[:3])
        await pilot.pause()
        assert panel.size.height == 4


async def test_a_panel_is_laid_out_anew_when_its_width_changes() -> None:
    panel = GpuPanel(lines_per_row=2)
    async with PanelApp(panel).run_test(size=(100, 30)) as pilot:
        panel.show(views.GPUS)
        await pilot.pause()
        await pilot.resize_terminal(80, 30)
        await pilot.pause()
        assert max(len(row) for row in _text(panel)) <= 80
        assert "power cap" in "".join(_text(panel))


async def test_the_cursor_marks_its_row_and_scrolls_it_into_view() -> None:
    panel = ModelPanel()
    panel.styles.height = 4
    async with PanelApp(panel).run_test(size=(80, 10)) as pilot:
        panel.show(views.MODELS)
        panel.cursor_key = "hub"
        await pilot.pause()
        rows = _text(panel)
        assert rows[0].endswith("+3 more")
        assert rows[-1].startswith("▌"), rows


async def test_a_click_on_a_row_posts_its_key() -> None:
    panel = GpuPanel(lines_per_row=2)
    app = PanelApp(panel)
    async with app.run_test(size=(100, 30)) as pilot:
        panel.show(views.GPUS)
        await pilot.pause()
        await pilot.click(panel, offset=(5, 4))
        await pilot.click(panel, offset=(5, 0))
        assert app.clicked == ["GPU-b"], "the title is no row"


async def test_no_models_are_said_in_words() -> None:
    panel = ModelPanel()
    async with PanelApp(panel).run_test(size=(80, 10)) as pilot:
        panel.show((), "no model is loaded")
        await pilot.pause()
        assert _text(panel)[1].strip() == "no model is loaded"


async def test_a_panel_keeps_a_view_shown_before_it_is_mounted() -> None:
    panel = VerdictLine()
    panel.show(views.VERDICT)
    async with PanelApp(panel).run_test(size=(80, 10)):
        assert "34% in system RAM" in _text(panel)[0]


@pytest.mark.parametrize("theme", ["textual-dark", "textual-light", "ansi-dark"])
async def test_roles_follow_the_theme(theme: str) -> None:
    panel = VerdictLine()
    app = PanelApp(panel)
    async with app.run_test(size=(80, 10)) as pilot:
        panel.show(views.VERDICT)
        await pilot.pause()
        before = panel._style("bad")
        app.theme = theme
        await pilot.pause()
        assert (panel._style("bad") == before) == (theme == "textual-dark")


async def test_a_panel_draws_without_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    panel = MemoryPanel(glyphs=ASCII)
    panel.styles.height = 8
    async with PanelApp(panel).run_test(size=(80, 10)) as pilot:
        panel.show(views.MEMORY)
        await pilot.pause()
        assert "".join(_text(panel)).isascii()


def _text(panel: LinePanel) -> list[str]:
    return [panel.render_line(y).text.rstrip() for y in range(panel.size.height)]


class Lines(LinePanel):
    """As many lines as it is told, the first ones blank."""

    blank, words = 0, 0

    def lines_for(self, width: int, height: int | None) -> list[Line]:
        return [*[()] * self.blank, *[(Span("words"),)] * self.words][:height]


@pytest.mark.parametrize(
    ("before", "after"), [((0, 0), (1, 0)), ((0, 1), (2, 0)), ((1, 1), (3, 2)), ((2, 1), (0, 0))]
)
async def test_lines_that_come_and_go_are_drawn_whether_blank_or_not(
    before: tuple[int, int], after: tuple[int, int]
) -> None:
    panel = Lines()
    panel.styles.height = 5
    async with PanelApp(panel).run_test(size=(20, 5)) as pilot:
        for panel.blank, panel.words in (before, after):
            panel.redraw()
            await pilot.pause()
        shown = [panel.render_line(y).text.strip() for y in range(5)]
    assert shown == [*[""] * after[0], *["words"] * after[1], *[""] * (5 - sum(after))]
