"""The argument parser; also read by the shell completion, the manual page and ``gpumon help``."""

from __future__ import annotations

import argparse
import re
import sys
from argparse import ArgumentError, ArgumentParser, Namespace
from collections.abc import Iterable, Iterator, Sequence
from typing import NoReturn

from gpumon.app.cli import (
    configuration,
    dashboard,
    exporter,
    history,
    hosts,
    machine,
    meter,
    notify,
    recordings,
    report,
    status,
    web,
    why,
)
from gpumon.app.cli.common import VERSION_FLAGS, print_version
from gpumon.app.cli.fit import command as fit
from gpumon.app.cli.flags import (
    Commands,
    add_command,
    add_history_flags,
    add_screen_flags,
    add_source_flags,
)
from gpumon.app.errors import GpumonError, did_you_mean
from gpumon.text.safe import visible

DESCRIPTION = """\
A dashboard for people who run language models on their own GPUs: which model
holds which GPU memory, live, and an alert when a model spills to system RAM."""
EXAMPLES = """\
examples:
  gpumon                                  watch this machine and its Ollama
  gpumon --url http://box:11434           watch the Ollama of another machine
  gpumon --host me@box --host local       several machines, over ssh; Enter opens one
  gpumon demo                             see it at work without a GPU
  gpumon snapshot                         print what is known now as JSON, for scripts
  gpumon snapshot --watch                 and a line of it for each change
  gpumon why                              say what is wrong with a model, and what to change
  gpumon why --card                       the same as a card to paste, without names of yours
  gpumon status --follow                  one line for tmux, a desktop's bar or a prompt
  gpumon fit llama3.1:70b                 does it fit, and how fast would it be
  gpumon doctor                           list what works here, and how to get the rest
  gpumon record evening.jsonl             watch, and keep what is seen
  gpumon replay evening.jsonl --speed 10  see it again, ten times as fast
  gpumon history --since 7d               what models did in the last week, by the day
  gpumon report --since 7d                what a week came to: tokens, spills, loads, energy
  gpumon meter                            count the tokens of requests that go through it
  gpumon web                              the dashboard in a browser
  gpumon notify --test                    try whether alerts arrive by ntfy or on the desktop
  gpumon exporter                         tell Prometheus what is seen
  gpumon config init                      write a settings file to start from
  gpumon help fit                         what a command takes
"""
SHELLS = ("bash", "zsh", "tcsh")
"""The shells that shtab writes for."""
EXIT_USAGE = 2
"""For a command line that cannot be understood."""
LONGEST_WORDS = 500
MODEL_NAME = re.compile(r":|\.gguf$|^\d+(\.\d+)?b$", re.IGNORECASE)
"""What names a model and no command: ``llama3.1:70b``, ``70b``, a file."""

_COMMANDS = (
    machine.add_snapshot,
    why.add_to,
    status.add_to,
    machine.add_doctor,
    fit.add_to,
    machine.add_calibrate,
    recordings.add_record,
    recordings.add_redact,
    recordings.add_replay,
    history.add_to,
    report.add_to,
    dashboard.add_demo,
    meter.add_to,
    web.add_to,
    notify.add_to,
    exporter.add_to,
    configuration.add_to,
)


class Parser(ArgumentParser):
    """A parser that names what it does not know, and what was probably meant."""

    def parse_args(  # type: ignore[override]  # what argparse also takes is not used here
        self, args: Sequence[str] | None = None, namespace: Namespace | None = None
    ) -> Namespace:
        """Parse; what is not known is refused in the name of the command that it was given to."""
        given = sys.argv[1:] if args is None else [*args]
        self._refuse_unknown_flag(given)
        options, rest = self.parse_known_args(given, namespace)
        if rest:
            command = _command_of(self, given)
            command.error(f'this command takes no "{rest[0]}"')
        return options

    def _refuse_unknown_flag(self, given: Sequence[str]) -> None:
        """Refuse a flag that no command has, before what follows it is taken for a command."""
        known = {flag for parser in _parsers(self) for flag in _flags_of(parser)}
        for place, word in enumerate(given):
            flag = word.partition("=")[0]
            if flag == "--":
                return
            if flag.startswith("--") and flag not in known:
                command = _command_of(self, given[:place])
                command.error(f'there is no flag "{flag}"{did_you_mean(flag, _flags_of(command))}')

    def error(self, message: str) -> NoReturn:
        """Say what is wrong in one line, where to read on in another, and leave."""
        words = message.replace("the following arguments are required: ", "this needs ")
        more = "" if "did you mean" in words or "gpumon fit " in words else f"more: {_help_of(self.prog)}\n"
        self.exit(EXIT_USAGE, f"{self.prog}: {visible(words, LONGEST_WORDS)}\n{more}")

    def _check_value(self, action: argparse.Action, value: object) -> None:
        """Refuse an unknown command by its name, in place of a list of all of them."""
        if isinstance(action, argparse._SubParsersAction) and value not in action.choices:  # noqa: SLF001
            raise ArgumentError(None, _no_such_command(str(value), action.choices))
        super()._check_value(action, value)


