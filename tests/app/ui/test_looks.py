"""The whole screen at each width, kept as text. ``GPUMON_UPDATE_GOLDEN=1`` keeps what it is now."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.app.ui.screen import dashboard, scenario, text

from gpumon.app.demo.story import PRELUDE_SECONDS
from gpumon.widgets.glyphs import ASCII, UNICODE

GOLDEN = Path(__file__).parent / "golden"
SIZES = [(200, 50), (120, 40), (80, 24), (60, 12), (40, 12)]
MOMENTS = {"spill": 75.0, "fleet": 30.0, "gpu-lost": 45.0}


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.setattr("importlib.metadata.version", lambda _name: "1.2.3")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("name", MOMENTS)
async def test_the_screen_looks_as_kept(name: str, size: tuple[int, int]) -> None:
    samples = scenario(name, PRELUDE_SECONDS + MOMENTS[name])
    async with dashboard(samples).run_test(size=size) as pilot:
        check(f"{name}-{size[0]}x{size[1]}", await text(pilot))


@pytest.mark.parametrize(
    "keys", [("enter",), ("g", "enter"), ("question_mark",)], ids=["model", "gpu", "help"]
)
async def test_the_pages_look_as_kept(keys: tuple[str, ...], request: pytest.FixtureRequest) -> None:
    samples = scenario("spill", PRELUDE_SECONDS + 75)
    async with dashboard(samples).run_test(size=(100, 60)) as pilot:
        await pilot.press(*keys)
        check(request.node.callspec.id, await text(pilot))


@pytest.mark.parametrize(
    "keys",
    [(), ("enter",), ("g", "enter"), ("question_mark",), ("slash",), ("u",), ("colon",)],
    ids=["dashboard", "model", "gpu", "help", "filter", "notice", "palette"],
)
async def test_ascii_is_ascii_to_the_last_cell(keys: tuple[str, ...]) -> None:
    samples = scenario("spill", PRELUDE_SECONDS + 75)
    async with dashboard(samples, glyphs=ASCII).run_test(size=(100, 30), notifications=True) as pilot:
        await pilot.press(*keys)
        screen = await text(pilot)
        assert screen.isascii(), {character for character in screen if not character.isascii()}


async def test_help_in_ascii_names_the_arrows() -> None:
    async with dashboard(glyphs=ASCII).run_test(size=(80, 60)) as pilot:
        await pilot.press("question_mark")
        assert "Down Up j k" in await text(pilot)


def check(name: str, screen: str) -> None:
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("GPUMON_UPDATE_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"{screen}\n", encoding="utf-8")
    assert f"{screen}\n" == path.read_text(encoding="utf-8"), f"{path.name} has changed; look at it"


def test_every_golden_is_used() -> None:
    assert UNICODE.braille, "the goldens are drawn with the full glyph set"
    used = {f"{name}-{columns}x{rows}" for name in MOMENTS for columns, rows in SIZES} | {
        "model",
        "gpu",
        "help",
        *("past-120x40", "past-80x24", "past-40x12"),
        *(f"hosts-{size}" for size in ("200x50", "120x40", "80x24", "60x20", "40x12")),
    }
    assert {path.stem for path in GOLDEN.glob("*.txt")} == used
