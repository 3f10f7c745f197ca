"""Which place wins."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gpumon.app.config.entries import ConfigError, Entries, Entry
from gpumon.app.config.load import Loaded, config_path, load
from gpumon.app.config.schema import settings_of
from gpumon.app.config.settings import Settings

FLAG: Entries = {("theme",): Entry("nord", "--theme")}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "config.toml"
    path.write_text('theme = "gruvbox"\nurls = ["http://file:1"]\n', encoding="utf-8")
    return path


def loaded(path: Path, flags: Entries | None = None, **environ: str) -> Loaded:
    return load(flags or {}, environ, path)


def test_the_file_wins_over_the_default(file: Path) -> None:
    assert loaded(file).settings.theme == "gruvbox"


def test_the_environment_wins_over_the_file(file: Path) -> None:
    assert loaded(file, GPUMON_THEME="monokai").settings.theme == "monokai"


def test_a_flag_wins_over_the_environment(file: Path) -> None:
    assert loaded(file, FLAG, GPUMON_THEME="monokai").settings.theme == "nord"


def test_an_empty_variable_sets_nothing(file: Path) -> None:
    assert loaded(file, GPUMON_THEME="").settings.theme == "gruvbox"


def test_the_origin_of_a_setting_is_known(file: Path) -> None:
    origins = {path: entry.origin for path, entry in loaded(file, GPUMON_MOUSE="0").entries.items()}
    assert origins == {("theme",): f"{file}:1", ("urls",): f"{file}:2", ("mouse",): "GPUMON_MOUSE"}


def test_ollamas_variable_names_the_server_where_nothing_else_does(tmp_path: Path) -> None:
    (tmp_path / "empty.toml").touch()
    assert loaded(tmp_path / "empty.toml", OLLAMA_HOST=" 'box:1' ").settings.urls == ("box:1",)


def test_a_server_in_the_file_wins_over_ollamas_variable(file: Path) -> None:
    assert loaded(file, OLLAMA_HOST="box").settings.urls == ("http://file:1",)


def test_several_servers_fit_into_the_variable(file: Path) -> None:
    assert loaded(file, GPUMON_URL="http://a:1, http://b:1").settings.urls == ("http://a:1", "http://b:1")


def test_headers_in_the_environment_stand_one_a_line(file: Path) -> None:
    lines = "X-Team: a:b\nhttp://box:1 Authorization: Bearer x"
    assert loaded(file, GPUMON_HEADER=lines).settings.headers == {
        "*": {"X-Team": "a:b"},
        "http://box:1": {"Authorization": "Bearer x"},
    }


def test_a_stronger_place_replaces_a_header_that_is_spelled_in_another_case(file: Path) -> None:
    file.write_text('[headers."*"]\nAuthorization = "file"\n', encoding="utf-8")
    flags: Entries = {("headers", "*", "AUTHORIZATION"): Entry("flag", "--header")}
    found = loaded(file, flags, GPUMON_HEADER="authorization: environment")
    assert found.settings.headers == {"*": {"AUTHORIZATION": "flag"}}
    assert [path[-1] for path in found.entries] == ["AUTHORIZATION"]


def test_a_panel_of_a_key_can_be_hidden(file: Path) -> None:
    file.write_text("[panels]\nchart = false\n", encoding="utf-8")
    assert loaded(file).settings.panels.chart is False


@pytest.mark.parametrize("place", ["file", "GPUMON_URL", "--url"])
def test_a_url_that_cannot_be_asked_is_refused_wherever_it_is_said(file: Path, place: str) -> None:
    url = "http://127.0.0.1:99999"
    file.write_text(f'urls = ["{url}"]\n' if place == "file" else "", encoding="utf-8")
    flags: Entries = {("urls",): Entry(["http://box", url], "--url")} if place == "--url" else {}
    environ = {"GPUMON_URL": url} if place == "GPUMON_URL" else {}
    origin = rf"{re.escape(str(file))}:1: urls" if place == "file" else place
    with pytest.raises(ConfigError, match=rf"^{origin}: port 99999 is not between 1 and 65535$"):
        load(flags, environ, file)


def test_ollamas_own_variable_is_taken_by_ollamas_rules(tmp_path: Path) -> None:
    (tmp_path / "empty.toml").touch()
    assert loaded(tmp_path / "empty.toml", OLLAMA_HOST="127.0.0.1:99999").settings.urls == (
        "127.0.0.1:99999",
    )


def test_a_header_without_a_colon_is_refused_and_not_repeated(file: Path) -> None:
    with pytest.raises(ConfigError, match="GPUMON_HEADER") as caught:
        loaded(file, GPUMON_HEADER="s3cret")
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    "name",
    [
        key.about.variable
        for key in settings_of(Settings)
        if key.about.variable not in {None, "GPUMON_CA_FILE", "GPUMON_URL", "GPUMON_NTFY_TOKEN"}
    ],
)
def test_a_wrong_variable_is_named(file: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=f"^{name}: "):
        load({}, {name: "nonsense"}, file)


def test_the_command_line_names_the_file_before_the_environment_does(tmp_path: Path) -> None:
    environ = {"GPUMON_CONFIG": str(tmp_path / "a")}
    assert config_path(environ) == (tmp_path / "a", True)
    assert config_path(environ, tmp_path / "b") == (tmp_path / "b", True)


def test_a_home_directory_in_the_path_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert config_path({"GPUMON_CONFIG": "~/x.toml"})[0] == Path("/home/me/x.toml")


def test_a_colour_that_is_none_names_its_file_and_line(file: Path) -> None:
    file.write_text('[colors]\nprimary = "#112233"\nerror = "redd"\n', encoding="utf-8")
    with pytest.raises(ConfigError, match=rf'^{re.escape(str(file))}:3: colors\.error: "redd" is no colour$'):
        loaded(file)


def test_a_theme_that_is_none_names_its_file_and_line(file: Path) -> None:
    file.write_text('mouse = true\ntheme = "nord-ish-but-not"\n', encoding="utf-8")
    with pytest.raises(ConfigError, match=rf"^{re.escape(str(file))}:2: theme: no theme is called"):
        loaded(file)


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
