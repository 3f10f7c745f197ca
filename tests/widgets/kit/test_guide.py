"""What docs/drawing.md shows is what the kit does."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

GUIDE = Path(__file__).parents[3] / "docs" / "drawing.md"
BLOCKS = re.findall(
    r"^```python\n(.*?)^```$", GUIDE.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL
)


def run(block: str) -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "guide"}
    exec(compile(block, str(GUIDE), "exec"), names)  # noqa: S102 - of our own page
    return names


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_each_example_holds(block: str) -> None:
    run(block)


async def test_the_panel_of_the_guide_draws_its_figure() -> None:
    names = run(next(block for block in BLOCKS if "class Example" in block))
    async with names["Example"]().run_test(size=(20, 5)) as pilot:
        await pilot.pause()
        queue = pilot.app.query_one(names["Queue"])
        assert [queue.render_line(y).text.rstrip() for y in range(2)] == ["─ Queue ────────────", "waiting 3"]
