"""The moving picture of the README, played as a browser would."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from screenshots import motion
from screenshots.motion import Cells, Moment, Screen
from tests.fakes.browser import PROGRAM, browser

ROOT = Path(__file__).parents[2]
SVG = "{http://www.w3.org/2000/svg}"
LARGEST_BYTES = 1_500_000


def opacity_at(css: str, name: str, percent: float) -> int:
    """Return what ``step-end`` makes of the keyframes of a group."""
    found = re.search(rf"@keyframes {name}{{(.*?)}}}}?\n", css)
    if found is None:
        return 1
    steps = re.findall(r"([\d.]+)%{opacity:(\d)", found[1])
    return int([value for at, value in steps if float(at) <= percent][-1])


def texts_at(svg: str, percent: float) -> set[str]:
    """Return the words that are shown when so much of the picture has passed."""
    root = ET.fromstring(svg)  # noqa: S314 - our own
    css = root.findtext(f"{SVG}style") or ""
    groups = [group for group in root.iter(f"{SVG}g") if group.get("class")]
    shown = (group for group in groups if opacity_at(css, group.get("class") or "", percent))
    return {text.text or "" for group in shown for text in group.iter(f"{SVG}text")}


def starts(seconds: list[float]) -> Iterator[float]:
    """Yield the middle of each screen's time, in percent of the whole."""
    for number, lasts in enumerate(seconds):
        yield (sum(seconds[:number]) + lasts / 2) / sum(seconds) * 100


def screen(*rows: str) -> Screen:
    return tuple((Cells(0, row, "#ffffff", "#000000", bold=False),) for row in rows)


def test_each_screen_is_shown_at_its_time_and_no_other() -> None:
    screens = [screen("title", "one  "), screen("title", "two  "), screen("title", "one  ")]
    seconds = [1.0, 2.0, 0.5]
    svg = motion.animated_svg(screens, seconds)
    assert [texts_at(svg, percent) for percent in starts(seconds)] == [
        {"title", "one"},
        {"title", "two"},
        {"title", "one"},
    ]
    assert svg.count(">one<") == 1, "what looks the same is drawn once"


def test_where_nothing_moves_one_screen_is_shown() -> None:
    svg = motion.animated_svg([screen("one"), screen("two")], [1.0, 1.0], still=1)
    hidden = re.findall(r"\.(k\d+){opacity:0", svg)
    shown = [group for group in ("k0", "k1") if group not in hidden]
    root = ET.fromstring(svg)  # noqa: S314 - our own
    texts = [
        text.text
        for group in root.iter(f"{SVG}g")
        if group.get("class") in shown
        for text in group.iter(f"{SVG}text")
    ]
    assert texts == ["two"]


def test_markup_in_a_name_is_text() -> None:
    svg = motion.animated_svg([screen("<b>&x")], [1.0])
    assert texts_at(svg, 0) == {"<b>&x"}


async def test_the_picture_has_the_load_the_spill_and_the_cure() -> None:
    moments = (Moment(3, 1.0), Moment(12, 1.0), Moment(20, 1.0), Moment(134, 1.0))
    svg = await motion.draw_motion(moments)
    calm, load, spill, cured = (" ".join(sorted(texts_at(svg, at))) for at in starts([1.0] * 4))
    assert "all of it is on the GPU: 45 tokens a second" in calm
    assert "LOADING" in load
    assert "38%" in spill
    assert "num_ctx 6400" in spill
    assert "num_ctx 6400" not in cured
    assert len({calm, load, spill, cured}) == 4


@pytest.mark.parametrize("name", ["motion.svg"])
def test_the_picture_that_the_readme_opens_with_is_small_and_runs_without_scripts(name: str) -> None:
    svg = (ROOT / "screenshots" / name).read_text(encoding="utf-8")
    assert f"](screenshots/{name})" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(svg.encode()) < LARGEST_BYTES
    assert "<script" not in svg
    assert svg.count("http") == 1, "nothing is loaded from elsewhere"


@pytest.mark.skipif(PROGRAM is None, reason="no Chromium")
async def test_it_plays_where_a_page_shows_it_as_an_image(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text(f'<img src="{(ROOT / "screenshots/motion.svg").as_uri()}" width="860">', encoding="utf-8")
    async with browser(tmp_path / "profile") as chromium:
        await chromium.open(page.as_uri(), 900, 560)
        await chromium.until("document.images[0]?.complete && document.images[0].naturalWidth > 0")
        seen = set[bytes]()
        async with asyncio.timeout(60):
            while len(seen) < 4:  # the first look, and three of the load
                seen.add(await chromium.picture())
        assert chromium.complaints == []
