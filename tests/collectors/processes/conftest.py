"""A /proc of our own making."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.fakes.processes.tree import FakeProc


@pytest.fixture
def tree(tmp_path: Path) -> FakeProc:
    return FakeProc(tmp_path / "proc")
