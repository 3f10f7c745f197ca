"""The flags that are settings, accepted before and after a command."""

from __future__ import annotations

import argparse
from argparse import SUPPRESS, ArgumentParser, BooleanOptionalAction
from pathlib import Path


def add_source_flags(parser: ArgumentParser) -> None:
    """Add what says which servers are asked, and how."""
    group = parser.add_argument_group("sources")
    group.add_argument(
        "--url", action="append", default=SUPPRESS, metavar="URL", help="a server to ask; may be repeated"
    )
    group.add_argument(
        "--header",
        action="append",
        default=SUPPRESS,
        metavar="HEADER",
        help='"Name: value" to send to every server, or "URL Name: value" to send to one; may be repeated. '
        "Other users can read flags: put a secret into the settings file or GPUMON_HEADER",
    )
    group.add_argument("--ca-file", default=SUPPRESS, metavar="FILE", help="certificates to trust for https")
    group.add_argument(
        "--insecure", action="store_true", default=SUPPRESS, help="do not check certificates of https servers"
    )
    group.add_argument(
        "--interval",
        default=SUPPRESS,
        metavar="SECONDS",
        help="time between two looks, 0.25 to 60; 1 if not set",
    )
    add_config_flag(group)


def add_screen_flags(parser: ArgumentParser) -> None:
    """Add what says how the dashboard looks."""
    group = parser.add_argument_group("screen")
    group.add_argument(
        "--theme", default=SUPPRESS, metavar="NAME", help="colours: the name of a Textual theme"
    )
    glyphs = group.add_mutually_exclusive_group()
    glyphs.add_argument(
        "--ascii",
        action="store_const",
        const="ascii",
        dest="glyphs",
        default=SUPPRESS,
        help="draw with ASCII only",
    )
    glyphs.add_argument(
        "--unicode",
        action="store_const",
        const="unicode",
        dest="glyphs",
        default=SUPPRESS,
        help="draw with blocks and braille, whatever the terminal says",
    )
    group.add_argument("--mouse", action=BooleanOptionalAction, default=SUPPRESS, help="take clicks")
    group.add_argument(
        "--bell", action=BooleanOptionalAction, default=SUPPRESS, help="ring the bell for a bad alert"
    )


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
