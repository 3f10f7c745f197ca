"""The moving picture of the README: a load, a spill and its cure, as one SVG that needs no player.

A page that shows an SVG as an image runs its CSS animations and none of its scripts; so each row of the
screen is drawn once for each look that it has, and CSS shows the look that is due. Whoever asks for reduced
motion sees the moment of the spill, and so does whatever plays no animations.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from typing import NamedTuple

from rich.color import Color
from rich.style import Style
from textual.pilot import Pilot
from textual.strip import Strip

from gpumon.app.alerts.limits import Limits
from gpumon.app.feeds.demo import DemoFeed
from gpumon.app.monitor import Monitor
from gpumon.app.session.session import Session
from gpumon.app.ui.app import GpumonApp
from gpumon.app.ui.screens.base import LiveScreen
from gpumon.app.ui.themes import DARK
from gpumon.widgets.glyphs import UNICODE

CELL_WIDTH = 8.4
CELL_HEIGHT = 18
FONT_SIZE = 14
BASELINE = 13.5
MARGIN = 10
FONTS = "ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace"
TEXT_COLOR = "#d8dce2"


class Moment(NamedTuple):
    """What is shown: so far into the story, for so long."""

    second: int
    shown_seconds: float


def _each(seconds: Iterable[int], shown_seconds: float) -> Iterator[Moment]:
    return (Moment(second, shown_seconds) for second in seconds)


SCENARIO = "spill"
START = 1_790_000_000.0
SIZE = (100, 28)
MOMENTS = (
    Moment(3, 2.5),  # all of it on the GPU
    *_each(range(9, 17), 0.5),  # the load
    *_each((17, 18, 19), 0.8),  # the spill
    *_each(range(20, 30, 2), 0.7),
    Moment(32, 2.5),  # what it costs
    Moment(40, 3.5),  # what to type
    *_each(range(111, 119), 0.5),  # the cure
    *_each(range(119, 131, 2), 0.6),
    Moment(134, 3.0),  # as fast as before
)
STILL = Moment(40, 3.5)


class Cells(NamedTuple):
    """Neighbouring cells of a row that look alike."""

    start: int
    text: str
    color: str
    ground: str | None
    bold: bool


Row = tuple[Cells, ...]
Screen = tuple[Row, ...]


class Reel(DemoFeed):
    """A demonstration that is wound to where it is wanted."""

    def __init__(self, scenario: str) -> None:
        super().__init__(scenario, START)
        self._unwound = self._samples()

    async def run(self, monitor: Monitor) -> None:
        """Feed nothing by itself."""

    def wind(self, monitor: Monitor, second: int) -> None:
        """Feed all samples up to ``second`` of the story."""
        end = START + second
        for sample in self._unwound:
            monitor.feed(sample)
            self.player.position = sample.time
            if sample.time >= end and sample.source.startswith("http"):
                return  # the server answers last in each second


async def screens(scenario: str, moments: Sequence[Moment], size: tuple[int, int]) -> list[Screen]:
    """Return what the dashboard shows at each moment."""
    reel = Reel(scenario)
    monitor = Monitor(Limits())
    app = GpumonApp(Session(monitor, reel, demo=reel), UNICODE, theme=DARK)
    shown: list[Screen] = []
    async with app.run_test(size=size) as pilot:
        for moment in moments:
            reel.wind(monitor, moment.second)
            shown.append(await _screen(pilot))
    return shown


async def _screen(pilot: Pilot[int]) -> Screen:
    if isinstance(pilot.app.screen, LiveScreen):
        pilot.app.screen.draw()
    await pilot.pause()
    await pilot.pause()
    return tuple(map(_row, pilot.app.screen._compositor.render_strips()))  # noqa: SLF001 - no other name


def _row(strip: Strip) -> Row:
    """Return the cells of a row, those alike together."""
    runs: list[Cells] = []
    start = 0
    for segment in strip:
        style = segment.style or Style()
        colors = (_hex(style.color), _hex(style.bgcolor))
        color, ground = colors[::-1] if style.reverse else colors
        cells = Cells(start, segment.text, color or TEXT_COLOR, ground, bool(style.bold))
        start += segment.cell_length
        if runs and runs[-1][2:] == cells[2:]:
            cells = cells._replace(start=runs[-1].start, text=runs.pop().text + cells.text)
        runs.append(cells)
    return tuple(runs)


def _hex(color: Color | None) -> str | None:
    return None if color is None or color.is_default else color.get_truecolor().hex


def animated_svg(screens: Sequence[Screen], seconds: Sequence[float], still: int = 0) -> str:
    """Return one SVG that shows each screen for its seconds, over and over; ``still`` where nothing moves."""
    columns = sum(len(cells.text) for cells in screens[0][0])
    width, height = columns * CELL_WIDTH + 2 * MARGIN, len(screens[0]) * CELL_HEIGHT + 2 * MARGIN
    ground = _usual_ground(screens)
    groups = _rows_by_time(screens)
    styles = "".join(_keyframes(number, when, seconds, still) for number, when in enumerate(groups))
    drawn = "".join(
        f'<g class="k{number}">{"".join(_drawn(y, row, ground) for y, row in rows)}</g>\n'
        for number, rows in enumerate(groups.values())
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}">\n'
        f"<title>gpumon: a model loads, spills to RAM, and is cured</title>\n"
        f"<style>text{{font:{FONT_SIZE}px {FONTS};white-space:pre}}.b{{font-weight:bold}}\n{styles}"
        "@media(prefers-reduced-motion:reduce){g{animation:none!important}}</style>\n"
        f'<rect width="{width:g}" height="{height:g}" rx="8" fill="{ground}"/>\n'
        f'<g transform="translate({MARGIN} {MARGIN})">\n{drawn}</g>\n</svg>\n'
    )


def _usual_ground(screens: Sequence[Screen]) -> str:
    grounds = Counter(cells.ground for row in screens[0] for cells in row for _ in cells.text if cells.ground)
    return grounds.most_common(1)[0][0]


Times = tuple[int, ...]
"""Which of the screens have a row."""


def _rows_by_time(screens: Sequence[Screen]) -> dict[Times, list[tuple[int, Row]]]:
    """Return each row and its place once, those together that are shown at the same times."""
    times: dict[tuple[int, Row], list[int]] = {}
    for number, screen in enumerate(screens):
        for place in enumerate(screen):
            times.setdefault(place, []).append(number)
    groups: dict[Times, list[tuple[int, Row]]] = {}
    for place, when in times.items():
        groups.setdefault(tuple(when), []).append(place)
    return groups


def _keyframes(number: int, when: Times, seconds: Sequence[float], still: int) -> str:
    """Return the CSS that shows a group at its times; none for what is always there."""
    whole, steps, passed = sum(seconds), "", 0.0
    if len(when) == len(seconds):
        return ""
    before = None
    for screen, lasts in enumerate(seconds):
        is_shown = screen in when
        if is_shown != before:
            steps += f"{passed / whole * 100:.2f}%{{opacity:{int(is_shown)}}}"
        before, passed = is_shown, passed + lasts
    shown = "" if still in when else "opacity:0;"
    name = f"k{number}"
    rule = f".{name}{{{shown}animation:{name} {whole:g}s step-end infinite}}"
    return f"{rule}@keyframes {name}{{{steps}}}\n"


def _drawn(y: int, row: Row, ground: str) -> str:
    return "".join(_cells_drawn(y * CELL_HEIGHT, cells, ground) for cells in row)


def _cells_drawn(top: float, cells: Cells, ground: str) -> str:
    """Draw the ground of some cells, then each of their words at its own place: fonts differ in width."""
    drawn = ""
    if cells.ground not in {None, ground}:
        x, width = cells.start * CELL_WIDTH, len(cells.text) * CELL_WIDTH
        drawn += (
            f'<rect x="{x:g}" y="{top:g}" width="{width:g}" height="{CELL_HEIGHT}" fill="{cells.ground}"/>'
        )
    for start, word in _words(cells):
        x, width = start * CELL_WIDTH, len(word) * CELL_WIDTH
        bold = ' class="b"' if cells.bold else ""
        drawn += (
            f'<text x="{x:g}" y="{top + BASELINE:g}" textLength="{width:g}" fill="{cells.color}"{bold}>'
            f"{escape(word)}</text>"
        )
    return drawn


def _words(cells: Cells) -> Iterator[tuple[int, str]]:
    """Yield what stands between gaps of two blanks or more, with the cell in which it begins."""
    start = cells.start
    for part in cells.text.split("  "):
        word = part.strip(" ")
        if word:
            yield start + len(part) - len(part.lstrip(" ")), word
        start += len(part) + 2


async def draw_motion(moments: Sequence[Moment] = MOMENTS, size: tuple[int, int] = SIZE) -> str:
    """Return the moving picture of the load, the spill and the cure."""
    shown = await screens(SCENARIO, moments, size)
    still = moments.index(STILL) if STILL in moments else 0
    return animated_svg(shown, [moment.shown_seconds for moment in moments], still)
