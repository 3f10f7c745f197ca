"""gpumon beside its peers on one fake machine, in one run: ``python -m benchmarks.side_by_side``.

Prints a table in Markdown with the figures and the ratios to some of them and to a bare Textual app. Programs
that are not installed are left out; ``--path`` says where to look for them.

For root it runs in namespaces of its own, where no process or server is but those of the fake machine: gpumon
finds whatever serves a model, and would be measured with what happens to run.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from benchmarks.measure import Cost, measure, median
from benchmarks.programs import ROOT, RUNNER_URL, Program, programs
from benchmarks.world import World


class Case(NamedTuple):
    """A machine and a pane."""

    name: str
    gpus: int
    models: int
    busy: bool
    size: tuple[int, int] = (120, 40)
    held_key: str | None = None
    settle_seconds: float = 5.0


QUIET_SECONDS = 40.0
"""So long nothing happens before an idle machine is measured: a monitor may take its time to slow down."""

CASES = (
    Case("idle", 1, 0, busy=False, held_key="Down", settle_seconds=QUIET_SECONDS),
    Case("one", 1, 1, busy=True),
    Case("small", 1, 1, busy=True, size=(80, 24)),
    Case("five", 1, 5, busy=True),
    Case("eight", 8, 8, busy=True),
    Case("twenty", 8, 20, busy=True),
    Case("sixteen", 16, 0, busy=False, settle_seconds=QUIET_SECONDS),
)


ALONE = "GPUMON_BENCHMARK_ALONE"
BEGIN_ALONE = 'ip link set lo up && exec "$@"'


def main() -> None:
    options = _parser().parse_args()
    if os.geteuid() == 0 and ALONE not in os.environ:
        own = [sys.executable, "-m", "benchmarks.side_by_side", *sys.argv[1:]]
        apart = ["unshare", "--fork", "--pid", "--net", "--mount-proc", "sh", "-c", BEGIN_ALONE, "sh", *own]
        os.execvpe(apart[0], apart, os.environ | {ALONE: "1"})
    chosen = [case for case in CASES if case.name in options.cases or not options.cases]
    for case in chosen:
        print(f"\n## {case.name}: {_words(case)}\n", flush=True)
        costs = asyncio.run(_compare(case, options))
        print(_table(costs), flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.side_by_side", description=__doc__)
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"of {', '.join(c.name for c in CASES)}")
    parser.add_argument("--seconds", type=float, default=30, help="measured in each run")
    parser.add_argument("--runs", type=int, default=3, help="of every program, in turn")
    parser.add_argument("--path", help="where to look for the peers; the default is PATH")
    parser.add_argument("--python", default=sys.executable, help="that has gpumon's dependencies and no more")
    parser.add_argument("--only", nargs="*", default=[], metavar="PROGRAM")
    return parser


async def _compare(case: Case, options: argparse.Namespace) -> dict[str, Cost]:
    chosen = [
        program
        for program in programs(options.path, options.python)
        if (program.name in options.only or not options.only) and (case.models or not program.needs_model)
    ]
    costs: dict[str, list[Cost]] = {program.name: [] for program in chosen}
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        async with World(Path(folder), case.gpus, case.models, busy=case.busy).running() as world:
            for _ in range(options.runs):
                for program in chosen:
                    costs[program.name].append(await _run(program, case, world, folder, options.seconds))
    return {name: median(runs) for name, runs in costs.items()}


async def _run(program: Program, case: Case, world: World, folder: str, seconds: float) -> Cost:
    """Measure once, and count the calls into the driver over the whole run."""
    environment = _environment(folder) | world.environment
    url = world.runners[0].url if world.runners else ""
    program = program._replace(command=tuple(part.replace(RUNNER_URL, url) for part in program.command))
    world.driver.reset_calls()
    loop = asyncio.get_running_loop()
    started = loop.time()
    cost = await measure(program, environment, case.size, case.settle_seconds, seconds, case.held_key)
    return cost._replace(driver_calls_per_second=world.driver.total_calls() / (loop.time() - started))


def _environment(folder: str) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "HOME": folder,
        "PYTHONPATH": str(ROOT / ".dev"),
        "LANG": "C.UTF-8",
        "COLORTERM": "truecolor",
        "XDG_STATE_HOME": folder,
        "XDG_CONFIG_HOME": folder,
    }


def _words(case: Case) -> str:
    columns, rows = case.size
    work = "busy" if case.busy else "idle"
    return f"{case.gpus} GPUs, {case.models} models, {work}, {columns}x{rows}"


HEADINGS = (
    "first frame s",
    "first figure s",
    "CPU s/min",
    "bytes/s",
    "RSS MiB",
    "threads",
    "wake-ups/s",
    "driver calls/s",
    "held key % CPU",
)


def _table(costs: dict[str, Cost]) -> str:
    lines = [f"| program | {' | '.join(HEADINGS)} |", "|---" * (len(HEADINGS) + 1) + "|"]
    lines += [f"| {name} | {' | '.join(map(_figure, cost))} |" for name, cost in costs.items()]
    for other in ("ollama-mtop", "nvitop", "bare Textual app"):
        if other in costs and "gpumon" in costs:
            ratios = map(_ratio, costs["gpumon"], costs[other])
            lines.append(f"| **gpumon / {other}** | {' | '.join(ratios)} |")
    return "\n".join(lines)


def _figure(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.0f}" if value >= 100 else f"{value:.2f}"


def _ratio(own: float | None, other: float | None) -> str:
    return "-" if own is None or not other else f"{own / other:.2f}"


if __name__ == "__main__":
    main()
