"""The key that tells whether an installed model fits, before it is loaded."""

from __future__ import annotations

import asyncio
import re

import pytest
from tests.app.ui.screen import dashboard, scenario, text
from tests.fakes.samples import GIB, OLLAMA, START, claim, gpu, nvml, ollama
from textual.pilot import Pilot

from gpumon.app.demo.story import PRELUDE_SECONDS
from gpumon.app.ui.app import GpumonApp
from gpumon.collectors.samples import (
    AnySample,
    InstalledModel,
    InstalledModels,
    ModelFacts,
    ModelWeights,
)

MIB = 1024**2
LOADED = claim("qwen3:14b", gpu_gib=9.0)
TAGS = InstalledModels(
    time=START,
    source=OLLAMA,
    models=(
        InstalledModel(name="qwen3:14b", digest=LOADED.digest, size_bytes=9 * GIB),
        InstalledModel(name="llama3.1:8b", digest="sha-8b", size_bytes=5 * GIB),
        InstalledModel(name="llama3.3:70b", digest="sha-70b", size_bytes=40 * GIB),
        InstalledModel(name="gpt-oss:120b-cloud", digest="sha-cloud", size_bytes=400, remote=True),
    ),
)
MACHINE: tuple[AnySample, ...] = (ollama(0.1, [LOADED]), TAGS, nvml(0.2, gpu(used_gib=9.5)))


def llama(name: str, digest: str, layers: int = 32, layer_mib: int = 135) -> ModelFacts:
    return ModelFacts(
        time=START + 1,
        source=OLLAMA,
        name=name,
        digest=digest,
        architecture="llama",
        trained_context_length=131072,
        layer_count=layers,
        embedding_length=4096,
        geometry={
            "llama.attention.head_count": 32,
            "llama.attention.head_count_kv": 8,
            "llama.attention.key_length": 128,
            "llama.attention.value_length": 128,
        },
        weights=ModelWeights(
            layer_bytes=(layer_mib * MIB,) * layers,
            expert_bytes=(0,) * layers,
            token_embedding_bytes=280 * MIB,
            output_bytes=410 * MIB,
        ),
    )


class Server:
    """Notes what it is asked to describe, and answers with ``said``."""

    def __init__(self, said: ModelFacts | str) -> None:
        self.asked: list[tuple[str, str]] = []
        self._said = said

    async def describe(self, name: str, digest: str) -> ModelFacts | str:
        self.asked.append((name, digest))
        return self._said


def app_with(server: Server, *more: AnySample) -> GpumonApp:
    return dashboard([*MACHINE, *more], describe={OLLAMA: server.describe})


SMALL = llama("llama3.1:8b", "sha-8b")


async def test_the_key_lists_what_is_installed_and_marks_what_is_loaded() -> None:
    async with app_with(Server(SMALL)).run_test(size=(80, 24)) as pilot:
        await pilot.press("f")
        lines = (await text(pilot)).splitlines()
    assert [line for line in lines if "loaded" in line and "qwen3:14b" in line]
    assert [line for line in lines if "llama3.1:8b" in line and "5.0 GiB" in line]


async def test_what_a_cloud_host_serves_is_not_listed() -> None:
    async with app_with(Server(SMALL)).run_test(size=(80, 24)) as pilot:
        await pilot.press("f")
        assert "cloud" not in await text(pilot)


async def test_the_list_is_narrowed_by_a_text_and_escape_shows_all_again() -> None:
    async with app_with(Server(SMALL)).run_test(size=(80, 24)) as pilot:
        await pilot.press("f", "slash", *"70b", "enter")
        narrowed = await text(pilot)
        await pilot.press("escape")
        whole = await text(pilot)
    assert "llama3.3:70b" in narrowed
    assert "qwen3:14b" not in narrowed
    assert "qwen3:14b" in whole


def every(*facts: ModelFacts) -> EveryFile:
    return EveryFile({one.name: one for one in facts})


class EveryFile(Server):
    """Describes each model by its own file, once it may."""

    def __init__(self, known: dict[str, ModelFacts]) -> None:
        super().__init__("not found")
        self._known = known
        self.may = asyncio.Event()

    async def describe(self, name: str, digest: str) -> ModelFacts | str:
        said = await super().describe(name, digest)
        await self.may.wait()
        return self._known.get(name, said)


LARGE = llama("llama3.3:70b", "sha-70b", layers=80, layer_mib=500)


