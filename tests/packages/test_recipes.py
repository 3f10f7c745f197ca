"""The recipes of distributions say what ``pyproject.toml`` says, and call nothing that is not there."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from gpumon.app.cli.parser import _commands_of, build_parser

ROOT = Path(__file__).parents[2]
RECIPES = ROOT / "packaging"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
OTHER_NAMES = {"prometheus-client": "python-prometheus_client", "uvicorn": "uvicorn"}
"""What is not called ``python-…`` as on PyPI in Arch."""


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[<>=~ ]", one)[0] for one in requirements}


NEEDED = names(PROJECT["dependencies"])
OPTIONAL = names([one for extra in EXTRAS.values() for one in extra])


def read(name: str) -> str:
    return (RECIPES / name).read_text(encoding="utf-8")


def test_all_are_of_this_version() -> None:
    version = PROJECT["version"]
    assert f"\npkgver={version}\n" in read("arch/PKGBUILD")
    assert f'\n  version = "{version}";\n' in read("nix/package.nix")
    assert read("debian/changelog").startswith(f"gpumon ({version}-")


def test_arch_takes_what_is_needed() -> None:
    recipe = read("arch/PKGBUILD")
    needed, optional = (
        re.search(rf"\n{word}=\((.*?)\n\)", recipe, re.DOTALL) for word in ("depends", "optdepends")
    )
    assert needed
    assert optional
    assert set(needed[1].split()) == {"python"} | {f"python-{name}" for name in NEEDED}
    found = set(re.findall(r"^  '([^:]+):", optional[1], re.MULTILINE)) - {"nvidia-utils"}
    assert found == {OTHER_NAMES.get(name, f"python-{name}") for name in OPTIONAL}


def test_nix_takes_what_is_needed() -> None:
    recipe = read("nix/package.nix")
    lists = re.findall(r"\[\n(.*?)\]", recipe, re.DOTALL)
    assert [set(words.split()) for words in lists[:2]] == [NEEDED, OPTIONAL]


def test_debian_takes_all_extras_in_the_versions_of_the_lock() -> None:
    found = re.search(r"\[([a-z,]+)\]", read("debian/rules"))
    assert found
    assert set(found[1].split(",")) == EXTRAS.keys()
    lock = (ROOT / "requirements-dev.lock").read_text(encoding="utf-8")
    assert {name for name in NEEDED | OPTIONAL if f"\n{name}==" not in lock} == set()


def test_the_service_calls_a_command_that_is_there() -> None:
    (line,) = re.findall(
        r"^ExecStart=/usr/bin/gpumon (.*)$", read("debian/gpumon-exporter.service"), re.MULTILINE
    )
    if "exporter" not in _commands_of(build_parser()):
        pytest.skip("gpumon exporter is not there yet")
    assert build_parser().parse_args(shlex.split(line)).listen == "127.0.0.1:9836"


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
def test_the_shell_reads_the_recipe_of_arch() -> None:
    subprocess.run(["bash", "-n", RECIPES / "arch/PKGBUILD"], check=True)


@pytest.mark.skipif(shutil.which("dpkg-parsechangelog") is None, reason="no dpkg-dev")
def test_debian_reads_its_changelog(tmp_path: Path) -> None:
    shutil.copytree(RECIPES / "debian", tmp_path / "debian")
    said = subprocess.run(["dpkg-parsechangelog"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert f"Version: {PROJECT['version']}-1\n" in said.stdout
    assert said.stderr == ""


def test_what_is_not_tried_says_so() -> None:
    for name in ("arch/PKGBUILD", "nix/flake.nix", "nix/package.nix"):
        assert read(name).startswith("# Not tried.")