class _Version(argparse.Action):
    """Prints the installed version."""

    def __call__(self, parser: ArgumentParser, *_: object, **__: object) -> None:
        print_version()
        parser.exit()


def build_parser() -> Parser:
    """Return the parser; what it parses has ``execute``, which takes it and returns an exit code."""
    parser = Parser(
        prog="gpumon",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(*VERSION_FLAGS, action=_Version, nargs=0, help="print the version and exit")
    parser.set_defaults(execute=dashboard.execute)
    add_source_flags(parser)
    add_screen_flags(parser)
    add_history_flags(parser)
    hosts.add_fleet_flags(parser)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for add in _COMMANDS:
        add(commands)
    _add_completion(commands, parser)
    _add_help(commands, parser)
    return parser


def execute_completion(options: Namespace) -> int:
    """Print a script that teaches a shell the commands and flags."""
    import shtab

    for parser in _parsers(options.whole):
        for action in parser._actions:  # noqa: SLF001  argparse has no public list
            if action.metavar == "FILE":
                action.complete = shtab.FILE  # type: ignore[attr-defined]  # where shtab looks
    sys.stdout.write(f"{shtab.complete(options.whole, options.shell)}\n")
    return 0


def execute_help(options: Namespace) -> int:
    """Print the help of a command, or of all.

    Raises:
        GpumonError: there is no such command.
    """
    parser = options.whole
    for word in options.words:
        known = _commands_of(parser)
        if word not in known:
            raise GpumonError(_no_such_command(word, known))
        parser = known[word]
    parser.print_help()
    return 0


def _add_completion(commands: Commands, whole: ArgumentParser) -> None:
    parser = add_command(commands, "completion", "print a completion script for a shell")
    parser.add_argument("shell", choices=SHELLS, help="the shell")
    parser.set_defaults(execute=execute_completion, whole=whole)


def _add_help(commands: Commands, whole: ArgumentParser) -> None:
    parser = add_command(commands, "help", "say what a command does and takes")
    parser.add_argument("words", nargs="*", metavar="COMMAND", help="the command; all of them if not given")
    parser.set_defaults(execute=execute_help, whole=whole)


def _no_such_command(word: str, known: Iterable[str]) -> str:
    meant = did_you_mean(word, known)
    if not meant and MODEL_NAME.search(word) and "fit" in known:
        meant = f"; whether a model fits: gpumon fit {word}"
    return f'there is no command "{word}"{meant or "; there are " + ", ".join(known)}'


def _help_of(prog: str) -> str:
    """Return the line that explains ``gpumon`` or one of its commands."""
    program, *command = prog.split()
    return " ".join([program, "help", *command])


def _command_of(parser: ArgumentParser, given: Sequence[str]) -> ArgumentParser:
    """Return the parser of the command that ``given`` names, or of ``gpumon`` itself."""
    for word in given:
        parser = _commands_of(parser).get(word, parser)
    return parser


def _flags_of(parser: ArgumentParser) -> list[str]:
    return [flag for action in parser._actions for flag in action.option_strings]  # noqa: SLF001


def _commands_of(parser: ArgumentParser) -> dict[str, ArgumentParser]:
    """Return the commands of a parser by name; none where it has none."""
    groups = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))  # noqa: SLF001
    return next((dict(group.choices) for group in groups), {})


def _parsers(parser: ArgumentParser) -> Iterator[ArgumentParser]:
    """Yield a parser and those of all commands below it."""
    yield parser
    for child in _commands_of(parser).values():
        yield from _parsers(child)
