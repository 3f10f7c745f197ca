"""Several machines over a real sshd: each a whole gpumon with a driver of its own."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.conftest import gpumon
from tests.e2e.tmux import Pane, has_line
from tests.fakes.nvml.driver import GIB, FakeDriver
from tests.fakes.ollama.server import FakeOllama
from tests.fakes.processes.actor import compiler
from tests.fakes.processes.secluded import COMMAND
from tests.fakes.sshd import Sshd

pytestmark = pytest.mark.skipif(compiler() is None, reason="no C compiler")

WAIT_SECONDS = 60.0
NAMES = ("one", "two", "three")


class Boxes:
    """Three machines: programs that stand for the gpumon of each, and the settings that name them."""

    def __init__(self, folder: Path, environment: dict[str, str], ollama: FakeOllama) -> None:
        self.folder, self._environment = folder, environment
        self.drivers = [FakeDriver(folder / f"nvml-{name}") for name in NAMES]
        servers = {"one": ollama.url}
        hosts = []
        for name, driver in zip(NAMES, self.drivers, strict=True):
            variables = environment | driver.environment()
            variables |= {
                "OLLAMA_HOST": servers.get(name, "127.0.0.1:9"),
                "XDG_STATE_HOME": str(folder / name),
            }
            hosts.append({"name": name, "command": str(self._program(name, variables))})
        hosts += [{"name": name} for name in ("denied", "strange")]
        written = ", ".join(
            "{ " + ", ".join(f'{key} = "{value}"' for key, value in one.items()) + " }" for one in hosts
        )
        (folder / "config.toml").write_text(f"hosts = [{written}]\n")

    def _program(self, name: str, variables: dict[str, str]) -> Path:
        program = self.folder / f"gpumon-{name}"
        exports = "".join(f"export {key}='{value}'\n" for key, value in variables.items())
        down = (
            f'if [ -e {self.folder}/{name}.down ]; then echo "gpumon: closed for repairs" >&2; exit 3; fi\n'
        )
        start = f'echo $$ > {self.folder}/{name}.pid\nexec {sys.executable} {" ".join(COMMAND)} "$@"\n'
        program.write_text(f"#!/bin/sh\n{exports}{down}{start}")
        program.chmod(0o755)
        return program

    def pid(self, name: str) -> int:
        return int((self.folder / f"{name}.pid").read_text())

    def stop(self, name: str) -> None:
        (self.folder / f"{name}.down").touch()
        os.kill(self.pid(name), signal.SIGKILL)

    def start(self, name: str) -> None:
        (self.folder / f"{name}.down").unlink()


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[Sshd]:
    with Sshd(tmp_path / "sshd", (*NAMES, "bare")) as server:
        yield server


@pytest.fixture
def boxes(tmp_path: Path, bare_environment: dict[str, str], ollama: FakeOllama) -> Iterator[Boxes]:
    made = Boxes(tmp_path, bare_environment, ollama)
    for driver in made.drivers:
        driver.__enter__()
    ollama.catalog.load("llama3.1:8b", size_bytes=12 * GIB, size_vram_bytes=8 * GIB)
    yield made
    for driver in made.drivers:
        driver.__exit__(None, None, None)


@pytest.fixture
def here(bare_environment: dict[str, str], sshd: Sshd, tmp_path: Path) -> dict[str, str]:
    return bare_environment | {"PATH": sshd.path, "GPUMON_CONFIG": str(tmp_path / "config.toml")}


def with_path(environment: dict[str, str], command: list[str]) -> list[str]:
    """Return a command for a pane: tmux takes the path from whoever starts it."""
    return ["env", f"PATH={environment['PATH']}", *command]


async def test_three_machines_one_of_which_goes_and_comes_back(here: dict[str, str], boxes: Boxes) -> None:
    hosts = [word for name in NAMES for word in ("--host", name)]
    with Pane(with_path(here, gpumon(*hosts)), here, 120, 40) as pane:
        await pane.wait_for_line("one", "SPILLED llama3.1:8b", "33% in RAM", deadline=WAIT_SECONDS)
        await pane.wait_for_line("three", "/24.0", "now", deadline=WAIT_SECONDS)
        await pane.wait_for_line("two", "/24.0", "now", deadline=WAIT_SECONDS)
        pane.press("Enter")
        screen = await pane.wait_for("Esc all hosts", "llama3.1:8b")
        assert "one" in screen.splitlines()[0]
        pane.press("Escape")
        await pane.wait_for_line("HOST", "VERDICT")
        boxes.stop("two")
        await pane.wait_for_line("two", "seen", "ago", deadline=WAIT_SECONDS)
        await pane.wait_for("gpumon there: closed for repairs", deadline=WAIT_SECONDS)
        boxes.start("two")
        await pane.wait_for_line("two", "/24.0", "now", deadline=WAIT_SECONDS)
        pids = [boxes.pid(name) for name in NAMES]
        pane.press("q")
        await pane.wait_for("exit code 0")
    await all_gone(pids)


async def all_gone(pids: list[int]) -> None:
    """Wait until no gpumon is left on any machine: nobody reads what it writes."""
    end = time.monotonic() + WAIT_SECONDS
    while any(map(_runs, pids)):
        assert time.monotonic() < end, "gpumon goes on there though nobody reads"
        await asyncio.sleep(0.1)


def _runs(pid: int) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


async def test_each_cause_has_its_words(bare_environment: dict[str, str], sshd: Sshd) -> None:
    here = bare_environment | {"PATH": sshd.path}
    names = ("denied", "strange", "bare", "nowhere.invalid")
    hosts = [word for name in names for word in ("--host", name)]
    command = with_path(here, gpumon(*hosts, "--host-command", "gpumon-not-there"))
    with Pane(command, here, 120, 24) as pane:
        await pane.wait_for_line("denied", "it takes none of the keys", deadline=WAIT_SECONDS)
        await pane.wait_for_line("strange", "its host key is not known here", deadline=WAIT_SECONDS)
        await pane.wait_for_line("bare", "gpumon-not-there is not found there", deadline=WAIT_SECONDS)
        await pane.wait_for_line("nowhere", "no host of that name is known", deadline=WAIT_SECONDS)
        screen = pane.screen()
        assert has_line(screen, "ssh-copy-id denied")
        assert has_line(screen, "once by hand: ssh strange")
        assert has_line(screen, "pipx install .")


async def run(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return await asyncio.to_thread(
        subprocess.run,
        gpumon(*arguments),
        env=environment,
        capture_output=True,
        text=True,
        timeout=WAIT_SECONDS,
        check=False,
    )


async def test_a_command_is_run_on_another_machine(here: dict[str, str], boxes: Boxes) -> None:
    done = await run(here, "snapshot", "--host", "one")
    assert done.returncode == 1
    assert json.loads(done.stdout)["models"][0]["name"] == "llama3.1:8b"
    done = await run(here, "why", "llama3.1:8b", "--host", "one")
    assert done.returncode == 1
    assert "llama3.1:8b" in done.stdout
    done = await run(here, "why", "--host", "denied")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("gpumon: denied: it takes none of the keys")


@pytest.mark.parametrize("place", ["-", "/dev/stdout"])
async def test_a_recording_to_a_pipe_ends_without_a_word_when_nobody_reads(
    place: str, bare_environment: dict[str, str]
) -> None:
    words = " ".join(gpumon("record", "--headless", place, "--interval", "0.25"))
    done = await asyncio.to_thread(
        subprocess.run,
        ["bash", "-c", f"{words} | head -1; exit ${{PIPESTATUS[0]}}"],
        env=bare_environment,
        capture_output=True,
        text=True,
        timeout=WAIT_SECONDS,
        check=False,
    )
    assert (done.returncode, done.stderr) == (141, "")
    assert done.stdout.startswith('{"gpumon_recording":')
