"""``gpumon demo``: the dashboard at work without a GPU."""

from __future__ import annotations

import sys
from argparse import Namespace

from gpumon.app.cli.commands import Commands, add_command
from gpumon.app.cli.effective import screen_settings
from gpumon.app.cli.flags import add_config_flag, add_screen_flags
from gpumon.app.cli.terminal import require_terminal

DEFAULT_SCENARIO = "spill"
"""What gpumon is for."""


def add_to(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(commands, "demo", "see the dashboard at work without a GPU")
    parser.add_argument(
        "scenario",
        nargs="?",
        default=DEFAULT_SCENARIO,
        metavar="SCENARIO",
        help="what happens; --list names them",
    )
    parser.add_argument("--list", action="store_true", help="print the scenarios and exit")
    parser.set_defaults(execute=execute)
    add_screen_flags(parser)
    add_config_flag(parser)


def execute(options: Namespace) -> int:
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
