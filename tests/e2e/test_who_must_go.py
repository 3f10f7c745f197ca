"""A model and another program on one card, from the driver and a server to the line that is typed.

One RTX 4090 of 24 GiB, an Ollama, and a process of somebody else that takes 18 GiB while gpumon looks on.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.conftest import gpumon
from tests.e2e.test_why import NAME, Machine, choose
from tests.e2e.tmux import Pane
from tests.fakes.nvml.driver import GIB, FakeDriver
from tests.fakes.ollama.server import FakeOllama
from tests.fakes.processes.actor import Actor, build, compiler

pytestmark = pytest.mark.skipif(compiler() is None, reason="no C compiler")


@pytest.fixture
def machine(fake_driver: FakeDriver, ollama: FakeOllama, serve: Actor) -> Machine:
    return Machine(fake_driver, ollama, serve)


@pytest.fixture
def blender(tmp_path: Path) -> Iterator[int]:
    """A program that holds no memory of a card yet."""
    program = tmp_path / "blender"
    shutil.copy(build(tmp_path), program)
    with Actor(program, ["blender"]) as actor:
        yield actor.pid


async def test_who_took_the_card_while_the_model_was_away_is_named_until_it_gives_it_back(
    environment: dict[str, str],
    fake_driver: FakeDriver,
    ollama: FakeOllama,
    serve: Actor,
    machine: Machine,
    blender: int,
) -> None:
    first = machine.load(NAME, 9.0, 9.5)
    with Pane(gpumon(), environment, 140, 40) as pane:
        await pane.wait_for(NAME, "on GPU")
        ollama.catalog.unload(NAME)
        serve.stop()
        fake_driver.end(0, first)
        await pane.wait_for("left")
        fake_driver.run(0, blender, vram_bytes=18 * GIB)
        await pane.wait_for("blender", "18.0/24.0")
        machine.load(NAME, 9.0, 4.0, 5.5)
        await pane.wait_for(
            "SPILLED", "blender took 18.0 GiB at ", f"close blender (18.0 GiB, pid {blender})"
        )
        await choose(pane)
        pane.press("Enter")
        await pane.wait_for("before it was loaded again", "close blender")
        pane.press("Escape")
        fake_driver.end(0, blender)
        await pane.wait_for("blender gave back 18.0 GiB; this model stays where it was loaded", "ollama stop")


async def test_another_model_that_took_it_is_unloaded_by_the_line_that_a_key_copies(
    environment: dict[str, str], fake_driver: FakeDriver, ollama: FakeOllama, serve: Actor, machine: Machine
) -> None:
    first = machine.load(NAME, 9.0, 9.5)
    with Pane(gpumon(), environment, 140, 40) as pane:
        await pane.wait_for(NAME, "on GPU")
        ollama.catalog.unload(NAME)
        serve.stop()
        fake_driver.end(0, first)
        await pane.wait_for("left")
        machine.load("qwen3:32b", 18.0, 18.0)
        await pane.wait_for("qwen3:32b", "18.")
        machine.load(NAME, 9.0, 4.0, 5.5)
        await pane.wait_for("SPILLED", "qwen3:32b took 18.1 GiB at ")
        await choose(pane)
        pane.press("Enter")
        await pane.wait_for("CURES")
        pane.press("1")
        await pane.wait_for("copied: OLLAMA_HOST=", "ollama stop qwen3:32b &&")
