"""The first frame shows the driver's and the system's figures: what else there is is imported after it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

NOT_NEEDED = (
    "argparse",
    "httpx",
    "importlib.metadata",
    "plotext",
    "tomllib",
    "gpumon.app.alerts.sinks",
    "gpumon.app.cli.parser",
    "gpumon.app.diagnosis",
    "gpumon.app.feeds.player",
    "gpumon.app.recording.reader",
    "gpumon.app.recording.writer",
    "gpumon.app.snapshot",
    "gpumon.app.ui.model_actions",
    "gpumon.app.ui.screens.fit",
    "gpumon.app.ui.screens.help",
    "gpumon.app.ui.screens.page",
    "gpumon.collectors.http.client",
    "gpumon.collectors.server_log",
    "gpumon.collectors.servers.conversation",
    "gpumon.collectors.servers.llama_server.conversation",
    "gpumon.collectors.servers.ollama.server",
    "gpumon.collectors.servers.source",
)
MODULES_AT_MOST = 260
"""Of gpumon. Each costs about 0.2 ms and 15 KiB before the first frame: what is more needs a reason."""
SCRIPT = """
import sys
from types import SimpleNamespace
from gpumon.app.cli.common import screen_settings
from gpumon.app.cli.main import main
settings = screen_settings(SimpleNamespace())
from gpumon.app.session.build import live_session
from gpumon.app.ui.app import GpumonApp
from gpumon.app.ui.launch import run_dashboard
from gpumon.widgets.glyphs import UNICODE
session = live_session(settings)
GpumonApp(session, UNICODE).get_default_screen().draw()
print(*sys.modules)
"""


def modules_before_the_first_frame(folder: Path) -> set[str]:
    environment = os.environ | {
        "HOME": str(folder),
        "XDG_CONFIG_HOME": str(folder),
        "XDG_STATE_HOME": str(folder),
    }
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True, env=environment
    )
    return set(done.stdout.split())


def test_the_first_frame_waits_for_nothing_that_it_does_not_show(tmp_path: Path) -> None:
    imported = modules_before_the_first_frame(tmp_path)
    assert [name for name in NOT_NEEDED if name in imported] == []


def test_the_first_frame_needs_no_more_modules_than_it_did(tmp_path: Path) -> None:
    own = [name for name in modules_before_the_first_frame(tmp_path) if name.startswith("gpumon")]
    assert len(own) <= MODULES_AT_MOST
