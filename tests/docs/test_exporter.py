"""docs/exporter.md lists every series, with its labels and what it says."""

from __future__ import annotations

import re
from pathlib import Path

from gpumon.app.outlets.exporter.collect import DECLARED

PAGE = (Path(__file__).parents[2] / "docs" / "exporter.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| `(gpumon_\w+)` \| (.*?) \| (.*) \|$", re.MULTILINE)


def test_each_series_has_its_row_and_nothing_else_has_one() -> None:
    declared = {
        one.name: (", ".join(f"`{label}`" for label in (*labels, *one.labels)) or "-", one.help)
        for labels, series in DECLARED
        for one in series
    }
    assert {name: (labels, words) for name, labels, words in ROW.findall(PAGE)} == declared


def test_what_it_names_in_its_words_is_told() -> None:
    names = {one.name for _, series in DECLARED for one in series}
    assert set(re.findall(r"gpumon_[a-z_]+", PAGE)) <= names
