"""``gpumon record``: watch, and keep what is seen."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from gpumon.app.cli.commands import Commands, add_command
from gpumon.app.cli.effective import screen_settings
from gpumon.app.cli.flags import add_screen_flags, add_source_flags
from gpumon.app.cli.terminal import require_terminal

if TYPE_CHECKING:
    from gpumon.app.config.settings import Settings
    from gpumon.app.session.session import Session


def add_to(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(commands, "record", "watch, and keep what is seen in a file")
    parser.add_argument("file", type=Path, metavar="FILE", help="a new file, or a recording to continue")
    parser.add_argument(
        "--headless", action="store_true", help="record without a dashboard, until interrupted"
    )
    parser.set_defaults(execute=execute)
    add_source_flags(parser)
    add_screen_flags(parser)


def execute(options: Namespace) -> int:
    """Record until the user leaves the dashboard, or interrupts."""
    settings = screen_settings(options)
    if not options.headless:
        require_terminal()
    from gpumon.app.session.build import live_session

    session = live_session(settings, record_to=options.file)
    code = _headless(session) if options.headless else _watched(settings, session)
    if session.recorder is not None and session.recorder.problem is not None:
        raise session.recorder.problem
    return code


def _watched(settings: Settings, session: Session) -> int:
    from gpumon.app.ui.launch import run_dashboard

    return run_dashboard(settings, session)


def _headless(session: Session) -> int:
    from gpumon.app.cli.headless import until_told_to_end
    from gpumon.app.crash import run

    run(until_told_to_end(session))
    return 0
