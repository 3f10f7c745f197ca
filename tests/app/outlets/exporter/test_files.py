"""The dashboard and the alert rules: every series that they name is told, and the rules ring."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from tests.app.outlets.exporter.telling import NAMES

FOLDER = files("gpumon.app.outlets.exporter").joinpath("files")
DASHBOARD: dict[str, Any] = json.loads(FOLDER.joinpath("dashboard.json").read_text())
RULES = FOLDER.joinpath("rules.yml").read_text()
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def named(text: str) -> set[str]:
    return set(re.findall(r"\bgpumon_[a-z0-9_]+", text))


def test_every_series_of_the_dashboard_is_told() -> None:
    assert named(json.dumps(DASHBOARD)) <= NAMES


def test_every_series_of_the_rules_is_told() -> None:
    assert named(RULES) <= NAMES


def test_the_dashboard_can_be_imported_anywhere() -> None:
    assert DASHBOARD["uid"] == "gpumon-models"
    assert DASHBOARD["id"] is None
    assert [one["name"] for one in DASHBOARD["__inputs"]] == ["DS_PROMETHEUS"]
    assert {panel["datasource"]["uid"] for panel in PANELS} == {"${DS_PROMETHEUS}"}


def test_its_panels_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel.get("title")
        assert place["x"] + place["w"] <= 24
        taken |= cells


def test_its_panels_have_numbers_of_their_own() -> None:
    numbers = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(numbers)) == len(numbers)


def test_the_rules_ring_when_they_should(tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed")
    (tmp_path / "rules.yml").write_text(RULES)
    cases = Path(__file__).with_name("rules_test.yml").read_text()
    (tmp_path / "cases.yml").write_text(cases)
    done = subprocess.run(
        [promtool, "test", "rules", "cases.yml"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
