"""Every test that the guide to reliability names is there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs" / "reliability.md"
NAMED = re.compile(r"`(?P<file>[\w/]+)::(?P<test>\w+)`")
TABLES = ("## Set-ups that people have", "### By force", "### Slips")
ROWS = (35, 24, 11)


def named_in(text: str) -> Iterator[tuple[str, str]]:
    """Yield file and test of each ``file::test``; both are written without their usual beginnings."""
    for found in NAMED.finditer(text):
        yield f"tests/{found['file']}.py", f"test_{found['test']}"


def is_there(file: str, test: str) -> bool:
    """Return whether a file defines a test."""
    path = ROOT / file
    return path.exists() and re.search(rf"def {test}\(", path.read_text(encoding="utf-8")) is not None


def test_every_test_that_is_named_exists() -> None:
    named = list(named_in(GUIDE.read_text(encoding="utf-8")))
    assert not [one for one in named if not is_there(*one)]
    assert len(named) > sum(ROWS)


def test_every_row_names_a_test() -> None:
    text = GUIDE.read_text(encoding="utf-8")
    for title, least in zip(TABLES, ROWS, strict=True):
        table = text.split(f"{title}\n")[1].split("\n#")[0]
        rows = [line for line in table.splitlines() if line.startswith("| ")][2:]
        assert len(rows) >= least, title
        assert not [row for row in rows if not NAMED.search(row)]


def test_one_that_is_gone_is_found() -> None:
    (gone,) = named_in("see `app/cli/test_main::gone`")
    assert gone == ("tests/app/cli/test_main.py", "test_gone")
    assert not is_there(*gone)
