"""A key is named in the settings and stands elsewhere: in a variable or in a file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gpumon.app.config.entries import ConfigError
from gpumon.app.config.load import load
from gpumon.app.config.printed import shown

URL = "http://box:5000"


def settings(folder: Path, said: str) -> Path:
    path = folder / "config.toml"
    path.write_text(f'[headers."{URL}"]\nAuthorization = {said}\n', encoding="utf-8")
    return path


def sent(folder: Path, said: str, **environ: str) -> str:
    return load({}, environ, settings(folder, said)).settings.headers_for(URL)["Authorization"]


def problem(folder: Path, said: str, **environ: str) -> str:
    with pytest.raises(ConfigError) as raised:
        sent(folder, said, **environ)
    return str(raised.value)


def test_it_is_read_from_a_variable_with_what_belongs_before_it(tmp_path: Path) -> None:
    said = '{ env = "TABBY_KEY", prefix = "Bearer " }'
    assert sent(tmp_path, said, TABBY_KEY="s3cret") == "Bearer s3cret"


def test_it_is_read_from_a_file_beside_the_settings_without_its_line_end(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("s3cret\n", encoding="utf-8")
    assert sent(tmp_path, '{ file = "key" }') == "s3cret"


def test_a_table_of_its_own_says_the_same(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(f'[headers."{URL}".Authorization]\nenv = "KEY"\n', encoding="utf-8")
    assert load({}, {"KEY": "a"}, path).settings.headers_for(URL) == {"Authorization": "a"}


@pytest.mark.parametrize("value", ["env:TABBY_KEY", "file:key", "{ env = X }"])
def test_a_text_is_sent_as_it_is_whatever_it_looks_like(tmp_path: Path, value: str) -> None:
    assert sent(tmp_path, f'"{value}"', TABBY_KEY="s3cret") == value


def test_it_is_never_printed(tmp_path: Path) -> None:
    path = settings(tmp_path, '{ env = "KEY", prefix = "Bearer " }')
    text = shown(load({}, {"KEY": "s3cret"}, path))
    assert "s3cret" not in text
    assert f'[headers."{URL}"]\nAuthorization = "********"  # {path}:2' in text


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ('{ env = "NO_SUCH" }', "the variable NO_SUCH is not set"),
        ('{ env = "EMPTY" }', "the variable EMPTY is not set"),
        ('{ env = "LINES" }', "the variable LINES holds more than one line, or what cannot be sent"),
        ('{ file = "missing" }', "{folder}/missing: no such file or directory"),
        ('{ file = "." }', "{folder} is no regular file"),
        ('{ file = "empty" }', "{folder}/empty is empty"),
        ('{ prefix = "Bearer " }', 'say where its value is: env = "VARIABLE", or file = "PATH"'),
        ('{ env = "A", file = "B" }', 'say where its value is: env = "VARIABLE", or file = "PATH"'),
        ('{ environment = "A" }', '"environment" is none of env, file, prefix'),
        ("{ env = 5 }", "env is text in quotes"),
    ],
)
def test_what_is_not_there_is_said_in_one_line_with_its_place(tmp_path: Path, said: str, words: str) -> None:
    (tmp_path / "empty").touch()
    told = problem(tmp_path, said, EMPTY=" ", LINES="s3cret\nX-Other: 1")
    where = f"{tmp_path}/config.toml:2: headers.{URL}.Authorization"
    assert told == f"{where}: {words.format(folder=tmp_path)}"
    assert "s3cret" not in told


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read anything")
def test_a_file_that_may_not_be_read_is_said_so(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("s3cret", encoding="utf-8")
    key.chmod(0)
    assert problem(tmp_path, '{ file = "key" }').endswith("key: permission denied")


def test_a_prefix_with_a_control_character_is_refused_as_any_value_is(tmp_path: Path) -> None:
    assert "without control characters" in problem(tmp_path, '{ env = "KEY", prefix = "a\\nb" }', KEY="x")
