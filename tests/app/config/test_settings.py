"""What the settings mean to the rest of the program."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpumon.app.alerts.limits import Limits
from gpumon.app.config.schema import Setting, settings_of
from gpumon.app.config.settings import AlertSettings, Panels, Settings
from gpumon.app.ui.keys import DASHBOARD_KEYS


def test_the_defaults_of_the_alerts_are_those_of_the_rules() -> None:
    assert AlertSettings().limits() == Limits()


def test_a_limit_that_is_set_reaches_the_rules() -> None:
    assert AlertSettings(ram_low_percent=20.0).limits().ram_low_percent == 20.0


def test_headers_for_one_server_win_over_those_for_all() -> None:
    settings = Settings(headers={"*": {"A": "all", "B": "all"}, "http://box:11434": {"A": "box"}})
    assert settings.headers_for("http://box:11434") == {"A": "box", "B": "all"}
    assert settings.headers_for("http://other") == {"A": "all", "B": "all"}


def test_names_of_headers_compare_without_case() -> None:
    settings = Settings(headers={"*": {"Authorization": "all"}, "http://box:11434": {"authorization": "box"}})
    assert settings.headers_for("http://box:11434") == {"authorization": "box"}
    assert settings.headers_for("http://other") == {"Authorization": "all"}


def test_the_panels_are_those_of_the_keys() -> None:
    actions = [key.action for key in DASHBOARD_KEYS if key.action.startswith("toggle_panel(")]
    assert [f"toggle_panel('{name}')" for name in Panels.__struct_fields__ if name != "sources"] == actions


@pytest.mark.parametrize("spelling", ["box", "http://box:11434", "http://box:11434/", "box:11434"])
def test_headers_find_their_server_however_it_is_spelled(spelling: str) -> None:
    assert Settings(headers={spelling: {"A": "b"}}).headers_for("box:11434") == {"A": "b"}


@pytest.mark.parametrize("key", list(settings_of(Settings)), ids=lambda key: ".".join(key.path))
def test_every_key_has_a_description_and_something_to_show(key: Setting) -> None:
    assert key.description.endswith(".")
    assert key.default is not None or key.example is not None


def test_the_guide_names_every_key_and_every_variable() -> None:
    guide = (Path(__file__).parents[3] / "docs" / "configuration.md").read_text(encoding="utf-8")
    named = (
        {key.path[-1] for key in settings_of(Settings)}
        | {key.about.variable for key in settings_of(Settings) if key.about.variable}
        | {"GPUMON_CONFIG"}
    )
    assert {name for name in named if f"`{name}`" not in guide} == set()
