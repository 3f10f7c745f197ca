"""``docs/history.md`` names every view and every column there is."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec import Struct

from gpumon.app.history import rows

TEXT = (Path(__file__).parents[2] / "docs" / "history.md").read_text(encoding="utf-8")
VIEWS: dict[str, type[Struct]] = {
    "sessions": rows.Session,
    **{one.VIEW: one for one in rows.OfModel.__subclasses__()},
    **{one.VIEW: one for one in (rows.MachineMinute, rows.GpuMinute, rows.Event)},
}


@pytest.mark.parametrize("view", VIEWS)
def test_every_column_of_a_view_is_explained(view: str) -> None:
    [line] = [line for line in TEXT.splitlines() if line.startswith(f"| `{view}` |")]
    common = (
        {*rows.OfModel.__struct_fields__}
        if view not in {"sessions", "gpu_minutes"}
        else {*rows.Row.__struct_fields__}
    )
    named = {name for name in VIEWS[view].__struct_fields__ if f"`{name}`" in line}
    assert set(VIEWS[view].__struct_fields__) - named <= (set() if view == "sessions" else common)
    assert all(f"`{name}`" in TEXT for name in rows.OfModel.__struct_fields__)