def row_of(screen: str, name: str) -> str:
    return next(line for line in screen.splitlines() if name in line)


async def test_the_answers_come_into_the_list_as_they_are_known() -> None:
    server = every(SMALL, LARGE)
    async with app_with(server).run_test(size=(120, 30)) as pilot:
        await pilot.press("f")
        before = await settled(pilot)
        assert row_of(before, "llama3.1:8b").split()[-4:] == ["-"] * 4
        assert "reading what 3 of them hold" in before
        server.may.set()
        after = await settled(pilot)
    assert re.search(r"llama3.1:8b +5.0 GiB +\d+.\d GiB  fits +- +\d+k", after)
    assert re.search(r"llama3.3:70b +40.0 GiB +\d+.\d GiB  spills \d+% ", after)
    assert row_of(before, "NAME") == row_of(after, "NAME")
    names = [line.split()[1] for line in after.splitlines() if re.search(r":\d+b ", line)]
    assert names[-3:] == ["qwen3:14b", "llama3.1:8b", "llama3.3:70b"]
    assert "3 installed: 1 loaded, 1 fit, 1 spill" in after


async def test_what_makes_room_by_itself_is_named_in_the_list_and_on_the_page() -> None:
    server = every(llama("llama3.1:8b", "sha-8b", layer_mib=500))
    server.may.set()
    async with app_with(server).run_test(size=(120, 30)) as pilot:
        await pilot.press("f")
        assert "after unloading qwen3:14b" in row_of(await settled(pilot), "llama3.1:8b")
        await pilot.press("slash", *"llama3.1", "enter", "enter")
        page = " ".join((await text(pilot)).split())
    assert re.search(r"spills \d+% now; after unloading qwen3:14b \(9.0 GiB\) fits", page)


async def test_the_cursor_stays_on_its_model_when_the_order_changes() -> None:
    server = every(SMALL, LARGE)
    async with app_with(server).run_test(size=(80, 24)) as pilot:
        await pilot.press("f", "down", "down")
        before = next(line for line in (await text(pilot)).splitlines() if "▌" in line)
        server.may.set()
        after = next(line for line in (await settled(pilot)).splitlines() if "▌" in line)
    assert before.split()[1] == after.split()[1] == "llama3.1:8b"


async def test_nobody_is_asked_before_the_list_is_open_and_not_after_it_was_left() -> None:
    server = every(SMALL, LARGE)
    async with app_with(server).run_test(size=(80, 24)) as pilot:
        await text(pilot)
        assert server.asked == []
        await pilot.press("f")
        await text(pilot)
        await pilot.press("escape")
        await text(pilot)
        assert pilot.app.session.descriptions().asked == 0  # type: ignore[attr-defined]


async def test_a_click_selects_the_row_under_the_mouse_below_the_headings() -> None:
    server = every(SMALL, LARGE)
    server.may.set()
    async with app_with(server).run_test(size=(80, 24)) as pilot:
        await pilot.press("f")
        screen = (await settled(pilot)).splitlines()
        line = next(index for index, row in enumerate(screen) if "llama3.3:70b" in row)
        await pilot.click(offset=(10, line))
        assert "▌" in row_of(await text(pilot), "llama3.3:70b")


@pytest.mark.parametrize("size", [(120, 40), (80, 24), (60, 20), (40, 12)])
async def test_each_model_of_a_demonstration_has_its_answer(size: tuple[int, int]) -> None:
    samples = scenario("spill", PRELUDE_SECONDS + 5)
    async with dashboard(samples).run_test(size=size) as pilot:
        await pilot.press("f")
        screen = await settled(pilot)
    assert "20 installed:" in screen
    assert "not known" not in screen
    assert re.search(r"after unload.* ~\d+", screen)


async def settled(pilot: Pilot[int]) -> str:
    """Return the screen once nothing is asked or computed any more."""
    for _ in range(8):
        await pilot.pause(0.06)
    return await text(pilot)


async def test_the_server_is_asked_once_what_the_file_holds() -> None:
    server = Server(SMALL)
    async with app_with(server).run_test(size=(80, 24)) as pilot:
        for _ in range(2):
            await open_page(pilot, "llama3.1")
            assert "llama3.1:8b fits: needs" in await text(pilot)
            await pilot.press("escape", "escape", "escape")
        assert "Models" in await text(pilot)
    assert sorted(server.asked) == sorted((row.name, row.digest) for row in TAGS.models if not row.remote)


