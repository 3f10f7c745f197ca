"""``gpumon config``."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from gpumon.app.cli.main import main
from gpumon.app.config.printed import template


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A settings file that is not there yet, in a folder that is not either."""
    path = tmp_path / "settings" / "config.toml"
    monkeypatch.setenv("GPUMON_CONFIG", str(path))
    return path


def test_path_prints_where_the_file_is_looked_for(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "path"]) == 0
    assert capsys.readouterr().out == f"{path}\n"


def test_init_writes_the_template_for_its_owner_only(path: Path) -> None:
    assert main(["config", "init"]) == 0
    assert path.read_text(encoding="utf-8") == template()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_init_leaves_a_file_that_is_there(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path.parent.mkdir()
    path.write_text("mouse = false\n", encoding="utf-8")
    assert main(["config", "init"]) == 2
    assert capsys.readouterr().err == f"gpumon: {path} is there already; --force replaces it\n"
    assert path.read_text(encoding="utf-8") == "mouse = false\n"


def test_init_replaces_a_file_when_forced(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("x" * 100_000, encoding="utf-8")
    assert main(["config", "init", "--force"]) == 0
    assert path.read_text(encoding="utf-8") == template()


def test_init_says_why_it_cannot_write(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path.mkdir(parents=True)
    assert main(["config", "init", "--force"]) == 2
    assert "directory" in capsys.readouterr().err


def test_show_prints_settings_with_their_origin(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path.parent.mkdir()
    path.write_text("mouse = false\n", encoding="utf-8")
    assert main(["config", "show", "--theme", "nord"]) == 0
    printed = capsys.readouterr().out
    assert f"mouse = false  # {path}:1\n" in printed
    assert 'theme = "nord"  # --theme\n' in printed


def test_show_names_the_line_of_a_mistake(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path.parent.mkdir()
    path.write_text("\nmuose = false\n", encoding="utf-8")
    assert main(["config", "show"]) == 2
    assert capsys.readouterr().err == f'gpumon: {path}:2: unknown key "muose"; did you mean "mouse"?\n'
