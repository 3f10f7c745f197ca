"""``gpumon snapshot``, ``doctor`` and ``calibrate``: one look at this machine, printed."""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from typing import TYPE_CHECKING

from gpumon.app.cli.common import load_settings, resolved_glyphs
from gpumon.app.cli.flags import Commands, add_command, add_source_flags
from gpumon.app.cli.output import print_json, print_text
from gpumon.app.errors import GpumonError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpumon.app.config.load import Loaded
    from gpumon.app.config.settings import Settings
    from gpumon.app.doctor.check import Check
    from gpumon.app.monitor import Monitor

LOOK_SECONDS = 3.0
"""Long enough for what is found in the first second to be asked in the second."""

_MEASUREMENT = "measurement"


def add_snapshot(commands: Commands) -> None:
    """Add ``gpumon snapshot``."""
    parser = add_command(commands, "snapshot", "print what is known now as JSON, for scripts")
    parser.set_defaults(execute=execute_snapshot)
    add_source_flags(parser)


def add_doctor(commands: Commands) -> None:
    """Add ``gpumon doctor``."""
    parser = add_command(commands, "doctor", "list what works here, and how to get what is missing")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(execute=execute_doctor)
    add_source_flags(parser)


def add_calibrate(commands: Commands) -> None:
    """Add ``gpumon calibrate``."""
    parser = add_command(
        commands, "calibrate", "measure how fast RAM is read, once, for the estimates of split models"
    )
    parser.set_defaults(execute=execute_calibrate)


def execute_snapshot(options: Namespace) -> int:
    """Ask every source, print one JSON document, and return 0, 1 or 2 by how things are."""
    settings = load_settings(options).settings
    from gpumon.app.crash import run
    from gpumon.app.monitor import Monitor
    from gpumon.app.session.build import live_feed
    from gpumon.app.snapshot.take import take_snapshot

    monitor = Monitor(settings.alerts.limits())
    feed = live_feed(settings, monitor)
    print_json(run(take_snapshot(feed, monitor, expected=feed.names)), "snapshot")
    return monitor.pictures.health().exit_code


def execute_doctor(options: Namespace) -> int:
    """Look for some seconds and print the report; return 0, 1 or 2 by what is missing."""
    from gpumon.app.crash import run
    from gpumon.app.doctor.check import report_of, report_text

    loaded = load_settings(options)
    monitor = run(_looked(loaded.settings))
    report = report_of([*_checks(monitor, loaded)])
    if options.json:
        print_json(report, "report")
    else:
        print_text(report_text(report), "report")
    return report.exit_code


def execute_calibrate(options: Namespace) -> int:
    """Say what is done, do it, print the bandwidth."""
    del options
    from gpumon.app.learned import remember_ram_bandwidth
    from gpumon.app.physics.hardware import ram_peak_of_measurement
    from gpumon.collectors.system.ram_bandwidth import CannotMeasureError, measure_ram_bandwidth, thread_count

    threads = _threads(thread_count())
    print_text(f"Reading up to 1 GiB of RAM with {threads}, about three seconds.\n", _MEASUREMENT)
    try:
        measured = measure_ram_bandwidth()
    except CannotMeasureError as error:
        raise GpumonError(str(error)) from None
    nominal = _gigabytes(ram_peak_of_measurement(measured))
    print_text(
        f"RAM is read at {_gigabytes(measured)}, which stands for a nominal {nominal}.\n", _MEASUREMENT
    )
    remember_ram_bandwidth(measured)
    print_text(
        "Kept for gpumon. A busy machine reads slower: repeat it when this one is idle.\n", _MEASUREMENT
    )
    return 0


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
    yield from source_checks(monitor.pictures, in_container=check.in_container())
    yield from check.folder_checks(loaded.path, user_state_path("gpumon"))
    yield from check.terminal_checks(
        os.environ,
        resolved_glyphs(settings.glyphs),
        is_terminal=sys.stdout is not None and sys.stdout.isatty(),
        mouse=settings.mouse,
    )
    yield from check.extra_checks()


def _threads(count: int) -> str:
    return "one thread" if count == 1 else f"{count} threads"


def _gigabytes(bytes_per_second: float) -> str:
    return f"{bytes_per_second / 1e9:.1f} GB/s"
