"""``gpumon doctor`` against a fake server and no driver."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest
from tests.fakes.nvml.driver import FakeDriver
from tests.fakes.ollama.server import FakeOllama
from tests.fakes.processes.secluded import COMMAND, VARIABLE

from gpumon.app.cli.main import main

ROOT = Path(__file__).parents[3]


async def run_doctor(home: Path, url: str, *flags: str) -> tuple[int | None, str]:
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "PYTHONPATH": f"{ROOT / '.dev'}{os.pathsep}{ROOT}",
        VARIABLE: str(home),
        "OLLAMA_HOST": url,
        "GPUMON_FIND": "false",
        "LANG": "C.UTF-8",
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, *COMMAND, "doctor", *flags),
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await process.communicate()
    return process.returncode, said.decode()


async def test_json_lists_every_check_with_status_and_step(tmp_path: Path) -> None:
    async with FakeOllama() as fake:
        fake.catalog.load("qwen3:14b")
        code, said = await run_doctor(tmp_path, fake.url, "--json")
    report = json.loads(said)
    servers = [check for check in report["checks"] if check["kind"] == "server" and check["needed"]]
    assert [(check["status"], check["found"]) for check in servers] == [
        ("works", "version 0.33.0, 1 model loaded")
    ]
    assert report["exit_code"] == code
    assert all(check.keys() >= {"name", "status", "found", "gives", "step"} for check in report["checks"])


@pytest.mark.usefixtures("secluded")
def test_a_stopped_server_is_told_with_how_to_start_it(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["doctor", "--no-find", "--url", "127.0.0.1:9"])
    said = capsys.readouterr().out
    assert "connection refused at 127.0.0.1:9" in said
    assert "ollama serve" in said
    assert code == 2, "nor is there a driver"


async def test_one_gpu_of_four_that_cannot_be_opened_is_named_and_ends_with_1(
    fake_driver: FakeDriver, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_driver.state.gpu_count = 4
    fake_driver.lose(1)
    async with FakeOllama() as fake:
        code = await asyncio.to_thread(main, ["doctor", "--no-find", "--url", fake.url, "--json"])
    report = json.loads(capsys.readouterr().out)
    gpus = [(one["name"], one["status"]) for one in report["checks"] if one["kind"] == "gpu"]
    missing = [one["found"] for one in report["checks"] if one["name"] == "GPU 1"]
    assert gpus == [("GPU 0", "works"), ("GPU 2", "works"), ("GPU 3", "works"), ("GPU 1", "missing")]
    assert missing == ["GPU 1 cannot be opened: GPU is lost"]
    assert code == 1
