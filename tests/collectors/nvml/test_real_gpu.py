"""The collector on a real driver, in a process of its own: the fake one may be loaded in this one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from gpumon.collectors.samples import NvmlSample

READ_TWICE = """
import asyncio, sys
import msgspec
from gpumon.collectors.nvml.source import NvmlSource
from gpumon.collectors.source import SystemClock

async def main():
    source = NvmlSource(SystemClock())
    await source.poll()
    await asyncio.sleep(0.2)
    (sample,) = await source.poll()
    await source.close()
    sys.stdout.buffer.write(msgspec.json.encode(sample))

asyncio.run(main())
"""


@pytest.mark.gpu
@pytest.mark.skipif(not Path("/dev/nvidiactl").exists(), reason="no NVIDIA driver here")
def test_a_real_gpu_is_read() -> None:
    run = subprocess.run(
        [sys.executable, "-c", READ_TWICE], env={"PYTHONPATH": ".dev"}, capture_output=True, check=True
    )
    sample = msgspec.json.decode(run.stdout, type=NvmlSample)
    assert sample.health.state == "serving", sample.health
    for gpu in sample.gpus:
        assert gpu.state == "ok", gpu
        assert gpu.uuid.startswith("GPU-")
        assert gpu.memory is not None
        assert gpu.memory.unified or (gpu.memory.used_bytes or 0) <= gpu.memory.total_bytes
