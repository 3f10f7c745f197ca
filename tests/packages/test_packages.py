"""What is handed on: the wheel holds the tree and nothing else, and works where nothing else is.

The tests marked ``installs`` fetch what gpumon needs from a package index, which takes a while and a network.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("app", "collectors", "text", "widgets")
HATCHLING = [sys.executable, "-m", "hatchling", "build"]
SECONDS = 600
WANTS_INSTALLS = bool(os.environ.get("GPUMON_TEST_INSTALLS"))
ALL_MODULES = """
import importlib, pathlib, sys
root = pathlib.Path(sys.argv[1], "gpumon")
names = []
for path in sorted(root.rglob("*.py")):
    parts = path.relative_to(root.parent).with_suffix("").parts
    if parts[-1] != "__main__":
        names.append(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
for name in names:
    module = importlib.import_module(name)
    assert module.__file__.startswith(sys.argv[1]), module.__file__
print(len(names))
"""


@functools.cache
def pip() -> list[str] | None:
    """Return a pip of any interpreter: the environment of the tests has none."""
    for python in ("python3", sys.executable):
        command = [shutil.which(python) or python, "-m", "pip", "--disable-pip-version-check"]
        if subprocess.run([*command, "--version"], capture_output=True, check=False).returncode == 0:
            return command
    return None


needs_pip = pytest.mark.skipif(pip() is None, reason="no pip")


def run(*command: str | Path, **variables: str) -> str:
    """Run a program far from the tree, and return what it has printed."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [*map(str, command)],
        env=kept | variables,
        cwd="/",
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def built(folder: Path, source: Path, *flags: str) -> Path:
    """Return what is built of a tree by the build backend itself, in the environment of the tests."""
    subprocess.run([*HATCHLING, *flags, "-d", folder], cwd=source, check=True, capture_output=True)
    (made,) = (path for path in folder.iterdir() if path.suffix in {".whl", ".gz"})
    return made


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(tmp_path_factory.mktemp("wheel"), ROOT, "-t", "wheel")


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(tmp_path_factory.mktemp("sdist"), ROOT, "-t", "sdist")


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("installed")
    command = pip()
    assert command is not None
    run(*command, "install", "--quiet", "--no-index", "--no-deps", "--no-compile", "--target", folder, wheel)
    return folder


def contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist() if not name.endswith("/")}


def tree() -> dict[str, bytes]:
    """Return what a wheel of this tree is to hold of it, by the names that it has there."""
    found = (path for folder in FOLDERS for path in (ROOT / folder).rglob("*"))
    files = (path for path in found if path.is_file() and "__pycache__" not in path.parts)
    return {f"gpumon/{path.relative_to(ROOT)}": path.read_bytes() for path in files}


def test_the_wheel_holds_the_tree_and_nothing_else(wheel: Path) -> None:
    held = contents(wheel)
    code = {name: data for name, data in held.items() if name.startswith("gpumon/")}
    assert code == tree()
    rest = {name.partition("/")[2] for name in held.keys() - code.keys()}
    assert rest == {
        "METADATA",
        "RECORD",
        "WHEEL",
        "entry_points.txt",
        "licenses/LICENSE",
        "data/share/man/man1/gpumon.1",
    }


def test_the_wheel_says_what_it_is(wheel: Path) -> None:
    (metadata,) = (data for name, data in contents(wheel).items() if name.endswith("/METADATA"))
    told = message_from_bytes(metadata)
    assert (told["Name"], told["License-Expression"]) == ("gpumon-llm", "MIT")
    assert told["Description-Content-Type"] == "text/markdown"
    assert set(told.get_all("Provides-Extra", [])) == {"meter", "exporter", "web", "zstd"}
    assert wheel.name == f"gpumon_llm-{told['Version']}-py3-none-any.whl"


def test_the_source_archive_makes_the_same_wheel(wheel: Path, sdist: Path, tmp_path: Path) -> None:
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path / "source", filter="data")
    (source,) = (tmp_path / "source").iterdir()
    assert contents(built(tmp_path / "made", source, "-t", "wheel")) == contents(wheel)
    assert (source / "LICENSE").exists()
    assert (source / "tests/packages/test_packages.py").exists()
    assert not list(source.rglob("*.pyc"))


@needs_pip
def test_it_runs_from_the_wheel_alone(installed: Path) -> None:
    python = (sys.executable, "-P", "-W", "error")
    said = run(*python, "-m", "gpumon.app", "--version", PYTHONPATH=str(installed))
    assert said.startswith("gpumon ")
    assert "SCENARIO" in run(
        *python, installed / "bin" / "gpumon", "demo", "--help", PYTHONPATH=str(installed)
    )


@needs_pip
def test_every_module_of_the_wheel_can_be_imported(installed: Path) -> None:
    said = run(sys.executable, "-P", "-c", ALL_MODULES, installed, PYTHONPATH=str(installed))
    assert int(said) > 400


def scripts(folder: Path) -> dict[str, str]:
    """Return the variables by which pipx and uv keep to a folder."""
    return {
        "PIPX_HOME": str(folder / "pipx"),
        "PIPX_BIN_DIR": str(folder / "bin"),
        "PIPX_MAN_DIR": str(folder / "man"),
        "UV_TOOL_DIR": str(folder / "uv"),
        "UV_TOOL_BIN_DIR": str(folder / "bin"),
        "PIPX_DEFAULT_PYTHON": sys.executable,
        "XDG_STATE_HOME": str(folder / "state"),
    }


@pytest.mark.installs
@pytest.mark.skipif(not WANTS_INSTALLS, reason="GPUMON_TEST_INSTALLS is not set")
@pytest.mark.parametrize("kind", ["wheel", "sdist"])
@pytest.mark.parametrize("tool", ["pip", "pipx", "uv"])
def test_it_is_installed_from_nothing(
    tool: str, kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    made, variables = request.getfixturevalue(kind), scripts(tmp_path)
    program = tmp_path / "bin" / "gpumon"
    if tool == "pip":
        run(sys.executable, "-m", "venv", "--without-pip", tmp_path)
        command = pip()
        if command is None:
            pytest.skip("no pip")
        run(*command, "--python", tmp_path / "bin" / "python", "install", "--quiet", f"{made}[web,meter]")
    elif shutil.which(tool) is None:
        pytest.skip(f"no {tool}")
    elif tool == "pipx":
        run("pipx", "install", "--quiet", made, **variables)
    else:
        run("uv", "tool", "install", "--quiet", "--python", sys.executable, made, **variables)
    assert run(program, "--version", **variables).startswith("gpumon ")
    assert "spill" in run(program, "demo", "--list", **variables)
    assert "SCENARIO" in run(program, "demo", "--help", **variables)
    assert run(program, "completion", "bash", **variables)
    assert "fits" in run(program, "fit", "llama3.1:8b", "--gpu", "3090", **variables)
