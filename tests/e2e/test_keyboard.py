"""Whatever comes from the keyboard: it is a key, or it is ignored; and what dies of it says so."""

from __future__ import annotations

import stat
import sys
from pathlib import Path

import psutil
import pytest
from tests.e2e.conftest import gpumon
from tests.e2e.tmux import Pane
from tests.fakes.ollama.catalog import GIB
from tests.fakes.ollama.server import FakeOllama

SABOTAGED = """
import sys, threading
from gpumon.app.cli.main import main
from gpumon.app.ui import textual_internals as internals

def broken(self, message):
    if getattr(message, "key", "") == "x":
        raise ZeroDivisionError("a secret of the user")
    kept(self, message)

kept, internals.SteadyDriver.process_message = internals.SteadyDriver.process_message, broken

class BrokenOnce:
    def __init__(self, file):
        self._file, self._is_broken = file, False

    def write(self, text):
        if " page" in text and not self._is_broken:
            self._is_broken = True
            raise ZeroDivisionError("a secret of the user")
        self._file.write(text)

    def __getattr__(self, name):
        return getattr(self._file, name)

if sys.argv[1] == "writer":
    sys.__stderr__ = BrokenOnce(sys.__stderr__)
sys.exit(main(["demo", "spill"]))
"""


@pytest.mark.parametrize(
    "data", [b"\xff", b"\xc3\x28", b"\xe2\x82", b"\x80\x81\x82", b"\xf5\x85", b"\x1b[1114112u"]
)
async def test_bytes_that_are_no_key_are_ignored(data: bytes, bare_environment: dict[str, str]) -> None:
    with Pane(gpumon("demo", "spill"), bare_environment) as pane:
        await pane.wait_for("Models", "Enter page")
        pane.send(data)
        pane.press("Enter", "?")  # the first may complete a character that was begun
        screen = await pane.wait_for("every key and mark")
        assert "Traceback" not in screen
        pane.press("F10")
        await pane.wait_for("exit code 0")


async def test_a_character_that_comes_in_pieces_is_one(bare_environment: dict[str, str]) -> None:
    with Pane(gpumon("demo", "spill"), bare_environment) as pane:
        await pane.wait_for("Models", "Enter page")
        pane.press("/")
        for byte in "é€".encode():
            pane.send(bytes([byte]))
        await pane.wait_for("é€")


async def test_letters_typed_right_after_slash_are_letters_and_no_commands(
    bare_environment: dict[str, str],
) -> None:
    with Pane(gpumon("demo", "spill"), bare_environment) as pane:
        await pane.wait_for("Models", "Enter page")
        pane.press("/", "q", "u", "1")
        await pane.wait_for("filter: qu1")


@pytest.mark.parametrize("thread", ["keyboard", "writer"])
async def test_a_thread_of_the_terminal_that_dies_ends_it_with_a_report(
    thread: str, bare_environment: dict[str, str], tmp_path: Path
) -> None:
    with Pane([sys.executable, "-c", SABOTAGED, thread], bare_environment) as pane:
        if thread == "keyboard":
            await pane.wait_for("Models", "Enter page")
            pane.press("x")
        screen = await pane.wait_for("exit code 1")
        assert "Traceback" not in screen
        assert "secret" not in screen
        assert pane.pane_format("mouse_any_flag") == "0"
    report = tmp_path / "state" / "gpumon" / "crash.txt"
    assert "ZeroDivisionError" in report.read_text(encoding="utf-8")
    assert "secret" not in report.read_text(encoding="utf-8")
    assert stat.S_IMODE(report.stat().st_mode) == 0o600


async def test_a_continue_signal_without_a_stop_changes_nothing(bare_environment: dict[str, str]) -> None:
    with Pane(gpumon("demo", "spill"), bare_environment) as pane:
        await pane.wait_for("Models", "Enter page")
        program = psutil.Process(pane.program_pid())
        threads = program.num_threads()
        for _ in range(3):
            program.resume()
        pane.press("?")
        await pane.wait_for("every key and mark")
        assert program.num_threads() <= threads


def mouse(button: int, column: int, line: int, *, up: bool = False) -> bytes:
    """Return what a terminal sends for the mouse (xterm, ctlseqs: SGR)."""
    return f"\x1b[<{button};{column};{line}{'m' if up else 'M'}".encode()


def click(pane: Pane, words: str) -> None:
    """Click on the second character of these words, where they are on the screen."""
    line, text = next(one for one in enumerate(pane.screen().splitlines(), start=1) if words in one[1])
    column = text.index(words) + 2
    pane.send(mouse(0, column, line) + mouse(0, column, line, up=True))


async def test_the_mouse_presses_hints_and_hides_panels(
    environment: dict[str, str], ollama: FakeOllama
) -> None:
    ollama.catalog.load("qwen3:8b", size_bytes=10 * GIB, size_vram_bytes=6 * GIB)
    with Pane(gpumon(), environment, 80, 24) as pane:
        await pane.wait_for(" GPUs ", " Models ", "─ Events", "Enter page")
        click(pane, "? help")
        await pane.wait_for("page of the selected row")
        pane.press("Escape")
        await pane.wait_for("Enter page")
        for title, switch in ((" GPUs ", "1 gpu"), (" Models ", "2 models"), ("─ Events", "5 events")):
            click(pane, title)
            await pane.wait_gone(title)
            await pane.wait_for(switch)
            click(pane, switch)
            await pane.wait_for(title, "Enter page")


async def test_the_screen_goes_back_in_time_while_samples_come_and_returns(
    bare_environment: dict[str, str],
) -> None:
    with Pane(gpumon("demo", "spill"), bare_environment) as pane:
        await pane.wait_for("Models", "Enter page")
        pane.press("S-Left")
        await pane.wait_for("1 min ago ·", "End now")
        pane.press("Home")
        await pane.wait_for("no further: watching since", "5 min ago ·")
        pane.press("u")
        await pane.wait_for("not here: now is 5 min later")
        pane.press("End")
        screen = await pane.wait_until(lambda shown: " ago ·" not in shown, "now")
        assert "Models" in screen
