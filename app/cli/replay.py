"""``gpumon replay``: see a recording again."""

from __future__ import annotations

import re
from argparse import ArgumentTypeError, Namespace
from pathlib import Path

from gpumon.app.cli.commands import Commands, add_command
from gpumon.app.cli.effective import screen_settings
from gpumon.app.cli.flags import add_config_flag, add_screen_flags
from gpumon.app.cli.terminal import require_terminal

_CLOCK = re.compile(r"(?:(?:(\d+):)?(\d+):)?(\d+(?:\.\d+)?)", re.ASCII)
SPEEDS = (0.25, 64.0)
"""The slowest and the fastest that a recording can be played."""


def add_to(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(commands, "replay", "see a recording again")
    parser.add_argument("file", type=Path, metavar="FILE", help="the recording")
    parser.add_argument(
        "--speed",
        type=speed,
        default=1.0,
        metavar="N",
        help="times as fast as it happened, 0.25 to 64; 1 if not set",
    )
    parser.add_argument(
        "--at",
        type=offset_seconds,
        default=0.0,
        metavar="TIME",
        help="where to start, counted from the beginning: 90, 1:30, 1:02:03",
    )
    parser.set_defaults(execute=execute)
    add_screen_flags(parser)
    add_config_flag(parser)


def execute(options: Namespace) -> int:
    """Show the dashboard of a recording."""
    settings = screen_settings(options)
    require_terminal()
    from gpumon.app.session.build import replay_session
    from gpumon.app.ui.launch import run_dashboard

    return run_dashboard(settings, replay_session(settings, options.file, options.speed, options.at))


def speed(text: str) -> float:
    """Return a replay speed.

    Raises:
        ArgumentTypeError: it is no such number.
    """
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    slowest, fastest = SPEEDS
    if not slowest <= value <= fastest:
        raise ArgumentTypeError(f"expected a number from {slowest:g} to {fastest:g}")
    return value


def offset_seconds(text: str) -> float:
    """Return the seconds in ``90``, ``1:30`` or ``1:02:03``.

    Raises:
        ArgumentTypeError: it is not written like that.
    """
    if not (found := _CLOCK.fullmatch(text)):
        raise ArgumentTypeError('expected seconds, or a time such as "1:30"')
    hours, minutes, seconds = found.groups()
    return int(hours or 0) * 3600 + int(minutes or 0) * 60 + float(seconds)
