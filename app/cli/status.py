"""``gpumon status``: one line for the status bar of a terminal multiplexer, a desktop or a prompt."""

from __future__ import annotations

from argparse import ArgumentTypeError, Namespace
from typing import TYPE_CHECKING, get_args

from gpumon.app.cli.common import live_monitor, load_settings, looked
from gpumon.app.cli.flags import Commands, add_command, add_source_flags
from gpumon.app.cli.hosts import add_host_flags
from gpumon.app.cli.output import print_text, text_bytes
from gpumon.app.errors import GpumonError
from gpumon.app.outlets import Form

if TYPE_CHECKING:
    from gpumon.app.cli.watch import Lines
    from gpumon.app.outlets.line import Status

SETTLE_SECONDS = 1.0
"""Between two lines, at the least: tmux shows no more than one a second."""
EXIT_FAILED = 2
_WHAT = "status"


def add_to(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(commands, "status", "print one line for a status bar or a prompt")
    parser.add_argument(
        "--format",
        choices=get_args(Form),
        default="plain",
        metavar="FORM",
        help=f"what reads it, one of: {', '.join(get_args(Form))}; plain if not set",
    )
    parser.add_argument(
        "--width", type=cells, metavar="N", help="at most so many cells; as it comes if not set"
    )
    parser.add_argument(
        "--follow", action="store_true", help="go on, with a new line when it changes, until nobody reads"
    )
    parser.add_argument(
        "--exit-code", action="store_true", help="exit as snapshot does; with 0 in all cases if not set"
    )
    parser.set_defaults(execute=execute)
    add_source_flags(parser)
    add_host_flags(parser)


def execute(options: Namespace) -> int:
    """Print the line, whatever is wrong: a bar shows what is printed, and nothing else."""
    try:
        code = _followed(options) if options.follow else _printed(options)
    except GpumonError as error:
        code = _failed(str(error), options)
    except OSError:
        raise
    except Exception as error:  # a bar shows no other output: the fault is told where it is looked at
        from gpumon.app.crash import write_crash_report

        code = _failed(write_crash_report(error), options)
    return code if options.exit_code else 0


def cells(text: str) -> int:
    """Return a width.

    Raises:
        ArgumentTypeError: it is none.
    """
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 10_000):
        raise ArgumentTypeError("expected a number of cells, such as 40")
    return int(text)


def _printed(options: Namespace) -> int:
    """Look once at all there is to see; nothing is said of what is waited for."""
    from gpumon.app.outlets.line import status

    monitor, missing = looked(load_settings(options).settings, silently=True)
    found = status(monitor.pictures, missing)
    _print(found, options)
    return found.exit_code


def _print(found: Status, options: Namespace) -> None:
    from gpumon.app.outlets.bars import written

    print_text(f"{written(found, options.format, options.width)}\n", _WHAT)


def _failed(message: str, options: Namespace) -> int:
    from gpumon.app.outlets.line import failed

    _print(failed(message, EXIT_FAILED), options)
    return EXIT_FAILED


def _followed(options: Namespace) -> int:
    """Print a line for each change until told to end, which is the usual way out."""
    from gpumon.app.cli.watch import output, until_told_to_end
    from gpumon.app.crash import run
    from gpumon.app.snapshot.watch import follow

    settings = load_settings(options).settings
    bar = _Bar(output(), options)
    monitor, feed = live_monitor(settings)

    async def heard(missing: tuple[str, ...]) -> None:
        from gpumon.app.outlets.line import status

        await bar.show(status(monitor.pictures, missing))

    async def following() -> None:
        await bar.begin()
        await follow(feed, monitor, heard, lambda: feed.names, settle_seconds=SETTLE_SECONDS)

    run(until_told_to_end(following(), bar.lines))
    return bar.exit_code


class _Bar:
    """What reads the lines; it is told one that differs from the last."""

    def __init__(self, lines: Lines, options: Namespace) -> None:
        self.lines = lines
        self.exit_code = 0
        self._options = options
        self._told = ""

    async def begin(self) -> None:
        """Write what the form begins with, and that it is being looked: tmux says "not ready" till then."""
        from gpumon.app.outlets.bars import STREAM_HEADS
        from gpumon.app.outlets.line import LOOKING

        if head := STREAM_HEADS.get(self._options.format):
            await self.lines.write(text_bytes(head), _WHAT)
        await self.show(LOOKING)

    async def show(self, found: Status) -> None:
        from gpumon.app.outlets.bars import written

        self.exit_code = found.exit_code
        line = written(found, self._options.format, self._options.width, in_stream=True)
        if line != self._told:
            self._told = line
            await self.lines.write(text_bytes(f"{line}\n"), _WHAT)
