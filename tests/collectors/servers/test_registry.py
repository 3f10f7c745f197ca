"""Which kinds of servers there are: built in, of other packages, broken ones, and names nobody knows."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.collectors.ollama.support import FakeClock
from tests.fakes import toy_kind
from tests.fakes.toy_kind import ToyKind

from gpumon.collectors.samples import SourceSilent
from gpumon.collectors.servers.kind import ServerKind
from gpumon.collectors.servers.registry import (
    BUILT_IN,
    DEFAULT,
    DuplicateKindError,
    PluginsSource,
    Registry,
)

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Install a package with an entry point, as pip leaves it behind."""
    monkeypatch.syspath_prepend(tmp_path)

    def put(name: str, target: str, **modules: str) -> None:
        folder = tmp_path / f"{name}-1.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (folder / "entry_points.txt").write_text(f"[gpumon.servers]\n{name} = {target}\n")
        for module, text in modules.items():
            (tmp_path / f"{module}.py").write_text(text)

    shutil.copy(toy_kind.__file__, tmp_path / "a_strangers_toy.py")
    return put


async def problems_of(registry: Registry) -> list[SourceSilent]:
    return list(await PluginsSource(FakeClock(), registry).poll())


def test_the_default_comes_first_and_names_are_different() -> None:
    names = [kind.name for kind in BUILT_IN]
    assert names[0] == DEFAULT.name
    assert len(set(names)) == len(names)


def test_a_kind_of_another_package_is_found_by_its_entry_point(install: Install) -> None:
    install("toy", "a_strangers_toy:ToyKind")
    registry = Registry()
    assert registry.kind("toy").label == "Toy Server"
    told = [kind.name for kind in registry.kinds() if not kind.is_last_resort]
    assert told[-1] == "toy", "after those that are built in, but for the last resorts"
    assert registry.runner("toy_process").stands_alone
    assert registry.kind_of_runner("toy_process").name == "toy"


def test_nobody_looks_for_other_packages_before_a_name_is_unknown(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    def looked(*_: object, **__: object) -> None:
        raise AssertionError("looked")

    install("toy", "a_strangers_toy:ToyKind")
    monkeypatch.setattr("gpumon.collectors.servers.registry._announces", looked)
    monkeypatch.setattr("importlib.metadata.entry_points", looked)
    registry = Registry()
    for kind in BUILT_IN:
        assert registry.kind(kind.name) is kind
        assert all(registry.runner(runner.name) is runner for runner in kind.runners)
    assert registry.kind(None) is DEFAULT


def test_without_another_package_their_metadata_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(**_: object) -> None:
        raise AssertionError("read")

    monkeypatch.setattr("importlib.metadata.entry_points", read)
    assert Registry().kind("unheard of").name == "unheard of"


def test_where_it_cannot_be_told_whether_there_are_some_they_are_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive, asked = tmp_path / "packages.zip", list[str]()
    archive.write_bytes(b"PK")

    def looked(group: str) -> list[object]:
        asked.append(group)
        return []

    monkeypatch.syspath_prepend(archive)
    monkeypatch.setattr("importlib.metadata.entry_points", looked)
    Registry().kind("unheard of")
    assert asked == ["gpumon.servers"]


@pytest.mark.parametrize(
    ("module", "words"),
    [
        ("raise RuntimeError('secret')", "it fails when it is loaded: RuntimeError"),
        ("import sys; sys.exit(3)", "it fails when it is loaded: SystemExit"),
        ("import a_package_that_is_not_there", "it cannot be imported"),
        ("Kind = 7", "it is no ServerKind of this version (gpumon.servers)"),
        (
            "from gpumon.collectors.servers.kind import ServerKind\nclass Kind(ServerKind): name = 'x'",
            "it is no ServerKind of this version (label)",
        ),
        (
            "from gpumon.collectors.servers.kind import ServerKind\n"
            "class Kind(ServerKind): name = label = 'ollama'",
            "there is a kind named ollama already",
        ),
    ],
)
async def test_a_broken_one_costs_itself_and_is_named(install: Install, module: str, words: str) -> None:
    install("broken", f"broken_{abs(hash(words))}:Kind", **{f"broken_{abs(hash(words))}": module})
    install("toy", "a_strangers_toy:ToyKind")
    registry = Registry()
    assert registry.kind("toy").label == "Toy Server"
    [said] = await problems_of(registry)
    assert (said.source, said.state, said.detail) == ("plug-in broken", "absent", words)


async def test_where_all_are_well_nothing_is_said(install: Install) -> None:
    install("toy", "a_strangers_toy:ToyKind")
    assert await problems_of(Registry()) == []


def test_a_name_that_nobody_knows_is_drawn_as_it_is() -> None:
    registry = Registry()
    kind = registry.kind("nobodys")
    assert (kind.name, kind.label) == ("nobodys", "nobodys")
    assert kind is registry.kind("nobodys")
    assert (registry.runner("vllm_engine").name, registry.runner("vllm_engine").stands_alone) == (
        "vllm_engine",
        False,
    )
    assert kind.set_context(4096, 1).line is None
    assert not kind.unloads


def test_two_kinds_of_one_name_are_refused() -> None:
    registry = Registry()
    registry.add(ToyKind())
    with pytest.raises(DuplicateKindError, match="toy"):
        registry.add(ToyKind())


async def test_many_threads_look_once(install: Install) -> None:
    install("toy", "a_strangers_toy:ToyKind")
    registry = Registry()
    found = await asyncio.gather(*(asyncio.to_thread(registry.kinds) for _ in range(8)))
    assert {len(kinds) for kinds in found} == {len(BUILT_IN) + 1}


async def test_one_that_fails_while_it_is_used_is_named_without_its_words() -> None:
    registry = Registry()
    registry.note_problem("toy", KeyError("secret"))
    [said] = await problems_of(registry)
    assert said.detail == "internal error: KeyError"


@pytest.mark.parametrize("kind", BUILT_IN, ids=lambda kind: kind.name)
def test_every_kind_has_words_for_the_screen(kind: ServerKind) -> None:
    assert kind.label
    assert kind.gives
    assert kind.unloads or kind.unload_words
    assert all(not name.startswith(("API", "HF_TOKEN")) for name in kind.environment)


def test_a_name_out_of_a_recording_is_harmless_to_draw() -> None:
    assert "\x1b" not in Registry().kind("\x1b[31mred").label
