"""A setting is said once: one declaration is seen in every place that names settings."""

from __future__ import annotations

import re
from argparse import ArgumentParser
from pathlib import Path
from typing import Annotated

import pytest
import shtab
from argparse_manpage.manpage import Manpage
from docs.manual import key_tables, variable_table
from msgspec import Meta, field

from gpumon.app.cli.flags import add_setting_flags
from gpumon.app.config.entries import ConfigError, Entries
from gpumon.app.config.load import Loaded, flag_entries, load
from gpumon.app.config.printed import shown, template
from gpumon.app.config.schema import Flag, Table, about, masked, settings_of, table_description
from gpumon.app.config.settings import Settings


class Sound(Table, frozen=True):
    """What is heard."""

    volume: Annotated[
        Annotated[float, Meta(ge=0, le=11)],
        about(
            "How loud it is.",
            flag=Flag("screen", "--volume", "NUMBER"),
            variable="GPUMON_VOLUME",
            check=lambda text: "nobody wants that" if text == "7" else None,
        ),
    ] = 5.0
    key: Annotated[str | None, about("Opens the box.", example="xyz", secret=masked)] = None


class WithSound(Settings, frozen=True):
    """The settings and one table of two more."""

    sound: Sound = field(default_factory=Sound)


def parser() -> ArgumentParser:
    parser = ArgumentParser("toy")
    add_setting_flags(parser, "screen", WithSound)
    return parser


def loaded(folder: Path, text: str = "", flags: Entries | None = None, **environ: str) -> Loaded:
    path = folder / "config.toml"
    path.write_text(text, encoding="utf-8")
    return load(flags or {}, environ, path, WithSound)


def volume(of: Loaded) -> float:
    assert isinstance(of.settings, WithSound)
    return of.settings.sound.volume


def test_it_is_a_key_of_the_file(tmp_path: Path) -> None:
    assert volume(loaded(tmp_path, "[sound]\nvolume = 3\n")) == 3.0


def test_it_is_a_variable(tmp_path: Path) -> None:
    assert volume(loaded(tmp_path, GPUMON_VOLUME="4")) == 4.0


def test_it_is_a_flag(tmp_path: Path) -> None:
    flags = flag_entries(vars(parser().parse_args(["--volume", "6"])), WithSound)
    assert volume(loaded(tmp_path, flags=flags)) == 6.0


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("[sound]\nvolume = 12\n", "sound.volume: must be at most 11.0"),
        ("[sound]\nvolume = 7\n", "sound.volume: nobody wants that"),
        ("[sound]\nvolum = 1\n", 'unknown key "sound.volum"; did you mean "volume"?'),
    ],
)
def test_a_mistake_in_it_names_file_line_and_key(tmp_path: Path, text: str, wrong: str) -> None:
    with pytest.raises(ConfigError, match=rf"config\.toml:2: {re.escape(wrong)}$"):
        loaded(tmp_path, text)


def test_it_is_shown_with_the_place_that_set_it(tmp_path: Path) -> None:
    assert "[sound]\nvolume = 4.0  # GPUMON_VOLUME\n" in shown(loaded(tmp_path, GPUMON_VOLUME="4"))


def test_a_secret_in_it_is_not_shown(tmp_path: Path) -> None:
    printed = shown(loaded(tmp_path, '[sound]\nkey = "s3cret"\n'))
    assert 'key = "********"' in printed
    assert "s3cret" not in printed


def test_it_stands_in_the_template() -> None:
    written = "# What is heard.\n#[sound]\n# How loud it is, 0 to 11.\n#volume = 5.0\n"
    assert written in template(WithSound)


def test_it_stands_in_the_tables_of_the_guide() -> None:
    assert "| `volume` | `5.0` | How loud it is, 0 to 11. |" in key_tables(WithSound)
    assert "| `GPUMON_VOLUME` | `sound.volume` | `--volume NUMBER` |" in variable_table(WithSound)


def test_it_stands_in_help_manual_and_completion() -> None:
    whole = parser()
    whole.description = "A toy."
    assert "--volume NUMBER" in whole.format_help()
    assert "how loud it is, 0 to 11" in whole.format_help()
    assert "volume" in str(Manpage(whole))
    assert "--volume" in shtab.complete(whole, "bash")


@pytest.mark.parametrize("path", sorted({key.path[:-1] for key in settings_of(Settings)} - {()}))
def test_every_table_says_what_it_is_for(path: tuple[str, ...]) -> None:
    assert table_description(Settings, path).endswith(".")


@pytest.mark.parametrize("what", ["flag", "variable"])
def test_no_two_settings_share_a_flag_or_a_variable(what: str) -> None:
    declared = [getattr(key.about, what) for key in settings_of(Settings)]
    names = [getattr(one, "attribute", one) for one in declared if one is not None]
    assert len(names) == len(set(names))
