"""What gpumon itself does wrong costs its own part, in a real terminal and in every command.

The faults come from a ``sitecustomize`` that each test writes into a folder of its own: gpumon has no switch
for them.
"""

from __future__ import annotations

import asyncio
import json
import stat
import textwrap
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.conftest import gpumon
from tests.e2e.tmux import DEADLINE_SECONDS, Pane, has_line
from tests.fakes.nvml.driver import GIB, FakeDriver
from tests.fakes.ollama.server import FakeOllama
from tests.fakes.processes.actor import Actor, build, compiler

BROKEN_RULE = """
    from gpumon.app.alerts.rules import model
    def spill(*_):
        if not FLAG.exists():
            raise KeyError("a secret")
        return working(*_)
    working, model.spill = model.spill, spill
"""
BROKEN_APPLIER = """
    from gpumon.app.state import machine
    def apply_system(*_):
        raise KeyError("a secret")
    machine.apply_system = apply_system
"""
BROKEN_LISTENER = """
    from gpumon.app.recording import writer
    def encode_line(_):
        raise KeyError("a secret")
    writer.encode_line = encode_line
"""
DEAD_THREAD = """
    import threading
    def die():
        while not FLAG.exists():
            threading.Event().wait(0.05)
        raise KeyError("a secret")
    threading.Thread(target=die, name="ours", daemon=True).start()
"""
DEAD_TASK = """
    from gpumon.collectors.nvml.source import NvmlSource
    def delay(*_):
        if FLAG.exists():
            raise KeyError("a secret")
        return 0.3
    NvmlSource.delay = delay
"""
FULL_TABLE = """
    import errno
    from gpumon.collectors.processes.proc import Proc
    working = Proc.stat
    def stat(self, pid):
        if FLAG.exists():
            raise OSError(errno.EMFILE, "Too many open files")
        return working(self, pid)
    Proc.stat = stat
"""


class World:
    """A machine whose gpumon has a fault; the file ``flag`` mends or starts it."""

    def __init__(self, environment: dict[str, str], folder: Path) -> None:
        self._folder = folder
        folder.mkdir()
        self.flag = folder / "flag"
        self.state = Path(environment["XDG_STATE_HOME"]) / "gpumon"
        self.environment = environment | {"PYTHONPATH": f"{folder}:{environment['PYTHONPATH']}"}

    def break_with(self, fault: str) -> None:
        head = f"from pathlib import Path\nFLAG = Path({str(self.flag)!r})\n"
        (self._folder / "sitecustomize.py").write_text(f"{head}{textwrap.dedent(fault)}")

    def log(self) -> str:
        return (self.state / "gpumon.log").read_text()

    async def run(self, *arguments: str, flag_after: float | None = None) -> tuple[int | None, str, str]:
        """Run a command to its end; touch the flag after so many seconds."""
        process = await asyncio.create_subprocess_exec(
            *gpumon(*arguments),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=self.environment,
        )
        ending = asyncio.ensure_future(process.communicate())
        if flag_after is not None:
            await asyncio.wait({ending}, timeout=flag_after)
            self.flag.touch()
        await asyncio.wait({ending}, timeout=DEADLINE_SECONDS)
        if not ending.done():
            process.kill()
        out, err = await ending
        return process.returncode, out.decode(), err.decode()


@pytest.fixture
def world(environment: dict[str, str], tmp_path: Path, ollama: FakeOllama) -> World:
    ollama.catalog.load("spilled:7b", size_bytes=8 * GIB, size_vram_bytes=4 * GIB)
    return World(environment, tmp_path / "faults")


async def test_a_failing_rule_is_named_while_all_else_goes_on_and_recovers(
    world: World, ollama: FakeOllama
) -> None:
    world.break_with(BROKEN_RULE)
    with Pane(gpumon(), world.environment) as pane:
        screen = await pane.wait_for("internal error in rule spill", "details in", "gpumon.log", "spilled:7b")
        assert "RTX 4090" in screen
        assert has_line(screen, "SPILLED  spilled:7b · 50% in RAM"), "the verdict knows it from the state"
        assert has_line(screen, "spilled:7b", "4.0+4.0", "50%")
        ollama.catalog.load("other:7b", size_bytes=GIB, size_vram_bytes=GIB)
        await pane.wait_for("other:7b", "internal error in rule spill")
        world.flag.touch()
        screen = await pane.wait_until(lambda text: "internal error" not in text, "recovered")
        assert "spilled:7b" in screen
        pane.press("q")
        await pane.wait_for("exit code 0")
    log = world.log()
    assert log.count("internal error in rule spill") == 1
    assert log.count("builtins.KeyError") == 1
    assert log.count("rule spill has recovered") == 1
    assert 'raise KeyError("a secret")' in log
    assert log.count("a secret") == 1, "the line of code, not the text of the exception"
    assert stat.S_IMODE((world.state / "gpumon.log").stat().st_mode) == 0o600
    assert stat.S_IMODE(world.state.stat().st_mode) == 0o700
    assert not (world.state / "crash.txt").exists()


