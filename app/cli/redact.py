"""``gpumon redact``: a copy of a recording to show to others."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from gpumon.app.cli.commands import Commands, add_command
from gpumon.app.cli.output import print_text


def add_to(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(commands, "redact", "copy a recording without the names in it, to show to others")
    parser.add_argument("file", type=Path, metavar="FILE", help="the recording")
    parser.add_argument("copy", type=Path, metavar="COPY", help="the file to write; it must not exist yet")
    parser.set_defaults(execute=execute)


def execute(options: Namespace) -> int:
    """Write the copy and say how much it holds."""
    from gpumon.app.recording.reader import read_recording
    from gpumon.app.recording.redact import redact

    done = redact(read_recording(options.file), options.copy)
    left_out = f"; {done.left_out} lines that cannot be read are left out" if done.left_out else ""
    print_text(f"{options.copy}: {done.samples} samples, names replaced{left_out}\n", "summary")
    return 0
