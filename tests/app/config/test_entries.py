"""A wrong key or value gets one line that names its place and says what to write."""

from __future__ import annotations

import re

import pytest

from gpumon.app.config.entries import ConfigError, Entries, Entry, checked, leaves, settings_from
from gpumon.app.config.schema import KeyPath, settings_of
from gpumon.app.config.settings import Settings

PLACE = "config.toml:7"


def entries(path: str | KeyPath, value: object, *, is_text: bool = False) -> Entries:
    key = tuple(path.split(".")) if isinstance(path, str) else path
    return {key: Entry(value, PLACE, is_text)}


def complaint(found: Entries) -> str:
    with pytest.raises(ConfigError, match=f"^{re.escape(PLACE)}: ") as caught:
        checked(found)
    return str(caught.value).removeprefix(f"{PLACE}: ")


def test_nothing_set_is_the_defaults() -> None:
    assert settings_from({}) == Settings()


def test_a_default_passes_its_own_check() -> None:
    defaults: Entries = {
        key.path: Entry(key.default, PLACE) for key in settings_of(Settings) if key.default is not None
    }
    del defaults["headers",]
    assert settings_from(checked(defaults)) == Settings()


def test_a_key_deep_in_a_table_is_set() -> None:
    assert settings_from(checked(entries("panels.gpus", False))).panels.gpus is False


def test_tables_are_flattened_to_their_values() -> None:
    assert dict(leaves({"a": 1, "b": {"c": [2], "d": {}}})) == {("a",): 1, ("b", "c"): [2]}


def test_an_unknown_key_is_named_with_the_one_it_looks_like() -> None:
    assert complaint(entries("intervl_seconds", 1)) == (
        'unknown key "intervl_seconds"; did you mean "interval_seconds"?'
    )


def test_an_unknown_key_in_a_table_is_named_with_the_table() -> None:
    assert complaint(entries("alerts.ram_low", 1)) == (
        'unknown key "alerts.ram_low"; did you mean "ram_low_percent"?'
    )


def test_an_unknown_key_that_looks_like_none_gets_no_guess() -> None:
    assert complaint(entries("zzz", 1)) == 'unknown key "zzz"'


def test_a_key_with_an_escape_is_shown_and_not_obeyed() -> None:
    assert "\x1b" not in complaint(entries(("\x1b[2J",), 1))


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("mouse", 3, "mouse: expected true or false, got a whole number"),
        ("interval_seconds", "fast", "interval_seconds: expected a number, got text in quotes"),
        ("interval_seconds", 0.1, "interval_seconds: must be at least 0.25"),
        ("interval_seconds", 61, "interval_seconds: must be at most 60.0"),
        ("interval_seconds", float("nan"), "interval_seconds: must be at least 0.25"),
        ("alerts.ram_low_percent", 101, "alerts.ram_low_percent: must be at most 100.0"),
        ("panels", 3, "panels: expected a table, got a whole number"),
        ("theme", "", "theme: must not be empty"),
        ("urls", [], "urls: must not be empty"),
        ("urls", [3], "urls: expected text in quotes, got a whole number"),
        ("urls", ["ftp://box"], 'urls: expected a URL such as "http://box:11434"'),
        ("alerts.hook", "notify-send x", "alerts.hook: expected a list, got text in quotes"),
        ("colors.error", "#GG", 'colors.error: expected a colour such as "#88c0d0" or "red"'),
        ("colors.error", "redd", 'colors.error: "redd" is no colour'),
        ("colors.error", "#12345", 'colors.error: "#12345" is no colour'),
        ("theme", "gruvbx", 'theme: no theme is called "gruvbx"; did you mean "gruvbox"?'),
        ("glyphs", "asci", 'glyphs: must be one of ascii, auto, unicode; did you mean "ascii"?'),
        ("ca_file", 3, "ca_file: expected text in quotes, got a whole number"),
    ],
)
def test_a_wrong_value_is_explained(path: str, value: object, words: str) -> None:
    assert complaint(entries(path, value)) == words


@pytest.mark.parametrize(("name", "value"), [("A B", "x"), ("A", "x\r\nB: y"), ("A", "x\n"), ("", "x")])
def test_a_header_cannot_smuggle_another_one_in(name: str, value: str) -> None:
    assert "without control characters" in complaint(entries(("headers", "*", name), value))


def test_a_secret_in_a_wrong_header_is_not_repeated() -> None:
    assert "s3cret" not in complaint(entries(("headers", "*", "Authorization"), "s3cret\x00"))


def test_text_stands_for_a_number_where_there_is_only_text() -> None:
    assert settings_from(checked(entries("interval_seconds", "2.5", is_text=True))).interval_seconds == 2.5


@pytest.mark.parametrize(("text", "value"), [("0", False), ("1", True), ("true", True), ("false", False)])
def test_text_stands_for_a_switch_where_there_is_only_text(text: str, value: bool) -> None:
    assert settings_from(checked(entries("mouse", text, is_text=True))).mouse is value


def test_text_in_a_file_does_not_stand_for_a_number() -> None:
    assert "expected a number" in complaint(entries("interval_seconds", "2.5"))


def test_wrong_text_is_repeated() -> None:
    assert complaint(entries("mouse", "perhaps", is_text=True)) == (
        'mouse: expected true or false, got "perhaps"'
    )


def test_a_password_in_the_url_of_a_wrong_header_is_not_repeated() -> None:
    assert "s3cret" not in complaint(entries(("headers", "http://me:s3cret@box", "A B"), "x"))