async def test_a_failing_rule_is_named_by_snapshot_and_doctor(world: World) -> None:
    world.break_with(BROKEN_RULE)
    code, out, err = await world.run("snapshot")
    snapshot: dict[str, Any] = json.loads(out)
    (own,) = (source for source in snapshot["sources"] if source["name"] == "gpumon")
    assert (own["state"], own["detail"]) == ("failing", "internal error in rule spill")
    assert own["hint"].endswith("gpumon.log")
    assert (code, err) == (1, "")
    assert [model["name"] for model in snapshot["models"]] == ["spilled:7b"]
    assert snapshot["gpus"]
    code, out, err = await world.run("doctor")
    assert "internal error in rule spill" in out
    assert "gpumon.log" in out
    assert (code, err) == (1, "")


async def test_a_failing_applier_costs_its_source_alone(world: World) -> None:
    world.break_with(BROKEN_APPLIER)
    with Pane(gpumon(), world.environment) as pane:
        await pane.wait_for("internal error in sample system", "RTX 4090", "spilled:7b")
        pane.press("q")
        await pane.wait_for("exit code 0")


async def test_a_failing_listener_costs_itself_alone(world: World, tmp_path: Path) -> None:
    world.break_with(BROKEN_LISTENER)
    with Pane(gpumon("record", str(tmp_path / "x.jsonl")), world.environment) as pane:
        await pane.wait_for("internal error in recording", "RTX 4090", "spilled:7b")
        pane.press("q")
        await pane.wait_for("exit code 0")


@pytest.mark.parametrize("fault", [DEAD_THREAD, DEAD_TASK], ids=["thread", "task"])
async def test_a_thread_or_task_that_dies_ends_the_dashboard_with_a_report(world: World, fault: str) -> None:
    world.break_with(fault)
    with Pane(gpumon(), world.environment) as pane:
        await pane.wait_for("RTX 4090")
        world.flag.touch()
        screen = await pane.wait_for("internal error (", "crash.txt", "exit code 1")
        assert "Traceback" not in screen
        assert pane.pane_format("alternate_on") == "0"
    assert "KeyError" in (world.state / "crash.txt").read_text()
    assert stat.S_IMODE((world.state / "crash.txt").stat().st_mode) == 0o600


@pytest.mark.parametrize("fault", [DEAD_THREAD, DEAD_TASK], ids=["thread", "task"])
async def test_a_thread_or_task_that_dies_ends_a_recording_with_a_report(
    world: World, fault: str, tmp_path: Path
) -> None:
    world.break_with(fault)
    code, out, err = await world.run("record", "--headless", str(tmp_path / "x.jsonl"), flag_after=3.0)
    assert (code, out) == (70, "")
    assert err.startswith("gpumon: internal error (")
    assert err.count("\n") == 1
    assert stat.S_IMODE((tmp_path / "x.jsonl").stat().st_mode) == 0o600
    assert "KeyError" in (world.state / "crash.txt").read_text()


async def test_a_thread_that_dies_ends_the_meter_with_a_report(world: World) -> None:
    world.break_with(DEAD_THREAD)
    code, _, err = await world.run("meter", "--listen", "127.0.0.1:0", "--quiet", flag_after=3.0)
    assert code == 70
    assert err.startswith("gpumon: internal error (KeyError)")


async def test_a_run_in_which_nothing_happens_leaves_no_log(world: World) -> None:
    code, _, err = await world.run("snapshot")
    assert (code, err) == (1, "")
    assert not (world.state / "gpumon.log").exists()


async def test_debug_logs_the_sources_without_their_names(world: World, ollama: FakeOllama) -> None:
    await world.run("snapshot", "--debug")
    log = world.log()
    assert "source nvml is serving, was not asked yet" in log
    assert "source http" in log
    assert ollama.url not in log.replace("127.0.0.1", "loopback")


@pytest.mark.skipif(compiler() is None, reason="no C compiler")
async def test_a_look_at_the_processes_that_is_refused_leaves_the_rows(
    world: World, fake_driver: FakeDriver, tmp_path: Path
) -> None:
    world.break_with(FULL_TABLE)
    argv = ["llama-server", "--model", "/models/Qwen3-14B-Q4_K_M.gguf", "--port", "9"]
    with Actor(build(tmp_path), argv) as server, Pane(gpumon(), world.environment) as pane:
        fake_driver.run(0, server.pid, vram_bytes=9 * GIB)
        await pane.wait_for("Qwen3-14B-Q4_K_M.gguf", "spilled:7b")
        world.flag.touch()
        screen = await pane.wait_for("too many open files")
        assert screen.count("Qwen3-14B-Q4_K_M.gguf") >= 1
        assert "gone" not in screen
        world.flag.unlink()
        await pane.wait_until(lambda text: "too many open files" not in text, "well again")
        assert "Qwen3-14B-Q4_K_M.gguf" in pane.screen()
        pane.press("q")
        await pane.wait_for("exit code 0")
