"""``gpumon`` and ``gpumon demo``: the dashboard of this machine, and one at work without a GPU."""

from __future__ import annotations

import gc
import sys
from typing import TYPE_CHECKING

from gpumon.app.cli.common import require_terminal, screen_settings

if TYPE_CHECKING:
    from argparse import Namespace

    from gpumon.app.cli.common import Options
    from gpumon.app.cli.flags import Commands

DEFAULT_SCENARIO = "spill"
"""What gpumon is for."""


def execute(options: Options) -> int:
    """Show the live dashboard until the user leaves it."""
    gc.disable()  # nothing that a start makes is garbage; the dashboard collects once it is settled
    try:
        return _shown(options)
    finally:
        gc.enable()


def _shown(options: Options) -> int:
    if any(getattr(options, flag, None) for flag in ("host", "hosts", "prometheus")):
        from gpumon.app.cli.hosts import execute_fleet

        return execute_fleet(options)
    settings = screen_settings(options)
    require_terminal()
    from gpumon.app.session.build import live_session
    from gpumon.app.ui.launch import run_dashboard

    return run_dashboard(settings, live_session(settings))


def add_demo(commands: Commands) -> None:
    """Add ``gpumon demo``."""
    # Here, because the dashboard without a flag, as it is mostly started, need not wait for the parser.
    from gpumon.app.cli.flags import add_command, add_config_flag, add_screen_flags

    parser = add_command(commands, "demo", "see the dashboard at work without a GPU")
    parser.add_argument(
        "scenario",
        nargs="?",
        default=DEFAULT_SCENARIO,
        metavar="SCENARIO",
        help="what happens; --list names them",
    )
    parser.add_argument("--list", action="store_true", help="print the scenarios and exit")
    parser.set_defaults(execute=execute_demo)
    add_screen_flags(parser)
    add_config_flag(parser)


def execute_demo(options: Namespace) -> int:
    """Show the dashboard of a scenario, or list the scenarios."""
    if options.list:
        return _print_list()
    settings = screen_settings(options)
    require_terminal()
    from gpumon.app.session.build import demo_session
    from gpumon.app.ui.launch import run_dashboard

    return run_dashboard(settings, demo_session(settings, options.scenario))


def _print_list() -> int:
    from gpumon.app.demo.scenarios import list_scenarios

    scenarios = list_scenarios()
    width = max(len(scenario.name) for scenario in scenarios)
    sys.stdout.writelines(f"{scenario.name:<{width}}  {scenario.description}\n" for scenario in scenarios)
    return 0
