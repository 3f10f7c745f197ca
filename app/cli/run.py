"""``gpumon``: the dashboard of this machine."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

from gpumon.app.cli.effective import screen_settings
from gpumon.app.cli.terminal import require_terminal

if TYPE_CHECKING:
    from gpumon.app.cli.given import Options


def execute(options: Options) -> int:
    """Show the live dashboard until the user leaves it."""
    gc.disable()  # nothing that a start makes is garbage; the dashboard collects once it is settled
    try:
        return _shown(options)
    finally:
        gc.enable()


def _shown(options: Options) -> int:
    settings = screen_settings(options)
    require_terminal()
    from gpumon.app.session.build import live_session
    from gpumon.app.ui.launch import run_dashboard

    return run_dashboard(settings, live_session(settings))
