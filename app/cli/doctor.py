"""``gpumon doctor``: what works here, and how to get what is missing."""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from typing import TYPE_CHECKING

from gpumon.app.cli.commands import Commands, add_command
from gpumon.app.cli.effective import load_settings
from gpumon.app.cli.flags import add_source_flags
from gpumon.app.cli.output import print_json, print_text
from gpumon.app.cli.terminal import resolved_glyphs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpumon.app.config.load import Loaded
    from gpumon.app.config.settings import Settings
    from gpumon.app.doctor.check import Check
    from gpumon.app.monitor import Monitor

LOOK_SECONDS = 3.0
"""Long enough for what is found in the first second to be asked in the second."""


def add_to(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(commands, "doctor", "list what works here, and how to get what is missing")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(execute=execute)
    add_source_flags(parser)


def execute(options: Namespace) -> int:
    """Look for some seconds and print the report; return 0, 1 or 2 by what is missing."""
    import asyncio

    from gpumon.app.doctor.check import report_of, report_text

    loaded = load_settings(options)
    monitor = asyncio.run(_looked(loaded.settings))
    report = report_of([*_checks(monitor, loaded)])
    if options.json:
        print_json(report, "report")
    else:
        print_text(report_text(report), "report")
    return report.exit_code


async def _looked(settings: Settings) -> Monitor:
    """Run the live feed for ``LOOK_SECONDS``."""
    import asyncio
    import contextlib

    from gpumon.app.monitor import Monitor
    from gpumon.app.session.build import live_feed

    monitor = Monitor(settings.alerts.limits())
    feed = live_feed(settings, monitor)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LOOK_SECONDS):
            await feed.run(monitor)
    await feed.close()
    return monitor


def _checks(monitor: Monitor, loaded: Loaded) -> Iterator[Check]:
    from platformdirs import user_state_path

    from gpumon.app.doctor import check
    from gpumon.app.doctor.sources import source_checks

    settings = loaded.settings
    yield from source_checks(monitor.state, in_container=check.in_container())
    yield from check.folder_checks(loaded.path, user_state_path("gpumon"))
    yield from check.terminal_checks(
        os.environ,
        resolved_glyphs(settings.glyphs),
        is_terminal=sys.stdout is not None and sys.stdout.isatty(),
        mouse=settings.mouse,
    )
    yield from check.extra_checks()
