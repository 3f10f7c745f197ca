"""What every command module adds itself with: its own parser, and the flags that are settings."""

from __future__ import annotations

import argparse
from argparse import SUPPRESS, ArgumentParser, BooleanOptionalAction
from pathlib import Path
from typing import Protocol

from gpumon.app.config.schema import Flag, FlagGroup, Setting, settings_of
from gpumon.app.config.settings import Settings


class Commands(Protocol):
    """What ``ArgumentParser.add_subparsers`` returns, whose own type is private."""

    def add_parser(self, name: str, *, help: str, description: str, allow_abbrev: bool) -> ArgumentParser:  # noqa: A002
        """Return a new parser for the command ``name``."""
        ...


def add_command(commands: Commands, name: str, summary: str) -> ArgumentParser:
    """Add a command with its one-line summary, and return its parser."""
    description = f"{summary[0].upper()}{summary[1:]}."
    return commands.add_parser(name, help=summary, description=description, allow_abbrev=False)


def add_source_flags(parser: ArgumentParser) -> None:
    """Add what says which servers are asked, and how."""
    add_config_flag(add_setting_flags(parser, "sources"))


def add_screen_flags(parser: ArgumentParser) -> None:
    """Add what says how the dashboard looks."""
    add_setting_flags(parser, "screen")


def add_history_flags(parser: ArgumentParser) -> None:
    """Add what says whether this run is kept."""
    add_setting_flags(parser, "history")


def add_setting_flags(
    parser: ArgumentParser, group: FlagGroup, root: type[Settings] = Settings
) -> argparse._ActionsContainer:
    """Add the flags of the settings that are declared to be of ``group``, and return where they stand."""
    container = parser.add_argument_group(group)
    for setting in settings_of(root):
        flag = setting.about.flag
        if flag is not None and flag.group == group:
            _add(container, setting, flag)
    return container


def add_config_flag(parser: argparse._ActionsContainer) -> None:
    """Add ``--config``."""
    parser.add_argument(
        "--config", type=Path, default=SUPPRESS, metavar="FILE", help="the settings file to read"
    )
    parser.add_argument(
        "--debug",
        action="store_true",
        default=SUPPRESS,
        help="log more, to gpumon.log in the state directory",
    )


def _add(container: argparse._ActionsContainer, setting: Setting, flag: Flag) -> None:
    """Add one setting; left out on the command line, it leaves no attribute."""
    if flag.words:
        _add_words(container, flag)
    elif setting.form == "switch":
        container.add_argument(
            flag.name, action=BooleanOptionalAction, default=SUPPRESS, help=_help(setting, flag)
        )
    else:
        container.add_argument(
            flag.name,
            action="append" if setting.form in {"list", "table"} else "store",
            default=SUPPRESS,
            metavar=flag.metavar,
            help=_help(setting, flag),
        )


def _add_words(container: argparse._ActionsContainer, flag: Flag) -> None:
    one_of = container.add_mutually_exclusive_group()
    for word, effect in flag.words.items():
        one_of.add_argument(
            f"--{word}",
            action="store_const",
            const=word,
            dest=flag.attribute,
            default=SUPPRESS,
            help=effect,
        )


def _help(setting: Setting, flag: Flag) -> str:
    return (flag.help or _as_help(setting.description)).replace("%", "%%")


def _as_help(sentence: str) -> str:
    """Return a sentence as help is written: in lower case, without a full stop."""
    return f"{sentence[0].lower()}{sentence[1:]}".removesuffix(".")
