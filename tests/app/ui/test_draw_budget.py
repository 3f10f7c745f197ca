"""How much is drawn: only what has changed, and nothing when nothing has."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from rich.console import RenderableType
from tests.app.ui.screen import dashboard, scenario
from textual.pilot import Pilot

from gpumon.app.demo.story import PRELUDE_SECONDS
from gpumon.app.ui.app import GpumonApp
from gpumon.app.ui.textual_internals import TrimmedUpdate, trimmed
from gpumon.collectors.samples import AnySample, NvmlSample
from gpumon.widgets.kit.updates import _pieces

SPILLED = scenario("spill", PRELUDE_SECONDS + 70)

CLOCK_CELLS = 8


class Cells:
    """Counts the cells of the lines that are written to the terminal."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.by_line: dict[int, int] = {}
        self.whole_screens = 0
        display = GpumonApp._display

        def counted(app: GpumonApp, screen: object, renderable: RenderableType | None) -> None:
            self.count(trimmed(renderable))
            display(app, screen, renderable)  # type: ignore[arg-type]

        monkeypatch.setattr(GpumonApp, "_display", counted)

    def count(self, renderable: RenderableType | None) -> None:
        if isinstance(renderable, TrimmedUpdate):
            for _, y, strip in _pieces(renderable.chops, renderable.spans, renderable.chop_ends):
                self.by_line[y] = self.by_line.get(y, 0) + strip.cell_length
        elif renderable is not None:
            self.whole_screens += 1

    def clear(self) -> None:
        self.by_line.clear()
        self.whole_screens = 0


@pytest.fixture
def cells(monkeypatch: pytest.MonkeyPatch) -> Cells:
    return Cells(monkeypatch)


def last_nvml() -> NvmlSample:
    return next(sample for sample in reversed(SPILLED) if isinstance(sample, NvmlSample))


async def fed(pilot: Pilot[int], cells: Cells, sample: AnySample) -> None:
    """Let the screen settle, then draw once with one sample more."""
    app = pilot.app
    assert isinstance(app, GpumonApp)
    for _ in range(3):
        await pilot.pause()
    cells.clear()
    app.session.monitor.feed(sample)
    app._draw()
    for _ in range(3):
        await pilot.pause()


async def test_drawing_what_has_not_changed_writes_nothing(cells: Cells) -> None:
    async with dashboard(SPILLED).run_test(size=(120, 40)) as pilot:
        await fed(pilot, cells, SPILLED[-1])
        await fed(pilot, cells, SPILLED[-1])
        assert (cells.by_line, cells.whole_screens) == ({}, 0)


async def test_a_changed_figure_costs_its_own_cells_and_not_its_line(cells: Cells) -> None:
    sample = last_nvml()
    gpu = sample.gpus[0]
    changed = replace(gpu, power_watts=(gpu.power_watts or 0.0) + 1.0)
    later = replace(sample, gpus=(changed, *sample.gpus[1:]))
    async with dashboard(SPILLED).run_test(size=(120, 40)) as pilot:
        await fed(pilot, cells, sample)
        await fed(pilot, cells, later)
    assert cells.whole_screens == 0
    assert sum(cells.by_line.values()) <= 3 + CLOCK_CELLS, f"cells by line: {cells.by_line}"
