"""Why a model spills, from the driver, the server and real processes to what is printed and drawn.

One RTX 4090 of 24 GiB; the models have the geometry of an 8B llama: 128 KiB of f16 cache a token.
"""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.conftest import gpumon
from tests.e2e.tmux import Pane, has_line
from tests.fakes.nvml.driver import GIB, MIB, FakeDriver
from tests.fakes.ollama.server import FakeOllama
from tests.fakes.processes.actor import Actor, build, compiler

pytestmark = pytest.mark.skipif(compiler() is None, reason="no C compiler")

NAME = "llama3.1:8b"
NO_GPU = 'time=1970-01-01T00:00:01Z level=INFO msg="inference compute" id=cpu library=cpu name=cpu\n'


class Machine:
    """A GPU, a server and their processes."""

    def __init__(self, driver: FakeDriver, ollama: FakeOllama, serve: Actor) -> None:
        self._driver, self._ollama, self._serve = driver, ollama, serve

    def load(
        self,
        name: str,
        file_gib: float,
        on_gpu_gib: float,
        in_ram_gib: float = 0.0,
        *more: str,
        context: int = 4096,
    ) -> int:
        """Load a model and return the PID of its runner."""
        self._ollama.catalog.load(
            name,
            file_bytes=int(file_gib * GIB),
            size_bytes=int((on_gpu_gib + in_ram_gib) * GIB),
            size_vram_bytes=int(on_gpu_gib * GIB),
            context_length=context,
        )
        blob = f"/usr/share/ollama/.ollama/models/blobs/{self._ollama.catalog.installed[name].blob}"
        argv = ["llama-server", "--model", blob, "-c", str(context), "-np", "1", "-ub", "512", *more]
        pid = self._serve.start(argv)
        if on_gpu_gib:
            self._driver.run(0, pid, vram_bytes=int(on_gpu_gib * GIB) + 150 * MIB)
        return pid


@pytest.fixture
def machine(fake_driver: FakeDriver, ollama: FakeOllama, serve: Actor) -> Machine:
    return Machine(fake_driver, ollama, serve)


@pytest.fixture
def blender(tmp_path: Path, fake_driver: FakeDriver) -> Iterator[int]:
    """A process of somebody else that holds 18 GiB, started before any model."""
    program = tmp_path / "blender"
    shutil.copy(build(tmp_path), program)
    with Actor(program, ["blender"]) as actor:
        fake_driver.run(0, actor.pid, vram_bytes=18 * GIB)
        yield actor.pid


