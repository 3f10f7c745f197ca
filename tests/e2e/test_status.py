"""``gpumon status`` where it is meant to be: in the status line of a real tmux, and at the end of a pipe."""

from __future__ import annotations

import asyncio
import json
import shlex
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.e2e.conftest import gpumon
from tests.e2e.tmux import Pane
from tests.fakes.nvml.driver import GIB
from tests.fakes.ollama.server import FakeOllama
from tests.fakes.processes.actor import compiler

pytestmark = pytest.mark.skipif(compiler() is None, reason="no C compiler")

WAIT_SECONDS = 60


def load(ollama: FakeOllama, name: str) -> None:
    """Load a model of which a third is in RAM."""
    ollama.catalog.load(name, size_bytes=12 * GIB, size_vram_bytes=8 * GIB)


class Bar:
    """A tmux inside the pane of a test, so that its own status line can be seen."""

    def __init__(self, folder: Path, *flags: str) -> None:
        self.name = f"gpumon-bar-{uuid.uuid4().hex[:12]}"
        self.pid_file, self.settings = folder / "pid", folder / "tmux.conf"
        program = folder / "gpumon"
        command = shlex.join(gpumon())
        program.write_text(f'#!/bin/sh\necho $$ > {self.pid_file}\nexec {command} "$@"\n', encoding="utf-8")
        program.chmod(0o755)
        self.settings.write_text(
            f"set -g status-right '#({program} status --follow {shlex.join(flags)})'\n"
            "set -g status-right-length 90\nset -g status-left ''\nset -g status-interval 1\n",
            encoding="utf-8",
        )

    @property
    def command(self) -> list[str]:
        return [
            "env",
            "-u",
            "TMUX",
            "tmux",
            "-u",
            "-L",
            self.name,
            "-f",
            str(self.settings),
            "new-session",
            "sleep 1000",
        ]

    def end(self) -> None:
        subprocess.run(["tmux", "-L", self.name, "kill-server"], check=False, capture_output=True)

    def runs(self) -> bool:
        """Whether the program runs; one that has ended may wait for somebody to ask for its exit code."""
        stat = Path("/proc", self.pid_file.read_text().strip(), "stat")
        try:
            return ") Z " not in stat.read_text()
        except OSError:
            return False

    async def until_gone(self) -> None:
        end = time.monotonic() + WAIT_SECONDS
        while self.runs():
            assert time.monotonic() < end, "it goes on though nobody reads"
            await asyncio.sleep(0.1)


@contextmanager
def bar(folder: Path, *flags: str) -> Iterator[Bar]:
    made = Bar(folder, *flags)
    try:
        yield made
    finally:
        made.end()


async def test_tmux_shows_the_newest_line_on_red_while_a_model_spills(
    environment: dict[str, str], ollama: FakeOllama, tmp_path: Path
) -> None:
    with bar(tmp_path, "--format", "tmux") as shown, Pane(shown.command, environment, 120, 12) as pane:
        await pane.wait_for("no model", deadline=WAIT_SECONDS)
        load(ollama, "llama3.1:8b")
        await pane.wait_for_line("SPILLED llama3.1:8b 33%", deadline=WAIT_SECONDS)
        line = next(one for one in pane.painted().splitlines() if "SPILLED" in one)
        assert "41" in line.split("SPILLED")[0].rsplit("\x1b[", 1)[1]
        ollama.catalog.unload("llama3.1:8b")
        await pane.wait_for_line("no model", deadline=WAIT_SECONDS)
        shown.end()
        await shown.until_gone()


@pytest.mark.parametrize("form", ["tmux", "plain"])
async def test_the_name_of_a_model_is_no_command_and_no_style_of_tmux(
    form: str, environment: dict[str, str], ollama: FakeOllama, tmp_path: Path
) -> None:
    trap = tmp_path / "trap"
    load(ollama, f"evil#(touch {trap})#[fg=green]#{{pid}}")
    with (
        bar(tmp_path, "--format", form, "--width", "80") as shown,
        Pane(shown.command, environment, 120, 12) as pane,
    ):
        await pane.wait_for_line("SPILLED evil_(touch ", "33%", deadline=WAIT_SECONDS)
        await asyncio.sleep(2)  # tmux expands its status line once a second
        assert not trap.exists()


async def run(environment: dict[str, str], *flags: str) -> subprocess.CompletedProcess[str]:
    """Run it off the event loop, on which the fake server answers."""
    return await asyncio.to_thread(
        subprocess.run,
        gpumon("status", *flags),
        env=environment,
        capture_output=True,
        text=True,
        timeout=WAIT_SECONDS,
        check=False,
    )


async def test_one_line_is_printed_after_one_look(environment: dict[str, str], ollama: FakeOllama) -> None:
    load(ollama, "llama3.1:8b")
    done = await run(environment, "--exit-code", "--format", "json")
    assert (done.returncode, done.stderr) == (1, "")
    found = json.loads(done.stdout)
    assert found["text"].startswith("SPILLED llama3.1:8b 33%")
    assert (found["level"], found["complete"], found["models"], found["spill_percent"]) == (
        "bad",
        True,
        1,
        "33%",
    )


async def test_where_there_is_nothing_to_see_it_says_so_and_exits_with_zero(
    bare_environment: dict[str, str],
) -> None:
    done = await run(bare_environment, "--width", "40")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout in {"no GPU driver here, no Ollama at 127.0.0.1:9\n", "nothing seen\n"}


async def test_it_ends_without_a_word_when_nobody_reads_any_more(
    environment: dict[str, str], ollama: FakeOllama
) -> None:
    load(ollama, "llama3.1:8b")
    words = shlex.join(gpumon("status", "--follow", "--format", "i3bar"))
    done = await asyncio.to_thread(
        subprocess.run,
        ["bash", "-c", f"{words} | head -1; exit ${{PIPESTATUS[0]}}"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=WAIT_SECONDS,
        check=False,
    )
    assert (done.returncode, done.stderr, done.stdout) == (0, "", '{"version":1}\n')