async def test_what_the_server_says_instead_is_shown() -> None:
    async with app_with(Server("not found")).run_test(size=(80, 24)) as pilot:
        await open_page(pilot, "llama3.1")
        assert "what its file holds is not known: not found" in await text(pilot)


async def test_a_longer_context_takes_more_and_a_shorter_less() -> None:
    async with app_with(Server(SMALL)).run_test(size=(80, 24)) as pilot:
        await open_page(pilot, "llama3.1")
        first = await needed(pilot)
        await pilot.press("+", "+")
        assert await needed(pilot) > first
        await pilot.press("right", "left", "-", "-", "-")
        assert await needed(pilot) < first
        await pilot.press("r")
        assert await needed(pilot) == first


async def test_the_letters_are_the_arrows_here_too() -> None:
    async with app_with(Server(SMALL)).run_test(size=(80, 8)) as pilot:
        await open_page(pilot, "llama3.1")
        seen: list[str] = []
        for pair in (("l", "right"), ("h", "left"), ("j", "down"), ("k", "up")):
            screens = []
            for key in pair:
                await pilot.press("r", "g", "j", key)
                screens.append(await text(pilot))
            assert screens[0] == screens[1], pair
            seen.append(screens[0])
        assert len(set(seen)) == 4, "each does something else"


async def test_the_type_of_the_cache_is_changed_by_a_key() -> None:
    async with app_with(Server(SMALL)).run_test(size=(80, 24)) as pilot:
        await open_page(pilot, "llama3.1")
        kinds = []
        for _ in range(4):
            kinds.append(next(line for line in (await text(pilot)).splitlines() if "cache type " in line))
            await pilot.press("c")
    assert [kind.split()[2] for kind in kinds] == ["f16", "q8_0", "q4_0", "f16"]


async def test_a_model_that_does_not_fit_says_what_to_unload() -> None:
    large = llama("llama3.1:8b", "sha-8b", layer_mib=500)
    async with app_with(Server(large)).run_test(size=(80, 24)) as pilot:
        await open_page(pilot, "llama3.1")
        screen = await text(pilot)
    assert "does not fit" in screen
    assert "unload qwen3:14b, 9.00 GiB" in screen


async def test_what_a_loaded_model_holds_is_free_for_itself() -> None:
    known = llama("qwen3:14b", LOADED.digest or "", layer_mib=500)
    async with app_with(Server(SMALL), known).run_test(size=(80, 24)) as pilot:
        await open_page(pilot, "qwen3:14b")
        assert "qwen3:14b fits" in await text(pilot)


@pytest.mark.parametrize("size", [(120, 40), (80, 24), (40, 12)])
async def test_the_answer_is_there_at_every_size(size: tuple[int, int]) -> None:
    async with app_with(Server(SMALL)).run_test(size=size) as pilot:
        await open_page(pilot, "llama3.1")
        assert "llama3.1:8b fits" in await text(pilot)


async def test_in_a_demonstration_every_installed_model_can_be_looked_at() -> None:
    async with dashboard(scenario("spill", PRELUDE_SECONDS + 5)).run_test(size=(80, 24)) as pilot:
        await open_page(pilot, "codestral")
        assert "codestral:22b does not fit: needs" in await text(pilot)


async def test_where_it_is_not_live_nobody_is_asked() -> None:
    samples = [
        sample
        for sample in scenario("spill", PRELUDE_SECONDS + 70)
        if not isinstance(sample, ModelFacts) or sample.name == "qwen2.5-coder:14b"
    ]
    async with dashboard(samples).run_test(size=(80, 24)) as pilot:
        await open_page(pilot, "codestral")
        assert "what its file holds is not known" in await text(pilot)
        await pilot.press("escape", "escape", "slash", *"coder:14b", "enter", "enter")
        assert "qwen2.5-coder:14b" in (screen := await text(pilot))
    assert "largest context" in screen


async def open_page(pilot: Pilot[int], name: str) -> None:
    """Open the page of the one installed model whose name contains this."""
    await pilot.press("f", "slash", *name, "enter", "enter")


async def needed(pilot: Pilot[int]) -> float:
    """Return the GiB that the first line says."""
    words = " ".join((await text(pilot)).split())
    return float(words.partition("needs ")[2].partition(" GiB")[0])
