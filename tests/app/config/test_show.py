"""The settings in effect, as they are printed."""

from __future__ import annotations

import tomllib
from pathlib import Path

from gpumon.app.config.entries import Entries, Entry, settings_from
from gpumon.app.config.load import Loaded
from gpumon.app.config.printed import shown
from gpumon.app.config.schema import MASK
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