async def run(environment: dict[str, str], *arguments: str) -> tuple[int, Any]:
    """Run a command off the event loop, on which the fake server answers; return its code and its JSON."""
    done = await asyncio.to_thread(
        subprocess.run,
        gpumon(*arguments, *(() if arguments[0] == "snapshot" else ("--json",))),
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, json.loads(done.stdout) if done.stdout else done.stderr


async def why(environment: dict[str, str], name: str = NAME) -> dict[str, Any]:
    """Return what is said of a model that is not well."""
    code, document = await run(environment, "why", name)
    assert code == 1, document
    (model,) = document["models"]
    assert isinstance(model, dict)
    return model


def remedy(model: dict[str, Any], action: str) -> dict[str, Any]:
    (found,) = [one for one in model["remedies"] if one["action"] == action]
    assert isinstance(found, dict)
    return found


async def test_a_foreign_process_that_holds_the_memory_is_named_with_its_bytes(
    environment: dict[str, str], blender: int, machine: Machine
) -> None:
    del blender
    machine.load(NAME, 9.0, 4.0, 5.5)
    found = await why(environment)
    assert found["verdicts"][0]["kind"] == "spilled"
    assert found["cause"]["kind"] == "foreign_process"
    assert found["cause"]["sentence"] == "blender (18.0 GiB) was on the GPU before it"
    assert remedy(found, "free_process")["frees_bytes"] == 18 * GIB


async def test_another_model_that_holds_the_memory_is_advised_to_be_stopped(
    environment: dict[str, str], machine: Machine
) -> None:
    machine.load("qwen3:32b", 18.0, 18.0)
    machine.load(NAME, 9.0, 4.0, 5.5)
    found = await why(environment)
    assert found["cause"]["kind"] == "other_model"
    assert "qwen3:32b (18.1 GiB)" in found["cause"]["sentence"]
    assert "ollama stop qwen3:32b" in remedy(found, "unload_model")["command"]


async def test_a_context_that_is_too_large_is_told_and_the_one_advised_fits(
    environment: dict[str, str], machine: Machine
) -> None:
    machine.load(NAME, 12.0, 20.0, 9.0, context=131072)
    found = await why(environment)
    assert found["cause"]["kind"] == "context_request"
    line = re.fullmatch(r"/set parameter num_ctx (\d+)", remedy(found, "shrink_context")["command"])
    assert line is not None
    code, fitting = await run(environment, "fit", NAME, "--num-ctx", line[1])
    assert (code, fitting["fits"]) == (0, True)
    code, fitting = await run(environment, "fit", NAME, "--num-ctx", "131072")
    assert (code, fitting["fits"]) == (1, False)


async def test_layers_that_were_set_by_hand_are_told(environment: dict[str, str], machine: Machine) -> None:
    machine.load(NAME, 9.0, 3.0, 6.5, "-ngl", "10")
    found = await why(environment)
    assert found["cause"]["kind"] == "gpu_layers"
    assert found["cause"]["sentence"] == "num_gpu 10 was set by hand, of 33 layers"
    assert remedy(found, "raise_gpu_layers")["command"] == "PARAMETER num_gpu 33"


async def test_a_server_that_found_no_gpu_is_told_by_its_log(
    environment: dict[str, str], machine: Machine, tmp_path: Path
) -> None:
    log, settings = tmp_path / "server.log", tmp_path / "settings.toml"
    log.write_text(NO_GPU)
    settings.write_text(f'log_files = ["{log}"]\n')
    machine.load(NAME, 5.0, 0.0, 5.5)
    found = await why(environment | {"GPUMON_CONFIG": str(settings)})
    assert found["verdicts"][0]["kind"] == "no_gpu_found", found
    assert found["cause"]["kind"] == "gpu_not_used"
    assert [one["action"] for one in found["remedies"]] == ["restart_server"]


async def test_memory_that_is_gone_after_a_suspend_is_a_lost_gpu(
    environment: dict[str, str], fake_driver: FakeDriver, machine: Machine
) -> None:
    pid = machine.load(NAME, 5.0, 6.0)
    with Pane(gpumon(), environment, 140, 60) as pane:
        await pane.wait_for_line("RTX 4090", NAME, "6.1/24.0")
        await choose(pane)
        pane.press("Enter")
        await pane.wait_for_line("driver measures", "6.1", "agrees")
        pane.press("d")
        await pane.wait_for("measured 6.1 GiB, error")
        fake_driver.end(0, pid)
        screen = await pane.wait_for_line(f"■ LOST GPU  {NAME} · has lost the GPU: it held 6.1 GiB")
        assert "restart the server" in screen
        assert has_line(screen, "driver measures", "0.0", "sees less")


async def test_a_model_that_is_well_exits_with_zero(environment: dict[str, str], machine: Machine) -> None:
    machine.load(NAME, 5.0, 6.0)
    code, document = await run(environment, "why", NAME)
    assert code == 0
    assert document["models"][0]["verdicts"][0]["kind"] == "healthy"


async def test_a_model_that_is_not_loaded_is_a_mistake(
    environment: dict[str, str], ollama: FakeOllama
) -> None:
    del ollama
    code, said = await run(environment, "why", "nobody:1b")
    assert code == 2
    assert "nobody:1b is not loaded" in said


async def test_the_snapshot_says_the_same(environment: dict[str, str], machine: Machine) -> None:
    machine.load(NAME, 12.0, 20.0, 9.0, context=131072)
    said, (_, document) = await why(environment), await run(environment, "snapshot")
    (model,) = [one for one in document["models"] if one["name"] == NAME]
    assert model["verdict"]["kind"] == said["verdicts"][0]["kind"]
    assert model["cause"]["kind"] == said["cause"]["kind"]
    assert [one["action"] for one in model["remedies"]] == [one["action"] for one in said["remedies"]]


async def test_the_page_tells_it_and_a_key_copies_the_line(
    environment: dict[str, str], machine: Machine
) -> None:
    machine.load(NAME, 12.0, 20.0, 9.0, context=131072)
    with Pane(gpumon(), environment, 140, 40) as pane:
        await pane.wait_for("SPILL")
        await choose(pane)
        pane.press("Enter")
        await pane.wait_for("its context is too large", "if it fitted", "OLLAMA_KV_CACHE_TYPE=q8_0")
        pane.press("y")
        await pane.wait_for("copied: ", "in the server's environment")


async def choose(pane: Pane) -> None:
    """Put the cursor on the model: this machine may have some of its own."""
    pane.press("/")
    await pane.wait_for("model name contains")
    pane.press(*"llama3.1", "Enter")
    await pane.wait_for("filter: llama3.1")
    pane.press("End")
