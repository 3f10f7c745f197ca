"""Runs rows of the matrix, each in a process of its own, and collects what came of their cells."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from tests.faults.columns import KINDS
from tests.faults.drivers import DRIVER_FAULTS
from tests.faults.kinds import faults_of
from tests.faults.runners import RUNNER_FAULTS
from tests.faults.servers import ABSENT, SERVER_FAULTS

ROOT = Path(__file__).parents[2]
ROW_SECONDS = 300.0
ROWS_AT_ONCE = 3
COLUMNS = {"servers": tuple(SERVER_FAULTS), "runners": tuple(RUNNER_FAULTS)}
ALWAYS = ("well", ABSENT)
RUNNER_ROWS = ("well", "hang of one call", "GPU lost and back", "driver unloaded and reloaded", "WDDM")
"""The driver's faults with which those of a runner are made: that of each kind."""


class Result(NamedTuple):
    """What came of one cell."""

    driver: str
    server: str
    problem: str | None


def columns_of(driver: str, what: str) -> tuple[str, ...]:
    """Return every other fault of servers, or all of runners: a chequerboard, on which each meets many.

    Those that are no fault meet all.
    """
    if what == "runners" or driver == "well":
        return COLUMNS[what]
    first = tuple(DRIVER_FAULTS).index(driver)
    columns = enumerate(COLUMNS[what])
    return tuple(one for at, one in columns if (first + at) % 2 == 0 or one in ALWAYS)


def run_row(driver: str, what: str = "servers", *, every: bool = True) -> list[Result]:
    """Run one row with the faults of servers or of runners; a cell of which nothing is heard has failed."""
    columns = COLUMNS[what] if every else columns_of(driver, what)
    told = _run(["tests.faults.row", driver, what, *columns])
    return [told[driver, server] for server in columns]


class _Told(dict[tuple[str, str], Result]):
    """What came of each cell; one of which nothing is heard has failed."""

    def __init__(self, output: str, errors: str) -> None:
        super().__init__({(one.driver, one.server): one for one in map(_result, output.splitlines())})
        self._last_words = (errors.strip().splitlines()[-1:] or ["nothing was heard of it"])[0]

    def __missing__(self, cell: tuple[str, str]) -> Result:
        return Result(*cell, self._last_words)


def _run(words: Sequence[str]) -> _Told:
    """Run a module of this folder in a process of its own."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / ".dev"), str(ROOT)])}
    command = [sys.executable, "-m", *words]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        end = threading.Timer(ROW_SECONDS, process.kill)
        end.start()
        output, errors = process.communicate()
        end.cancel()
    return _Told(output, errors)


def _result(line: str) -> Result:
    values = json.loads(line)
    return Result(values["driver"], values["server"], values["problem"])


def rows_of(what: str) -> tuple[str, ...]:
    """Return the faults of the driver with which those of servers, or of runners, are made."""
    return RUNNER_ROWS if what == "runners" else tuple(DRIVER_FAULTS)


def run_kinds(*, every: bool = True) -> list[Result]:
    """Run every kind of server and set-up side by side, with all faults before it or every other one."""
    wanted = [(name, fault) for name in KINDS for fault in faults_of(name, every=every)]
    told = _run(["tests.faults.kinds", *([] if every else ["half"])])
    return [told[cell] for cell in wanted]


def run_rows(drivers: Sequence[str], what: str, *, every: bool = True) -> list[Result]:
    """Run rows side by side, three for each processor: most of the time they wait."""
    with ThreadPoolExecutor(ROWS_AT_ONCE * (os.cpu_count() or 1)) as pool:
        rows = pool.map(lambda driver: run_row(driver, what, every=every), drivers)
        return [result for row in rows for result in row]
