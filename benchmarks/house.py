"""The shape of the house: how many rooms there are, how full they are, and how many a sample goes through.

    python -m benchmarks.house

``docs/architecture.md`` keeps the figures beside those that are to be reached.
"""

from __future__ import annotations

import ast
import asyncio
import re
import statistics
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from tests.app.ui.screen import dashboard, text
from tests.fakes.llama_server.server import FakeLlamaServer

from gpumon.app.monitor import Monitor
from gpumon.collectors.http.endpoint import parse_endpoint
from gpumon.collectors.servers.source import ServerSource
from gpumon.collectors.servers.talk import Asked
from gpumon.collectors.source import Source, SystemClock

ROOT = Path(__file__).parents[1]
FOLDERS = ("app", "collectors", "widgets", "text")
SMALL_LINES = 60
KINDS = re.compile(r"""["'](ollama|llama_server|llama_swap|lemonade|llama_router)["']""")
MAY_NAME_KINDS = ("collectors/servers/", "app/demo/")
"""A kind's own file, and the simulated machine, which plays servers of some kind."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


def modules() -> dict[str, Path]:
    """Return every module by its dotted name below ``gpumon``."""
    found = {}
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def importers(found: dict[str, Path]) -> dict[str, set[str]]:
    """Return which modules import each module, wherever in the module the import stands."""
    by_module: dict[str, set[str]] = defaultdict(set)
    for name, path in found.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("gpumon."):
                for alias in node.names:
                    by_module[_target(node.module or "", alias.name, found)].add(name)
    return by_module


def _target(module: str, name: str, found: dict[str, Path]) -> str:
    package = module.removeprefix("gpumon.")
    return f"{package}.{name}" if f"{package}.{name}" in found else package


def small_with_one_neighbour(found: dict[str, Path]) -> list[str]:
    """Return the modules under 60 lines whose only importer sits in the same folder."""
    imported_by = importers(found)
    return [
        name
        for name, path in found.items()
        if path.name not in {"__init__.py", "__main__.py"}
        and _lines(path) < SMALL_LINES
        and {other.rpartition(".")[0] for other in imported_by[name]} == {name.rpartition(".")[0]}
        and len(imported_by[name]) == 1
    ]


def _lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def functions(found: dict[str, Path]) -> list[Function]:
    """Return every function and method."""
    trees = (ast.parse(path.read_text(encoding="utf-8")) for path in found.values())
    return [node for tree in trees for node in ast.walk(tree) if isinstance(node, Function)]


def lines_that_name_a_kind(found: dict[str, Path]) -> list[str]:
    """Return ``path:line`` of each line that names a server kind outside its own file."""
    return [
        f"{path.relative_to(ROOT)}:{number}"
        for path in found.values()
        if not str(path.relative_to(ROOT)).startswith(MAY_NAME_KINDS)
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if KINDS.search(line)
    ]


def circles(found: dict[str, Path]) -> list[set[str]]:
    """Return the groups of modules that import each other when they are loaded."""
    graph = {name: _loaded_with(path, found) - {name} for name, path in found.items()}
    reached = {name: _reached(name, graph) for name in graph}
    groups = {frozenset({a} | {b for b in reached[a] if a in reached[b]}) for a in graph if a in reached[a]}
    return [set(group) for group in groups]


def _loaded_with(path: Path, found: dict[str, Path]) -> set[str]:
    body = ast.parse(path.read_text(encoding="utf-8")).body
    nodes = (node for node in body if isinstance(node, ast.ImportFrom))
    ours = (node for node in nodes if (node.module or "").startswith("gpumon."))
    return {_target(node.module or "", alias.name, found) for node in ours for alias in node.names} & set(
        found
    )


def _reached(start: str, graph: dict[str, set[str]]) -> set[str]:
    seen: set[str] = set()
    waiting = [*graph[start]]
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting += graph[name]
    return seen


class Trace:
    """Which files and functions of ours are entered while it is on."""

    def __init__(self) -> None:
        self.functions: set[tuple[str, str]] = set()

    @property
    def files(self) -> set[str]:
        """Paths of the files, as seen from the root."""
        return {path for path, _ in self.functions}

    def __enter__(self) -> Trace:
        sys.setprofile(self._note)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)

    def _note(self, frame: FrameType, event: str, _: object) -> None:
        if event != "call" or "gpumon" not in frame.f_globals.get("__name__", ""):
            return
        path = Path(frame.f_code.co_filename).resolve()
        if path.is_relative_to(ROOT) and path.relative_to(ROOT).parts[0] in FOLDERS:
            self.functions.add((str(path.relative_to(ROOT)), frame.f_code.co_qualname))


async def one_poll_to_the_screen() -> Trace:
    """Follow one poll of a llama-server that generates, from its HTTP port until the new rate is drawn."""
    async with FakeLlamaServer() as server:
        source = ServerSource(Asked(endpoint=parse_endpoint(server.url), clock=SystemClock()))
        app = dashboard()
        server.simulation.start(0, 1000)
        async with app.run_test(size=(120, 40)) as pilot:
            for _ in range(4):
                server.simulation.decode(0, 50)
                await _poll(source, app.session.monitor)
                await asyncio.sleep(0.6)
                before = await text(pilot)
            server.simulation.decode(0, 120)
            with Trace() as trace:
                await _poll(source, app.session.monitor)
                async with asyncio.timeout(10):
                    while await text(pilot) == before:
                        await pilot.pause(0.05)
        await source.close()
    return trace


async def _poll(source: Source, monitor: Monitor) -> None:
    for sample in await source.poll():
        monitor.feed(sample)


def figures() -> Iterator[tuple[str, object]]:
    """Yield what is measured, a name and a value."""
    found = modules()
    total = sum(map(_lines, found.values()))
    lengths = sorted((node.end_lineno or node.lineno) - node.lineno + 1 for node in functions(found))
    typed = sum(node.returns is not None for node in functions(found))
    yield "modules", len(found)
    yield "lines", total
    yield "modules per 1,000 lines", round(1000 * len(found) / total, 1)
    yield "under 60 lines, imported by one neighbour", len(small_with_one_neighbour(found))
    yield "function lines, median", statistics.median(lengths)
    yield "function lines, p90", lengths[int(0.9 * len(lengths))]
    yield "function lines, longest", lengths[-1]
    yield "functions with a return type", f"{100 * typed / len(lengths):.0f} %"
    yield "import circles", len(circles(found))
    yield "lines that name a server kind outside its file", len(lines_that_name_a_kind(found))
    trace = asyncio.run(one_poll_to_the_screen())
    yield "files entered by one poll until it is drawn", len(trace.files)
    yield "functions entered by it", len(trace.functions)


if __name__ == "__main__":
    for name, value in figures():
        print(f"{name:50} {value}")
