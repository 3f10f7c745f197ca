"""``gpumon snapshot``, ``doctor`` and ``calibrate``: one look at this machine, printed."""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from functools import partial
from typing import TYPE_CHECKING

from gpumon.app.cli.common import load_settings, looked, resolved_glyphs
from gpumon.app.cli.flags import Commands, add_command, add_source_flags
from gpumon.app.cli.hosts import add_host_flags
from gpumon.app.cli.output import print_json, print_text
from gpumon.app.errors import GpumonError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gpumon.app.config.load import Loaded
    from gpumon.app.config.settings import Settings
    from gpumon.app.doctor.check import Check
    from gpumon.app.monitor import Monitor

_MEASUREMENT = "measurement"


def add_snapshot(commands: Commands) -> None:
    """Add ``gpumon snapshot``."""
    parser = add_command(commands, "snapshot", "print what is known now as JSON, for scripts")
    parser.add_argument(
        "--watch", action="store_true", help="go on, with one line of JSON for each change, until interrupted"
    )
    parser.set_defaults(execute=execute_snapshot)
    add_source_flags(parser)
    add_host_flags(parser)


def add_doctor(commands: Commands) -> None:
    """Add ``gpumon doctor``."""
    parser = add_command(commands, "doctor", "list what works here, and how to get what is missing")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(execute=execute_doctor)
    add_source_flags(parser)
    add_host_flags(parser)


def add_calibrate(commands: Commands) -> None:
    """Add ``gpumon calibrate``."""
    parser = add_command(
        commands, "calibrate", "measure how fast RAM is read, once, for the estimates of split models"
    )
    parser.set_defaults(execute=execute_calibrate)


def execute_snapshot(options: Namespace) -> int:
    """Ask every source, print one JSON document, and return 0, 1, 2 or 3 by how things are."""
    settings = load_settings(options).settings
    if options.watch:
        return _watch(settings)
    from gpumon.app.insight.health import of_a_look
    from gpumon.app.snapshot.watch import taken

    monitor, missing = looked(settings)
    print_json(taken(monitor, missing), "snapshot")
    return of_a_look(monitor.pictures.health(), missing).exit_code


def _watch(settings: Settings) -> int:
    """Print a line for each change until told to end, which is the usual way out."""
    from gpumon.app.cli.common import live_monitor, say_waiting
    from gpumon.app.cli.watch import output, until_told_to_end
    from gpumon.app.crash import run
    from gpumon.app.snapshot.watch import watch

    lines = output()
    monitor, feed = live_monitor(settings)
    watching = watch(
        feed, monitor, lines.tell, expected=lambda: feed.names, say=partial(say_waiting, monitor)
    )
    run(until_told_to_end(watching, lines))
    return 0


def execute_doctor(options: Namespace) -> int:
    """Look once and print the report; return 0, 1, 2 or 3 by what is missing."""
    from gpumon.app.doctor.check import report_of, report_text

    loaded = load_settings(options)
    monitor, missing = looked(loaded.settings)
    report = report_of([*_checks(monitor, loaded)], missing)
    if options.json:
        print_json(report, "report")
    else:
        print_text(report_text(report), "report")
    return report.exit_code


def execute_calibrate(options: Namespace) -> int:
    """Say what is done, do it, print the bandwidth."""
    del options
    from gpumon.app.learned import check_writable, remember_ram_bandwidth
    from gpumon.app.physics.hardware import ram_peak_of_measurement
    from gpumon.collectors.system.ram_bandwidth import CannotMeasureError, measure_ram_bandwidth, thread_count

    check_writable()
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


def _checks(monitor: Monitor, loaded: Loaded) -> Iterator[Check]:
    from platformdirs import user_state_path

    from gpumon.app.doctor import check
    from gpumon.app.doctor.sources import source_checks

    settings = loaded.settings
    yield from source_checks(monitor.pictures, in_container=check.in_container())
    yield from check.folder_checks(loaded.path, user_state_path("gpumon"))
    yield _history_check(settings)
    yield from check.terminal_checks(
        os.environ,
        resolved_glyphs(settings.glyphs),
        is_terminal=sys.stdout is not None and sys.stdout.isatty(),
        mouse=settings.mouse,
    )
    yield from check.extra_checks()


def _history_check(settings: Settings) -> Check:
    from gpumon.app.doctor.check import history_check
    from gpumon.app.history.reader import History, HistoryError, history_path
    from gpumon.text import units

    path, problem, kept = history_path(), None, ""
    if path.exists():
        try:
            with History.open(path) as history:
                first, runs = history.first_minute(), len(history.sessions())
        except HistoryError as error:
            problem = str(error)
        else:
            since = "" if first is None else f", since {units.clock(first, '%Y-%m-%d')}"
            kept = f"{since}, of {runs} run{'s' * (runs != 1)}"
    files = (path.with_name(f"{path.name}{suffix}") for suffix in ("", "-wal", "-shm"))
    size = sum(one.stat().st_size for one in files if one.exists())
    return history_check(path, problem, size, kept, is_on=settings.history.enabled)


def _threads(count: int) -> str:
    return "one thread" if count == 1 else f"{count} threads"


def _gigabytes(bytes_per_second: float) -> str:
    return f"{bytes_per_second / 1e9:.1f} GB/s"
