"""``gpumon record``, ``replay`` and ``redact``: what is seen, kept in a file, seen again, shown to others."""

from __future__ import annotations

import re
import sys
from argparse import ArgumentTypeError, Namespace
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

from gpumon.app.cli.common import require_terminal, screen_settings
from gpumon.app.cli.flags import (
    Commands,
    add_command,
    add_config_flag,
    add_history_flags,
    add_screen_flags,
    add_source_flags,
)
from gpumon.app.cli.output import print_text
from gpumon.text.safe import visible

if TYPE_CHECKING:
    import asyncio

    from gpumon.app.monitor import Monitor
    from gpumon.app.recording.reader import Recording
    from gpumon.app.session.session import Session

_CLOCK = re.compile(r"(?:(?:(\d+):)?(\d+):)?(\d+(?:\.\d+)?)", re.ASCII)
QUIET_SECONDS = 0.5
"""What is done sooner says nothing of how far it is."""
END_BLOCKS = 48
"""Of a long recording so much is replayed to judge its end: of a workstation some hours."""
_STDOUT = Path("/dev/stdout")
SPEEDS = (0.25, 64.0)
"""The slowest and the fastest that a recording can be played."""


def add_record(commands: Commands) -> None:
    """Add ``gpumon record``."""
    parser = add_command(commands, "record", "watch, and keep what is seen in a file")
    parser.add_argument(
        "file",
        type=Path,
        metavar="FILE",
        help="a new file, packed if it ends in .gz or .zst, a recording to continue, or - for stdout",
    )
    parser.add_argument(
        "--headless", action="store_true", help="record without a dashboard, until interrupted"
    )
    parser.set_defaults(execute=execute_record)
    add_source_flags(parser)
    add_screen_flags(parser)
    add_history_flags(parser)


def add_replay(commands: Commands) -> None:
    """Add ``gpumon replay``."""
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
    parser.set_defaults(execute=execute_replay)
    add_screen_flags(parser)
    add_config_flag(parser)


def add_redact(commands: Commands) -> None:
    """Add ``gpumon redact``."""
    parser = add_command(commands, "redact", "copy a recording without the names in it, to show to others")
    parser.add_argument("file", type=Path, metavar="FILE", help="the recording")
    parser.add_argument("copy", type=Path, metavar="COPY", help="the file to write; it must not exist yet")
    parser.set_defaults(execute=execute_redact)


def execute_record(options: Namespace) -> int:
    """Record until the user leaves the dashboard, or interrupts."""
    settings = screen_settings(options)
    if not options.headless:
        require_terminal()
    from gpumon.app.session.build import live_session

    session = live_session(settings, record_to=_STDOUT if options.file == Path("-") else options.file)
    if options.headless:
        from gpumon.app.crash import run

        run(until_told_to_end(session))
        code = 0
    else:
        from gpumon.app.ui.launch import run_dashboard

        code = run_dashboard(settings, session)
    recorder = session.recorder
    if recorder is not None and recorder.problem is not None:
        raise BrokenPipeError if recorder.lost_reader and options.headless else recorder.problem
    return code


def execute_replay(options: Namespace) -> int:
    """Show the dashboard of a recording."""
    settings = screen_settings(options)
    require_terminal()
    from gpumon.app.session.build import replay_session
    from gpumon.app.ui.launch import run_dashboard

    return run_dashboard(settings, replay_session(settings, options.file, options.speed, options.at))


def execute_redact(options: Namespace) -> int:
    """Write the copy and say how much it holds."""
    from gpumon.app.recording.reader import read_recording
    from gpumon.app.recording.redaction import redact

    done = redact(read_recording(options.file), options.copy)
    left_out = f"; {done.left_out} lines that cannot be read are left out" if done.left_out else ""
    print_text(f"{options.copy}: {done.samples} samples, names replaced{left_out}\n", "summary")
    return 0


async def until_told_to_end(session: Session) -> None:
    """Run the feed until it ends or the process is told to, which is the usual way out; then close all.

    A recording that has ended ends it, too: there is nothing else that it runs for.
    """
    import asyncio
    from signal import SIGHUP, SIGINT, SIGTERM

    running = asyncio.ensure_future(session.feed.run(session.monitor))
    session.monitor.listen(lambda _: _end_with_the_recording(session, running), "recording")
    loop = asyncio.get_running_loop()
    for ending in (SIGINT, SIGTERM, SIGHUP):
        loop.add_signal_handler(ending, running.cancel)
    try:
        await asyncio.wait({running})
        if not running.cancelled():
            running.result()
    finally:
        await session.close()


def _end_with_the_recording(session: Session, running: asyncio.Future[None]) -> None:
    if session.recorder is not None and session.recorder.problem is not None:
        running.cancel()


def replayed(path: Path, monitor: Monitor) -> Recording:
    """Feed ``monitor`` a recording to its end, and say on stderr how far it is and what was left out.

    Of one of several hours only the end is fed, with what was known where it begins.

    Raises:
        RecordingError: it cannot be read, or is no recording.
    """
    from gpumon.app.recording.lines import Header
    from gpumon.app.recording.reader import read_recording

    recording, progress = read_recording(path), Progress(f"reading {path.name}")
    landing = recording.landing(float("inf"), END_BLOCKS)
    for sample in landing.samples if landing else ():
        monitor.feed(sample)
    items = recording.items() if landing is None else recording.items(landing.place)
    for item in items:
        if isinstance(item, Header):
            monitor.reset()
        else:
            monitor.feed(item)
            progress.tell(items.done)
    progress.end()
    tell_left_out(recording)
    return recording


def tell_left_out(recording: Recording) -> None:
    """Say on stderr what of a recording could not be read, if anything."""
    if recording.left_out is not None:
        sys.stderr.write(f"gpumon: {visible(str(recording.path))}: {recording.left_out}\n")


class Progress:
    """Says on a terminal how far something is that takes longer than half a second."""

    def __init__(self, what: str) -> None:
        self._what = visible(what)
        self._shown = -1
        self._from = monotonic() + QUIET_SECONDS
        self._is_terminal = sys.stderr is not None and sys.stderr.isatty()

    def tell(self, done: float) -> None:
        """Say how much is done, 0 to 1."""
        percent = int(done * 100)
        if self._is_terminal and percent != self._shown and monotonic() >= self._from:
            self._shown = percent
            sys.stderr.write(f"\r{self._what}: {percent} %\x1b[K")
            sys.stderr.flush()

    def end(self) -> None:
        """Leave the line as it was."""
        if self._shown >= 0:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


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
