"""Colours in a file of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpumon.app.config.entries import ConfigError
from gpumon.app.config.load import load


def test_its_colours_are_taken_and_the_settings_file_wins(tmp_path: Path) -> None:
    tmp_path.joinpath("theme.toml").write_text('primary = "#112233"\nerror = "#445566"\n')
    config = tmp_path / "config.toml"
    config.write_text('[colors]\nerror = "red"\n')
    colors = load({}, {}, config).settings.colors
    assert colors.primary == "#112233"
    assert colors.error == "red"


def test_a_wrong_key_in_it_names_its_file_and_line(tmp_path: Path) -> None:
    tmp_path.joinpath("theme.toml").write_text('primary = "#112233"\nprimray = "#445566"\n')
    config = tmp_path / "config.toml"
    config.touch()
    with pytest.raises(ConfigError, match=r"theme\.toml:2.*primray"):
        load({}, {}, config)
