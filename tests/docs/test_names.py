"""The documents name only files and packages that exist."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = [*sorted((ROOT / "docs").glob("*.md")), ROOT / "CONTRIBUTING.md", ROOT / "README.md"]
FOLDERS = "app|benchmarks|collectors|docs|screenshots|tests|text|widgets"


def paths_in(words: str) -> Iterator[str]:
    """Yield the paths and dotted names of packages that stand in backquotes."""
    yield from re.findall(rf"`((?:{FOLDERS})/[\w./-]*)`", words)
    for dotted in re.findall(r"`(?:gpumon\.)?((?:app|collectors|text|widgets)(?:\.[a-z_]+)*)`", words):
        yield dotted.replace(".", "/")


def exists(path: str) -> bool:
    """Return whether it is a file, a package, a module, or what a module defines."""
    file, parent = ROOT / path, (ROOT / path).parent.with_suffix(".py")
    if file.exists() or file.with_suffix(".py").exists():
        return True
    return parent.exists() and f"def {file.name}(" in parent.read_text(encoding="utf-8")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_a_document_names_only_what_exists(document: Path) -> None:
    named = set(paths_in(document.read_text(encoding="utf-8")))
    assert not {path for path in named if not exists(path)}


def test_what_is_gone_is_found() -> None:
    assert list(paths_in("see `app/gone.py` and `gpumon.app.state.gone`")) == [
        "app/gone.py",
        "app/state/gone",
    ]
