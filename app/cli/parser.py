"""The argument parser; also read by the shell completion and the manual page."""

from __future__ import annotations

import argparse
import sys

from gpumon.app.cli import (
    calibrate,
    completion,
    configuration,
    demo,
    doctor,
    flags,
    meter,
    record,
    redact,
    replay,
    run,
    snapshot,
    why,
)
from gpumon.app.cli.fit import command as fit

DESCRIPTION = """\
A dashboard for people who run language models on their own GPUs: which model
holds which GPU memory, live, and an alert when a model spills to system RAM."""
EXAMPLES = """\
examples:
  gpumon                                  watch this machine and its Ollama
  gpumon --url http://box:11434           watch the Ollama of another machine
  gpumon demo                             see it at work without a GPU
  gpumon snapshot                         print what is known now as JSON, for scripts
  gpumon why                              say what is wrong with a model, and what to change
  gpumon fit llama3.1:70b                 does it fit, and how fast would it be
  gpumon doctor                           list what works here, and how to get the rest
  gpumon record evening.jsonl             watch, and keep what is seen
  gpumon replay evening.jsonl --speed 10  see it again, ten times as fast
  gpumon meter                            count the tokens of requests that go through it
  gpumon config init                      write a settings file to start from
"""

_COMMANDS = (snapshot, why, doctor, fit, calibrate, record, redact, replay, demo, meter, configuration)


class _Version(argparse.Action):
    """Prints the installed version; looks it up only when asked, as that takes a while."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object, **__: object) -> None:
        from importlib.metadata import version

        sys.stdout.write(f"gpumon {version('gpumon-llm')}\n")
        parser.exit()


def build_parser() -> argparse.ArgumentParser:
    """Return the parser; what it parses has ``execute``, which takes it and returns an exit code."""
    parser = argparse.ArgumentParser(
        prog="gpumon",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    parser.set_defaults(execute=run.execute)
    flags.add_source_flags(parser)
    flags.add_screen_flags(parser)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for command in _COMMANDS:
        command.add_to(commands)
    completion.add_to(commands, parser)
    return parser
