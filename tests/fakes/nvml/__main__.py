"""Runs a command against the fake driver: ``python -m tests.fakes.nvml --gpus 2 -- nvtop``.

``--set`` changes a field of ``layout.Gpu``, ``--process`` adds one, ``--error`` breaks a function. ``--live``
lets utilisation, temperature and power wander, so that there is something to look at.
"""

from __future__ import annotations

import argparse
import math
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.fakes.nvml.driver import MIB, FakeDriver


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit status."""
    options = _parser().parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder, FakeDriver(Path(folder, "state"), options.gpus) as driver:
        _arrange(driver, options)
        environment = os.environ | driver.environment()
        with subprocess.Popen(options.command, env=environment) as child:
            while options.live and child.poll() is None:
                _wander(driver, time.monotonic())
                time.sleep(0.2)
            return child.wait()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.fakes.nvml", description=__doc__)
    parser.add_argument("--gpus", type=int, default=1)
    parser.add_argument("--datacenter", action="store_true", help="every GPU is like an H100")
    parser.add_argument("--unified", action="store_true", help="every GPU shares system RAM")
    parser.add_argument("--unloaded", action="store_true", help="the kernel module is not loaded")
    parser.add_argument("--lost", type=int, action="append", default=[], metavar="GPU")
    parser.add_argument("--set", nargs=3, action="append", default=[], metavar=("GPU", "FIELD", "VALUE"))
    parser.add_argument("--process", nargs=3, action="append", default=[], metavar=("GPU", "PID", "MIB"))
    parser.add_argument("--error", nargs=2, action="append", default=[], metavar=("FUNCTION", "CODE"))
    parser.add_argument("--live", action="store_true", help="let the values wander")
    parser.add_argument("command", nargs="+")
    return parser


def _arrange(driver: FakeDriver, options: argparse.Namespace) -> None:
    for gpu in range(options.gpus):
        if options.datacenter:
            driver.datacenter(gpu)
        if options.unified:
            driver.unified(gpu)
    for gpu, field, value in options.set:
        setattr(driver[int(gpu)], field, int(value))
    for gpu, pid, mebibytes in options.process:
        driver.run(int(gpu), int(pid), int(mebibytes) * MIB, sm_percent=40)
    for function, code in options.error:
        driver.error(function, int(code))
    for gpu in options.lost:
        driver.lose(gpu)
    if options.unloaded:
        driver.unload()


def _wander(driver: FakeDriver, seconds: float) -> None:
    for index in range(len(driver)):
        load = 0.5 + 0.5 * math.sin(seconds / 7 + index)
        gpu = driver[index]
        gpu.utilization_percent = round(100 * load)
        gpu.memory_utilization_percent = round(60 * load)
        gpu.temperature_celsius = round(40 + 40 * load)
        gpu.power_milliwatts = round(30_000 + 400_000 * load)
        gpu.throttle_reasons = 4 if load > 0.95 else 0
        gpu.pcie_transmit_bytes += round(load * 2e8)
        gpu.pcie_receive_bytes += round(load * 1e9)


if __name__ == "__main__":
    sys.exit(main())
