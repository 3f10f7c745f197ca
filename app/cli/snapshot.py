"""``gpumon snapshot``: what is known now, on stdout."""

from __future__ import annotations

from argparse import Namespace

from gpumon.app.cli.commands import Commands, add_command
from gpumon.app.cli.effective import load_settings
from gpumon.app.cli.flags import add_source_flags
from gpumon.app.cli.output import print_json


def add_to(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(commands, "snapshot", "print what is known now as JSON, for scripts")
    parser.set_defaults(execute=execute)
    add_source_flags(parser)


def execute(options: Namespace) -> int:
    """Ask every source, print one JSON document, and return 0, 1 or 2 by how things are."""
    settings = load_settings(options).settings
    import asyncio

    from gpumon.app.monitor import Monitor
    from gpumon.app.session.build import live_feed
    from gpumon.app.snapshot.take import take_snapshot

    monitor = Monitor(settings.alerts.limits())
    feed = live_feed(settings, monitor)
    print_json(asyncio.run(take_snapshot(feed, monitor, expected=feed.names)), "snapshot")
    return monitor.pictures.health().exit_code
