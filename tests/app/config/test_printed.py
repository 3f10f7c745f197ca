"""Settings as TOML text: those in effect, the file to start from, single values."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from gpumon.app.config.entries import Entries, Entry, checked, leaves, settings_from
from gpumon.app.config.load import Loaded
from gpumon.app.config.printed import shown, template, toml_key, toml_value
from gpumon.app.config.schema import MASK, settings_of
from gpumon.app.config.settings import Settings

NOWHERE = Path("/nowhere/config.toml")


def printed(entries: Entries | None = None) -> str:
    entries = entries or {}
    return shown(Loaded(settings_from(entries), entries, NOWHERE))


def test_a_file_that_is_not_there_is_said_to_be_missing() -> None:
    assert printed().splitlines()[0] == f"# {NOWHERE} (not there)"


def test_what_is_printed_is_a_settings_file() -> None:
    entries: Entries = {(key,): Entry(value, "x") for key, value in tomllib.loads(printed()).items()}
    assert settings_from(entries) == Settings()


def test_a_variables_text_is_printed_as_what_it_stands_for() -> None:
    assert "mouse = false  # GPUMON_MOUSE\n" in printed(
        {("mouse",): Entry("0", "GPUMON_MOUSE", is_text=True)}
    )


def test_each_setting_names_its_origin() -> None:
    text = printed({("mouse",): Entry(False, "GPUMON_MOUSE")})
    assert "mouse = false  # GPUMON_MOUSE\n" in text
    assert 'theme = "auto"  # default\n' in text


def test_the_value_of_a_header_is_masked() -> None:
    text = printed({("headers", "http://box", "Authorization"): Entry("Bearer s3cret", "--header")})
    assert f'[headers."http://box"]\nAuthorization = "{MASK}"  # --header\n' in text
    assert "s3cret" not in text


def test_a_password_in_a_url_is_masked() -> None:
    text = printed({("urls",): Entry(["http://me:s3cret@box:1"], "--url")})
    assert f'urls = ["http://{MASK}@box:1"]' in text


def test_a_password_in_the_url_of_a_header_is_masked() -> None:
    assert "s3cret" not in printed({("headers", "http://me:s3cret@box", "A"): Entry("b", "--header")})


def test_a_password_in_a_url_without_a_scheme_is_masked() -> None:
    assert "s3cret" not in printed({("urls",): Entry(["me:s3cret@box:1"], "OLLAMA_HOST")})


def without_marks(text: str) -> str:
    return re.sub(r"^#(?! )", "", text, flags=re.MULTILINE)


def test_as_written_it_sets_nothing() -> None:
    assert tomllib.loads(template()) == {}


def test_with_the_marks_removed_every_line_is_a_setting_that_can_be_used() -> None:
    tree = tomllib.loads(without_marks(template()))
    assert checked({path: Entry(value, "template") for path, value in leaves(tree)})


def test_it_holds_every_key() -> None:
    there = {path[:2] for path, _ in leaves(tomllib.loads(without_marks(template())))}
    assert {key.path for key in settings_of(Settings) if key.path != ("headers",)} <= there


TEXT = st.text(st.characters(exclude_categories=["Cs"]))
VALUES = st.recursive(
    st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | TEXT,
    st.lists,
    max_leaves=4,
)


@given(TEXT, VALUES)
def test_what_is_written_is_read_back(key: str, value: object) -> None:
    assert tomllib.loads(f"{toml_key(key)} = {toml_value(value)}") == {key: value}


@given(TEXT)
def test_no_control_character_reaches_the_terminal(text: str) -> None:
    assert toml_value(text).isprintable()
