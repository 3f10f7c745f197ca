"""``gpumon completion``: a script that teaches a shell the commands and flags."""

from __future__ import annotations

import argparse
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator

from gpumon.app.cli.commands import Commands, add_command

SHELLS = ("bash", "zsh", "tcsh")
"""The shells that shtab writes for."""


def add_to(commands: Commands, whole: ArgumentParser) -> None:
    """Add the command, which completes all that ``whole`` parses."""
    parser = add_command(commands, "completion", "print a completion script for a shell")
    parser.add_argument("shell", choices=SHELLS, help="the shell")
    parser.set_defaults(execute=execute, whole=whole)


def execute(options: Namespace) -> int:
    """Print the script."""
    import shtab

    for action in _actions(options.whole):
        if action.metavar == "FILE":
            action.complete = shtab.FILE  # type: ignore[attr-defined]  # where shtab looks
    sys.stdout.write(f"{shtab.complete(options.whole, options.shell)}\n")
    return 0


def _actions(parser: ArgumentParser) -> Iterator[argparse.Action]:
    for action in parser._actions:  # noqa: SLF001  argparse has no public list
        yield action
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001  nor a public type
            for child in action.choices.values():
                yield from _actions(child)
