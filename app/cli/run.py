"""``gpumon``: the dashboard of this machine."""

from __future__ import annotations

from argparse import Namespace

from gpumon.app.cli.effective import screen_settings
from gpumon.app.cli.terminal import require_terminal


def execute(options: Namespace) -> int:
    """Show the live dashboard until the user leaves it."""
    settings = screen_settings(options)
    require_terminal()
    from gpumon.app.session.build import live_session
    from gpumon.app.ui.launch import run_dashboard

    return run_dashboard(settings, live_session(settings))
