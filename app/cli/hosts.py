"""``gpumon --host``: the dashboard of several machines, and commands that are run on another one."""

from __future__ import annotations

import sys
from argparse import SUPPRESS, ArgumentParser, ArgumentTypeError, _ArgumentGroup
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from gpumon.app.cli.common import load_settings, require_terminal, screen_settings
from gpumon.app.errors import GpumonError
from gpumon.text.safe import visible

if TYPE_CHECKING:
    from argparse import Namespace

    from gpumon.app.cli.common import Options
    from gpumon.app.cli.watch import Lines
    from gpumon.app.config.settings import Settings
    from gpumon.app.fleet.ssh import HostSpec

EXIT_INTERRUPTED = 130
OF_HERE = ("--host", "--host-command", "--config")
"""Flags with a value that are not handed on to another machine."""


def add_fleet_flags(parser: ArgumentParser) -> None:
    """Add what says which machines the dashboard shows."""
    group = parser.add_argument_group("several machines")
    group.add_argument(
        "--host",
        action="append",
        type=host_name,
        default=SUPPRESS,
        metavar="HOST",
        help="a machine to watch over ssh, as ssh takes its name; local is this one; may be repeated",
    )
    group.add_argument(
        "--hosts", action="store_true", default=SUPPRESS, help="watch the hosts of the settings file"
    )
    _add_host_command(group)
    group.add_argument(
        "--prometheus",
        default=SUPPRESS,
        metavar="URL",
        help="show the machines whose gpumon exporter a Prometheus scrapes",
    )


def add_host_flags(parser: ArgumentParser) -> None:
    """Add what has a command run on another machine."""
    group = parser.add_argument_group("another machine")
    group.add_argument(
        "--host",
        action="append",
        type=host_name,
        default=SUPPRESS,
        metavar="HOST",
        help="run it there over ssh, in place of here",
    )
    _add_host_command(group)
    parser.set_defaults(runs_there=True)


def _add_host_command(group: _ArgumentGroup) -> None:
    group.add_argument(
        "--host-command",
        default=SUPPRESS,
        metavar="COMMAND",
        help="how gpumon is called there, such as ~/.local/bin/gpumon; gpumon if not set",
    )


def host_name(text: str) -> str:
    """Return the name of a host.

    Raises:
        ArgumentTypeError: ssh cannot be handed it.
    """
    from gpumon.app.fleet.ssh import is_host

    if not is_host(text):
        raise ArgumentTypeError(f'"{visible(text)}" is no name of a host')
    return text


def execute_fleet(options: Options) -> int:
    """Show the dashboard of several machines until the user leaves it."""
    settings = screen_settings(options)
    if url := getattr(options, "prometheus", None):
        return _of_prometheus(settings, options, url)
    specs = host_specs(settings, options)
    require_terminal()
    from gpumon.app.session.fleet import host_fleet, session_of
    from gpumon.app.ui.fleet import run_fleet

    fleet = host_fleet(settings, specs)
    return run_fleet(settings, session_of(settings, fleet), fleet)


def _of_prometheus(settings: Settings, options: Options, url: str) -> int:
    """Show what a Prometheus knows of machines.

    Raises:
        GpumonError: the URL cannot be asked.
    """
    from gpumon.app.config.checks import url_problem

    url = url if "://" in url or ":" in url else f"{url}:9090"
    if (problem := url_problem(url)) is not None:
        raise GpumonError(f"--prometheus: {problem}")
    if getattr(options, "host", None) or getattr(options, "hosts", None):
        raise GpumonError("--prometheus or --host: not both at once")
    require_terminal()
    from gpumon.app.session.fleet import prometheus_fleet, session_of
    from gpumon.app.ui.fleet import run_fleet

    fleet = prometheus_fleet(settings, url)
    return run_fleet(settings, session_of(settings, fleet.feed), fleet)


def host_specs(settings: Settings, options: Options) -> list[HostSpec]:
    """Return the hosts that were named, those of the settings file first where they are asked for.

    Raises:
        GpumonError: there are none.
    """
    from gpumon.app.fleet.ssh import COMMAND, HostSpec

    known = [
        HostSpec(one) if isinstance(one, str) else HostSpec(one.name, one.command) for one in settings.hosts
    ]
    by_name = {spec.name: spec for spec in known}
    named = [by_name.get(name, HostSpec(name)) for name in getattr(options, "host", None) or ()]
    found = [*(known if getattr(options, "hosts", False) else ()), *named]
    if not found:
        raise GpumonError('the settings file names no hosts; write: hosts = ["me@box", "local"]')
    command = getattr(options, "host_command", None)
    return [one._replace(command=command) if command and one.command == COMMAND else one for one in found]


def execute_there(options: Namespace, arguments: Sequence[str]) -> int:
    """Run a command on the host that is named, print what it prints, and return its exit code.

    Raises:
        GpumonError: it cannot be run there; says why.
    """
    if not getattr(options, "runs_there", False):
        raise GpumonError("--host goes with the dashboard, snapshot, why, status and doctor")
    spec, *others = host_specs(load_settings(options).settings, options)
    if others:
        raise GpumonError("one host at a time here; several: gpumon --host A --host B")
    if spec.is_local:
        return int(options.execute(options))
    from gpumon.app.cli.watch import output, until_told_to_end
    from gpumon.app.crash import run

    lines, codes = output(), [EXIT_INTERRUPTED]
    run(until_told_to_end(_printed(spec, [*handed_on(arguments)], lines, codes), lines))
    return codes[-1]


def handed_on(arguments: Sequence[str]) -> Iterator[str]:
    """Yield the words of a command line that another machine is to obey."""
    words = iter(arguments)
    for word in words:
        if word in OF_HERE:
            next(words, None)
        elif word != "--debug" and not word.startswith(tuple(f"{flag}=" for flag in OF_HERE)):
            yield word


async def _printed(spec: HostSpec, arguments: Sequence[str], lines: Lines, codes: list[int]) -> None:
    from gpumon.app.cli.output import text_bytes
    from gpumon.app.fleet.link import ssh_output
    from gpumon.app.fleet.ssh import SHELL_NOT_EXECUTABLE, SHELL_NOT_FOUND, SSH_FAILED, explain

    async def take(line: bytes) -> None:
        await lines.write(text_bytes(line.decode("utf-8", "replace")), "output")

    try:
        code, errors = await ssh_output(spec, arguments, take)
    except FileNotFoundError:
        raise GpumonError("there is no ssh on this machine; Debian: apt install openssh-client") from None
    if code in {SHELL_NOT_FOUND, SHELL_NOT_EXECUTABLE, SSH_FAILED}:
        cause = explain(spec, code, errors)
        raise GpumonError("; ".join(filter(None, (f"{spec.name}: {cause.words}", cause.hint))))
    codes.append(code)
    for line in errors:
        if line.startswith("gpumon"):
            sys.stderr.write(f"{visible(spec.name)}: {visible(line, 2000)}\n")
