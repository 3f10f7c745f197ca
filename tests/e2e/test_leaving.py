"""However the program ends, it ends quietly and leaves the terminal as it was."""

from __future__ import annotations

import asyncio
import os
import signal

import psutil
import pytest
from tests.e2e.conftest import gpumon
from tests.e2e.tmux import DEADLINE_SECONDS, Pane


@pytest.mark.parametrize("key", ["q", "C-c", "F10"])
async def test_a_quit_key_ends_it_and_restores_the_terminal(key: str, environment: dict[str, str]) -> None:
    with Pane(gpumon(), environment) as pane:
        await pane.wait_for("RTX 4090")
        pane.press(key)
        screen = await pane.wait_for("exit code 0")
        assert "Traceback" not in screen
        assert pane.pane_format("alternate_on") == "0"
        assert pane.pane_format("cursor_flag") == "1"
        assert pane.pane_format("mouse_any_flag") == "0"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
async def test_a_signal_to_end_restores_the_terminal(
    number: signal.Signals, environment: dict[str, str]
) -> None:
    with Pane(gpumon(), environment) as pane:
        await pane.wait_for("RTX 4090")
        os.kill(pane.program_pid(), number)
        screen = await pane.wait_for(f"exit code {128 + number}")
        assert "Traceback" not in screen
        assert pane.pane_format("alternate_on") == "0"


async def test_a_dumb_terminal_is_refused_in_one_line(bare_environment: dict[str, str]) -> None:
    command = ["env", "TERM=dumb", *gpumon()]
    with Pane(command, bare_environment) as pane:
        screen = await pane.wait_for("exit code 2")
        assert "gpumon snapshot" in screen
        assert "Traceback" not in screen


async def test_it_ends_with_its_terminal(environment: dict[str, str]) -> None:
    with Pane(gpumon(), environment) as pane:
        await pane.wait_for("RTX 4090")
        program = psutil.Process(pane.program_pid())
    await asyncio.to_thread(program.wait, DEADLINE_SECONDS)


async def test_ctrl_z_gives_the_shell_back_and_fg_the_dashboard(environment: dict[str, str]) -> None:
    with Pane(["bash", "--norc", "-i"], environment | {"PS1": "prompt> "}) as pane:
        await pane.wait_for("prompt>")
        pane.press(" ".join(gpumon()), "Enter")
        await pane.wait_for("RTX 4090", "Models")
        pane.press("C-z")
        await pane.wait_for("Stopped")
        pane.press("fg", "Enter")
        await pane.wait_for("RTX 4090", "Models")
        pane.press("q")
        await pane.wait_gone("Models")
