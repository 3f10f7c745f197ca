"""A kind of server that a stranger's package brings, in the program as it is started from a shell."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.e2e.conftest import gpumon
from tests.fakes import toy_kind
from tests.fakes.toy_server import CLAIMED, COUNTED, STATED_RATE, ToyServer


@pytest.fixture
async def server() -> AsyncIterator[ToyServer]:
    async with ToyServer(COUNTED, CLAIMED) as server:
        yield server


@pytest.fixture
def environment(bare_environment: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """Nothing but a folder with the package, as pip leaves it behind, and a broken one beside it."""
    packages = tmp_path / "packages"
    packages.mkdir()
    shutil.copy(toy_kind.__file__, packages / "toyserve_for_gpumon.py")
    for name, target in (("toy", "toyserve_for_gpumon:ToyKind"), ("sad", "sad_module:Kind")):
        folder = packages / f"{name}-1.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (folder / "entry_points.txt").write_text(f"[gpumon.servers]\n{name} = {target}\n")
    return bare_environment | {"PYTHONPATH": f"{bare_environment['PYTHONPATH']}:{packages}"}


async def run(environment: dict[str, str], *arguments: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *gpumon(*arguments),
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, errors = await process.communicate()
    assert b"Traceback" not in errors, errors.decode()
    return out.decode()


async def test_snapshot_why_and_doctor_know_it(environment: dict[str, str], server: ToyServer) -> None:
    document = await run(environment, "snapshot", "--url", server.url)
    why = await run(environment, "why", "--url", server.url)
    doctor = await run(environment, "doctor", "--url", server.url)
    own = [model for model in json.loads(document)["models"] if model["url"] == server.url]
    models = {model["name"]: model for model in own}
    assert models.keys() == {COUNTED, CLAIMED}
    assert {model["runtime"] for model in models.values()} == {"toy"}
    assert models[CLAIMED]["decode_tokens_per_second"] == STATED_RATE
    assert models[COUNTED]["tokens_generated_total"] > 0
    assert COUNTED in why
    assert "25%" in why
    assert "Toy Server at 127.0.0.1" in doctor
    assert "names, context, token rates of toys" in doctor
    assert "plug-in sad" in doctor, "and the broken one is named"
    assert "it cannot be imported" in doctor
