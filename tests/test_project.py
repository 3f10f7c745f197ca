"""The shape of the code, and that what is generated is up to date."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from statistics import median

import pytest
from docs.manual import GUIDE, guide, manual

from gpumon.app.cli.main import main

ROOT = Path(__file__).parents[1]
FOLDERS = ("app", "widgets", "collectors", "text")
SOURCES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
LOCKS = (
    "requirements.lock",
    "requirements-dev.lock",
    "requirements-real.lock",
    "requirements-mutation.lock",
)

LONGEST_FILE_LINES = 400
LONGEST_FUNCTION_LINES = 42
LONGEST_CLASS_LINES = 250
MOST_MODULES_PER_1000_LINES = 7
MOST_SMALL_ROOMS = 0
SMALL_ROOM_LINES = 60
MEDIAN_FUNCTION_LINES = 10
ENTRY_POINTS = ("__init__", "__main__")

Function = ast.FunctionDef | ast.AsyncFunctionDef
Named = ast.ClassDef | Function
TREES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in SOURCES}


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(("gpumon", *(parts[:-1] if parts[-1] == "__init__" else parts)))


MODULES = {module_of(path): path for path in SOURCES}


def functions(tree: ast.Module) -> Iterator[Function]:
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def lines_of(node: Named) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def lines_in(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def unannotated(function: Function) -> list[str]:
    arguments = function.args
    named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    rest = [argument for argument in (arguments.vararg, arguments.kwarg) if argument]
    bare = [a.arg for a in (*named, *rest) if a.annotation is None and a.arg not in ("self", "cls")]
    return [*bare, *([] if function.returns else ["return"])]


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def imports(tree: ast.Module, *, deferred: bool = True) -> Iterator[str]:
    """Return the modules of ours that one imports, those inside its functions only where asked for."""
    for node in _statements(tree, deferred=deferred):
        if isinstance(node, ast.ImportFrom) and node.module:
            for name in node.names:
                inner = f"{node.module}.{name.name}"
                yield inner if inner in MODULES else node.module
        elif isinstance(node, ast.Import):
            yield from (name.name for name in node.names)


def _statements(tree: ast.AST, *, deferred: bool) -> Iterator[ast.AST]:
    for node in ast.iter_child_nodes(tree):
        if deferred or not (isinstance(node, Function) or _is_for_types_only(node)):
            yield node
            yield from _statements(node, deferred=deferred)


def _is_for_types_only(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def importers() -> dict[str, set[str]]:
    found: dict[str, set[str]] = {name: set() for name in MODULES}
    for name, path in MODULES.items():
        for imported in imports(TREES[path]):
            if imported in found and imported != name:
                found[imported].add(name)
    return found


def small_rooms() -> list[str]:
    """Return modules that are short and of use to one neighbour alone, which could hold them."""
    return [
        f"{name_of(path)}: {lines_in(path)} lines, imported only by {only}"
        for name, users in importers().items()
        if (path := MODULES[name]).stem not in ENTRY_POINTS and lines_in(path) < SMALL_ROOM_LINES
        if len(users) == 1 and MODULES[only := next(iter(users))].parent == path.parent
    ]


def circles() -> list[str]:
    """Return the modules left when those that import none of the rest are taken away, again and again."""
    left = {
        name: {other for other in imports(TREES[path], deferred=False) if other in MODULES and other != name}
        for name, path in MODULES.items()
    }
    while ready := {name for name, needs in left.items() if not needs & left.keys()}:
        left = {name: needs for name, needs in left.items() if name not in ready}
    return sorted(left)


def test_a_file_can_be_read_in_one_sitting() -> None:
    long = [
        f"{name_of(path)}: {lines}"
        for path in (*SOURCES, *TESTS)
        if (lines := lines_in(path)) > LONGEST_FILE_LINES
    ]
    assert long == []


@pytest.mark.parametrize(
    ("kinds", "limit"),
    [
        ((ast.FunctionDef, ast.AsyncFunctionDef), LONGEST_FUNCTION_LINES),
        ((ast.ClassDef,), LONGEST_CLASS_LINES),
    ],
    ids=["functions", "classes"],
)
def test_functions_and_classes_are_short(kinds: tuple[type[Named], ...], limit: int) -> None:
    long = [
        f"{name_of(path)} {node.name}: {lines_of(node)} lines"
        for path, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, kinds) and lines_of(node) > limit
    ]
    assert long == []


def test_every_function_is_annotated() -> None:
    bare = [
        f"{name_of(path)} {function.name}: {', '.join(names)}"
        for path, tree in TREES.items()
        for function in functions(tree)
        if (names := unannotated(function))
    ]
    assert bare == []


def test_half_of_the_functions_are_under_ten_lines() -> None:
    lengths = [lines_of(function) for tree in TREES.values() for function in functions(tree)]
    assert median(lengths) < MEDIAN_FUNCTION_LINES


def test_there_are_no_more_modules_than_one_can_know() -> None:
    lines = sum(lines_in(path) for path in SOURCES)
    assert len(SOURCES) * 1000 / lines <= MOST_MODULES_PER_1000_LINES


def test_what_one_neighbour_alone_uses_lives_with_it_unless_it_is_long() -> None:
    rooms = small_rooms()
    assert len(rooms) <= MOST_SMALL_ROOMS, "\n".join(rooms)


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert circles() == []


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_holds_no_address_and_pins_every_package_by_hash(name: str) -> None:
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if "://" in line or line.startswith("-")] == []
    pins = [line for line in lines if re.match(r"[a-z0-9]", line)]
    assert pins
    assert [pin for pin in pins if "==" not in pin or not pin.endswith("\\")] == []


def test_what_runs_is_locked_alike_in_both_files() -> None:
    to_run, to_work, *_ = (pins(ROOT / name) for name in LOCKS)
    assert to_run <= to_work


def pins(path: Path) -> set[str]:
    return set(re.findall(r"^[a-z0-9][^ ]*==[^ ]+", path.read_text(encoding="utf-8"), flags=re.MULTILINE))


def test_the_manual_page_is_what_the_parser_says() -> None:
    page = (ROOT / "docs" / "gpumon.1").read_text(encoding="utf-8")
    assert page == manual(), "run: make man"


def test_the_tables_of_the_guide_are_what_the_settings_say() -> None:
    text = GUIDE.read_text(encoding="utf-8")
    assert text == guide(text), "run: make man"


def test_the_readme_leads_to_every_guide() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    guides = {path.name for path in (ROOT / "docs").iterdir() if path.suffix in {".md", ".1"}}
    assert {name for name in guides if f"(docs/{name})" not in readme} == set()


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "docs/architecture.md"])
def test_what_contributors_are_told_of_is_there(name: str) -> None:
    words = (ROOT / name).read_text(encoding="utf-8")
    paths = re.findall(rf"`((?:{'|'.join(FOLDERS)}|tests)/[a-z0-9_/]*(?:\.py)?)`", words)
    assert paths
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_every_package_of_the_app_and_the_collectors_is_explained() -> None:
    words = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    packages = {
        path.name
        for folder in ("app", "app/state", "app/diagnosis", "collectors")
        for path in (ROOT / folder).iterdir()
        if (path / "__init__.py").exists()
    }
    assert {name for name in packages if not re.search(rf"\b{name}\b", words)} == set()


def test_the_program_knows_its_version(capsys: pytest.CaptureFixture[str]) -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    written = re.search(r'^version = "(.+)"$', project, flags=re.MULTILINE)
    assert written
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"gpumon {written[1]}\n"
    assert version("gpumon-llm") == written[1], "run: make test"
