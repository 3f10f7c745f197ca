"""Which small wrong changes no test notices: ``make mutants ARGS="app/insight"``.

Each change is made in a copy of the tree, one at a time, and judged by the tests in the folder that mirrors
the package. What lives on is printed as a diff, and at the end the share of those that were killed.
"""

from __future__ import annotations

import argparse
import difflib
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import NoReturn

import hypothesis
from tests.mutation.mutants import Mutant, mutated, sample

ROOT = Path(__file__).parents[2]
COPIED = (
    "app",
    "collectors",
    "widgets",
    "text",
    "tests",
    "docs",
    "benchmarks",
    "screenshots",
    ".dev",
    "pyproject.toml",
)
NOT_COPIED = shutil.ignore_patterns("__pycache__", "*.png", "found")
PACKAGES = (
    "app/physics/placement.py",
    "app/insight",
    "app/diagnosis",
    "app/alerts",
    "app/views",
    "collectors/processes",
)
IMPORTED_AHEAD = (
    "hypothesis",
    "httpx",
    "msgspec",
    "psutil",
    "textual.app",
    "rich.console",
    "pytest_asyncio.plugin",
)
"""What takes long to import and is not ours: each run of the tests is forked from a process that has it."""
MOST_SECONDS = 600
"""Of any run, by the clock and by the processor."""
PYTEST = (
    *("-x", "-q", "--no-header", "--tb=no", "-p", "no:cacheprovider", "-p", "no:xdist"),
    *("-W", "ignore::pytest.PytestAssertRewriteWarning"),
)


def main() -> int:
    """Run over the packages; return 1 where fewer were killed than wanted."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))  # so that the copy of the tree is removed
    options = _options()
    for name in IMPORTED_AHEAD:
        with suppress(ImportError):
            import_module(name)
    shares = [run(package, options) for package in options.packages]
    return 0 if min(shares) >= options.want / 100 else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument(
        "packages", nargs="*", default=PACKAGES, help="folders or files; all of the list if none"
    )
    parser.add_argument(
        "--sample", type=int, default=80, help="changes for each package (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=1, help="of the draw (default: %(default)s)")
    parser.add_argument(
        "--want", type=float, default=85, metavar="PERCENT", help="to be killed (default: %(default)s)"
    )
    return parser.parse_args()


def run(package: str, options: argparse.Namespace) -> float:
    """Try a sample of changes to ``package``; print what lives on, and return the share that was killed."""
    with _copy() as tree:
        drawn = sample(tree, _files(tree / package), options.sample, options.seed)
        tests = _tests(tree, package)
        if not _pass(tree, tests, clean=True):
            sys.exit(f"{package}: its tests fail with nothing changed\n{(tree / 'pytest.log').read_text()}")
        limit = 10 + 3 * round(resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime)
        began = time.monotonic()
        alive = [mutant for mutant in drawn if _survives(tree, tests, mutant, limit)]
    share = 1 - len(alive) / len(drawn)
    minutes = (time.monotonic() - began) / 60
    killed = f"{len(drawn) - len(alive)} of {len(drawn)} killed, {share:.0%}"
    _say(f"{package}: {killed}, in {minutes:.1f} min")
    return share


def _files(package: Path) -> list[Path]:
    return [package] if package.is_file() else sorted(package.rglob("*.py"))


def _tests(tree: Path, package: str) -> list[str]:
    """Return what judges a package: the folder that mirrors it; of a file, the tests that import it."""
    folder = Path("tests", package)
    if (tree / folder).is_dir():
        return [str(folder)]
    module = "gpumon." + ".".join(Path(package).with_suffix("").parts)
    files = (tree / folder.parent).glob("test_*.py")
    return sorted(str(path.relative_to(tree)) for path in files if module in path.read_text(encoding="utf-8"))


@contextmanager
def _copy() -> Iterator[Path]:
    """Copy the tree to where nobody works on it."""
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        tree = Path(folder)
        for name in COPIED:
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, tree / name, symlinks=True, ignore=NOT_COPIED)
            else:
                shutil.copy2(ROOT / name, tree / name)
        yield tree


def _survives(tree: Path, tests: Sequence[str], mutant: Mutant, limit: int) -> bool:
    path = tree / mutant.path
    before, times = path.read_text(encoding="utf-8"), path.stat()
    after = mutated(before, mutant)
    path.write_text(after, encoding="utf-8")
    try:
        alive = _pass(tree, tests, limit)
    finally:
        path.write_text(before, encoding="utf-8")
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    if alive:
        _say(f"lives: {mutant.path}:{mutant.start[0]} {mutant.operator}")
        changes = difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=0)
        _say("".join(f"    {line}\n" for line in list(changes)[3:]))
    return alive


def _say(words: str) -> None:
    sys.stdout.write(f"{words}\n")
    sys.stdout.flush()


def _pass(tree: Path, tests: Sequence[str], limit: int = MOST_SECONDS, *, clean: bool = False) -> bool:
    """Return whether the tests pass within so many seconds of the processor, in a process of their own."""
    child = os.fork()
    if child == 0:
        _test(tree, tests, limit, clean=clean)
    _, status = os.waitpid(child, 0)
    return status == 0


def _test(tree: Path, tests: Sequence[str], limit: int, *, clean: bool) -> NoReturn:
    code = 1
    try:
        resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.alarm(MOST_SECONDS)
        os.chdir(tree)
        log = os.open(tree / "pytest.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(log, 1)
        os.dup2(log, 2)
        sys.dont_write_bytecode = not clean
        sys.path[:] = [entry for entry in sys.path if entry not in ("", str(ROOT))]
        for name in [name for name in sys.modules if name.split(".")[0] in ("tests", "gpumon")]:
            del sys.modules[name]
        _draw_the_same_and_shrink_nothing()
        code = int(import_module("pytest").main([*PYTEST, "--basetemp", str(tree / "tmp"), *tests]))
    finally:
        os._exit(code)


def _draw_the_same_and_shrink_nothing() -> None:
    """Have hypothesis report the first failure it meets; profiles made later take this over."""
    phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
    hypothesis.settings.register_profile("mutants", phases=phases, derandomize=True, database=None)
    hypothesis.settings.load_profile("mutants")


if __name__ == "__main__":
    sys.exit(main())
