"""The shape of the code, and that what is generated is up to date."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest
from docs.manual import GUIDE, guide, manual

from gpumon.app.cli.main import main

ROOT = Path(__file__).parents[1]
FOLDERS = ("app", "widgets", "collectors", "text")
SOURCES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
LOCKS = ("requirements.lock", "requirements-dev.lock", "requirements-real.lock")

LONGEST_FILE_LINES = 400
LONGEST_FUNCTION_LINES = 60
LONGEST_CLASS_LINES = 250

Function = ast.FunctionDef | ast.AsyncFunctionDef


def nodes(path: Path, *kinds: type[ast.AST]) -> Iterator[ast.AST]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return (node for node in ast.walk(tree) if isinstance(node, kinds))


def too_long(path: Path, limit: int, *kinds: type[ast.AST]) -> list[str]:
    return [
        f"{node.name}: {length} lines"
        for node in nodes(path, *kinds)
        if isinstance(node, ast.ClassDef | Function) and (length := _lines(node)) > limit
    ]


def _lines(node: ast.ClassDef | Function) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def unannotated(function: Function) -> list[str]:
    arguments = function.args
    named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    rest = [argument for argument in (arguments.vararg, arguments.kwarg) if argument]
    bare = [a.arg for a in (*named, *rest) if a.annotation is None and a.arg not in ("self", "cls")]
    return [*bare, *([] if function.returns else ["return"])]


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", [*SOURCES, *TESTS], ids=name_of)
def test_a_file_can_be_read_in_one_sitting(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST_FILE_LINES


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_functions_and_classes_are_short(path: Path) -> None:
    assert too_long(path, LONGEST_FUNCTION_LINES, ast.FunctionDef, ast.AsyncFunctionDef) == []
    assert too_long(path, LONGEST_CLASS_LINES, ast.ClassDef) == []


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_every_function_is_annotated(path: Path) -> None:
    functions = (
        node for node in nodes(path, ast.FunctionDef, ast.AsyncFunctionDef) if isinstance(node, Function)
    )
    assert {function.name: bare for function in functions if (bare := unannotated(function))} == {}


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_holds_no_address_and_pins_every_package_by_hash(name: str) -> None:
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if "://" in line or line.startswith("-")] == []
    pins = [line for line in lines if re.match(r"[a-z0-9]", line)]
    assert pins
    assert [pin for pin in pins if "==" not in pin or not pin.endswith("\\")] == []


def test_what_runs_is_locked_alike_in_both_files() -> None:
    to_run, to_work, _ = (pins(ROOT / name) for name in LOCKS)
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
