"""What every command module is given to add itself to."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Protocol


class Commands(Protocol):
    """What ``ArgumentParser.add_subparsers`` returns, whose own type is private."""

    def add_parser(self, name: str, *, help: str, description: str, allow_abbrev: bool) -> ArgumentParser:  # noqa: A002
        """Return a new parser for the command ``name``."""
        ...


def add_command(commands: Commands, name: str, summary: str) -> ArgumentParser:
    """Add a command with its one-line summary, and return its parser."""
    description = f"{summary[0].upper()}{summary[1:]}."
    return commands.add_parser(name, help=summary, description=description, allow_abbrev=False)
