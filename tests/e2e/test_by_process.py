"""Servers known by their process alone, as real processes beside the fake driver."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.e2e.test_found_servers import Machine, finding, machine, run
from tests.fakes.gguf.mixture import dense
from tests.fakes.llama_server.server import FakeLlamaServer
from tests.fakes.nvml.driver import GIB
from tests.fakes.processes.actor import Actor, build, compiler

pytestmark = pytest.mark.skipif(compiler() is None, reason="no C compiler")
__all__ = ["finding", "machine"]
Start = Callable[..., Actor]
SERVER = """
import mmap, socket, sys
file = open(sys.argv[1], "rb")
held = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
listener = socket.create_server(("127.0.0.1", 0))
print("up", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Start]:
    """Return what starts a process with a command line."""
    program = build(tmp_path)
    with ExitStack() as stack:
        yield lambda *argv: stack.enter_context(Actor(program, argv))


async def test_each_is_a_model_with_the_memory_of_its_workers(
    finding: dict[str, str], machine: Machine, started: Start, tmp_path: Path
) -> None:
    gguf = dense().write(tmp_path / "llama-7b.gguf")
    tgi = started("text-generation-launcher", "--model-id", "google/gemma-2b", "--num-shard", "2")
    for _ in range(2):
        shard = tgi.start(["python3", "/opt/text-generation-server", "serve", "google/gemma-2b"])
        machine.driver.run(0, shard, 2 * GIB)
    llama = started("python3", "-m", "llama_cpp.server", "--model", str(gguf), "--n_gpu_layers", "8")
    machine.driver.run(0, llama.pid, GIB)
    training = started("python3", "train.py", "--model", "/m/base")
    machine.driver.run(0, training.pid, 4 * GIB)
    (_, document, _), (_, report, _) = await asyncio.gather(run(finding, "snapshot"), run(finding, "doctor"))
    rows = {row["name"]: (row["runtime"], row["measured_vram_bytes"]) for row in document["models"]}
    assert rows == {
        "google/gemma-2b": ("tgi", 4 * GIB),
        "llama-7b.gguf": ("llama_cpp_python", GIB),
    }
    [gpu] = document["gpus"]
    assert [one["vram_bytes"] for one in gpu["holders"]] == [4 * GIB], "the training script alone"
    assert "TGI does not tell its rate" in " ".join(report.split())
    [model] = [row for row in document["models"] if row["name"] == "llama-7b.gguf"]
    assert "--n_gpu_layers 8" in str(model["verdict"]), "its file and its settings say why it is slow"


async def test_one_that_starts_a_llama_server_gives_way_to_it(
    finding: dict[str, str], machine: Machine, started: Start
) -> None:
    server = FakeLlamaServer()
    machine.hold(server)
    holder = FakeLlamaServer()
    webui = machine.run(holder, "python3", "/w/text-generation-webui/server.py", "--model", "a.gguf")
    child = webui.start(["llama-server", "--model", "/w/models/a.gguf", "--port", str(server.port)])
    machine.driver.run(0, child, 5 * GIB)
    async with server, holder:
        _, document, _ = await run(finding, "snapshot")
    assert [(row["runtime"], row["measured_vram_bytes"]) for row in document["models"]] == [
        ("llama_server", 5 * GIB)
    ]


async def test_a_python_program_that_listens_and_holds_a_model_is_one(
    finding: dict[str, str], machine: Machine, tmp_path: Path
) -> None:
    gguf, script = dense().write(tmp_path / "llama-7b.gguf"), tmp_path / "app.py"
    script.write_text(SERVER)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(script),
        str(gguf),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        await process.stdout.readline()
        machine.driver.run(0, process.pid, 3 * GIB)
        _, document, _ = await run(finding, "snapshot")
    finally:
        process.kill()
        await process.wait()
    [model] = document["models"]
    assert (model["name"], model["runtime"]) == ("llama-7b.gguf", "python")
    assert (model["measured_vram_bytes"], model["decode_tokens_per_second"]) == (3 * GIB, None)
