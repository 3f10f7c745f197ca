"""Flags as settings."""

from __future__ import annotations

import pytest

from gpumon.app.cli.parser import build_parser
from gpumon.app.config.entries import ConfigError, checked, settings_from
from gpumon.app.config.load import flag_entries
from gpumon.app.config.settings import Settings


def settings(*arguments: str) -> Settings:
    return settings_from(checked(flag_entries(vars(build_parser().parse_args(arguments)))))


def test_no_flag_sets_nothing() -> None:
    assert flag_entries(vars(build_parser().parse_args([]))) == {}


@pytest.mark.parametrize(
    ("flag", "expected"),
    [
        ("--interval=2.5", Settings(interval_seconds=2.5)),
        ("--ca-file=x.pem", Settings(ca_file="x.pem")),
        ("--insecure", Settings(insecure=True)),
        ("--theme=nord", Settings(theme="nord")),
        ("--ascii", Settings(glyphs="ascii")),
        ("--unicode", Settings(glyphs="unicode")),
        ("--no-mouse", Settings(mouse=False)),
        ("--bell", Settings(bell=True)),
        ("--url=http://box:1", Settings(urls=("http://box:1",))),
        ("--header=A: b", Settings(headers={"*": {"A": "b"}})),
        ("--header=http://box A: b", Settings(headers={"http://box": {"A": "b"}})),
    ],
)
def test_a_flag_sets_its_setting(flag: str, expected: Settings) -> None:
    assert settings(flag) == expected


def test_servers_add_up() -> None:
    assert settings("--url", "a", "--url", "b").urls == ("a", "b")


def test_headers_add_up() -> None:
    assert settings("--header", "A: b", "--header", "C: d").headers == {"*": {"A": "b", "C": "d"}}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--interval", "0"), "^--interval: must be at least 0.25"),
        (("--url", "ftp://x"), "^--url: expected a URL"),
        (("--header", "nonsense"), "^--header: a header is written"),
    ],
)
def test_a_wrong_flag_is_named(arguments: tuple[str, ...], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        settings(*arguments)
