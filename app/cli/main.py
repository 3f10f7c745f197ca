"""The entry point: exit codes, and no traceback for what the user can put right."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING

from gpumon.app.cli import dashboard
from gpumon.app.cli.common import VERSION_FLAGS, print_version
from gpumon.app.errors import GpumonError
from gpumon.text.safe import visible

if TYPE_CHECKING:
    from gpumon.app.log import Redact

EXIT_USAGE = 2
"""Also of ``snapshot`` and its like, where nothing could be read."""
EXIT_INTERRUPTED = 130
"""128 + SIGINT, as shells report it."""
EXIT_BROKEN_PIPE = 141
"""128 + SIGPIPE."""

_VERSION_ALONE = [[flag] for flag in VERSION_FLAGS]
"""Answered without the parser, which takes longer to build than the answer to find."""
_LONGEST_MESSAGE = 2000


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``gpumon`` with ``arguments``, or those of the process, and return its exit code."""
    given = [*(sys.argv[1:] if arguments is None else arguments)]
    return guarded(lambda: _executed(given))


def guarded(run: Callable[[], int]) -> int:
    """Return the exit code of ``run``; what it fails of is told in one line."""
    try:
        code = _outcome(run)
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        _discard_output()
        return EXIT_BROKEN_PIPE
    except OSError as error:
        if error.errno != errno.ENOSPC:
            return _crashed(error)
        _discard_output()
        sys.stderr.write("gpumon: cannot write to standard output: no space left on device\n")
        return EXIT_USAGE
    return code


def _outcome(run: Callable[[], int]) -> int:
    try:
        return run()
    except GpumonError as error:
        sys.stderr.write(f"gpumon: {visible(str(error), _LONGEST_MESSAGE)}\n")
        return EXIT_USAGE
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except SystemExit as leaving:  # argparse has printed what it had to say
        return leaving.code if isinstance(leaving.code, int) else 0
    except OSError:
        raise
    except Exception as error:
        return _crashed(error)


def _executed(given: list[str]) -> int:
    if given in _VERSION_ALONE:
        return print_version()
    if given:
        return _parsed_and_run(given)
    start_log(debug=False)
    return dashboard.execute(SimpleNamespace())


def _crashed(error: Exception) -> int:
    """Leave with one line in place of a traceback, which goes into a file."""
    from gpumon.app.crash import EXIT_CRASHED, write_crash_report

    sys.stderr.write(f"gpumon: {visible(write_crash_report(error), _LONGEST_MESSAGE)}\n")
    return EXIT_CRASHED


def start_log(*, debug: bool) -> None:
    """Log to the file of this user."""
    from gpumon.app.log import start_log as begin

    def redactor() -> Redact:
        from gpumon.app.recording.redaction import Redaction

        return Redaction().words

    begin(redactor, debug=debug)


def _parsed_and_run(arguments: Sequence[str]) -> int:
    # Here, because the dashboard without a flag, as it is mostly started, need not wait for the parser.
    from gpumon.app.cli.parser import build_parser

    options = build_parser().parse_args(arguments)
    start_log(debug=getattr(options, "debug", False))
    if getattr(options, "host", None) and options.execute is not dashboard.execute:
        from gpumon.app.cli.hosts import execute_there

        return execute_there(options, arguments)
    return int(options.execute(options))


def _discard_output() -> None:
    """Keep the interpreter from failing again when it flushes stdout at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
