"""The main job, as its users see it: a model loads, spills, and the alert is on the screen."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.e2e.conftest import gpumon
from tests.e2e.tmux import Pane, has_line
from tests.fakes.nvml.driver import FakeDriver
from tests.fakes.ollama.catalog import GIB
from tests.fakes.ollama.server import FakeOllama
from tests.fakes.terminal import cells, looks

SIZES = [(200, 50), (120, 40), (80, 24), (60, 12), (40, 12)]


@pytest.mark.parametrize(("columns", "rows"), SIZES)
async def test_a_loaded_model_its_gpu_and_its_spill_are_on_the_screen_at_every_size(
    columns: int, rows: int, environment: dict[str, str], fake_driver: FakeDriver, ollama: FakeOllama
) -> None:
    fake_driver.run(0, pid=4_000_000, vram_bytes=5 * GIB)
    ollama.catalog.load("qwen3:8b", size_bytes=5 * GIB)
    with Pane(gpumon(), environment, columns, rows) as pane:
        await pane.wait_for("qwen3:8b", "GPU")
        ollama.catalog.load("qwen3:8b", size_bytes=10 * GIB, size_vram_bytes=6 * GIB)
        screen = await pane.wait_for("40%", "spill")
        assert "6.0" in screen or columns < 60, "the part on the GPU, in GiB"
        assert "4.0" in screen, "the part in RAM, in GiB"


async def test_the_vram_that_the_driver_reports_is_followed_live(
    environment: dict[str, str], fake_driver: FakeDriver
) -> None:
    with Pane(gpumon(), environment) as pane:
        await pane.wait_for("RTX 4090", "0.0/24.0")
        fake_driver.run(0, pid=4_000_000, vram_bytes=12 * GIB)
        await pane.wait_for("12.0/24.0")


async def test_an_unloaded_model_stays_dim_with_the_reason_and_its_alert_is_over(
    environment: dict[str, str], ollama: FakeOllama, fake_driver: FakeDriver
) -> None:
    ollama.catalog.load("llama3:70b", size_bytes=40 * GIB, size_vram_bytes=22 * GIB)
    with Pane(gpumon(), environment) as pane:
        await pane.wait_for("llama3:70b", "ongoing")
        ollama.catalog.clear()
        await pane.wait_for("no model loaded", "lasted")
        screen = await pane.wait_for_line("llama3:70b", "left", "ago, unloaded")
        assert not has_line(screen, "llama3:70b", "▆")
        assert "ongoing" not in screen
        assert "SPILLED" not in screen


async def test_a_server_that_stops_and_returns_is_told_and_found_again(
    environment: dict[str, str], ollama: FakeOllama
) -> None:
    ollama.catalog.load("qwen3:8b")
    with Pane(gpumon(), environment) as pane:
        await pane.wait_for("qwen3:8b")
        await ollama.refuse()
        await pane.wait_for("not running", "ollama serve")
        await ollama.listen()
        await pane.wait_gone("ollama serve")
        await pane.wait_for("qwen3:8b")


async def test_a_server_that_hangs_keeps_its_models_on_the_screen_with_their_age(
    environment: dict[str, str], ollama: FakeOllama
) -> None:
    ollama.catalog.load("qwen3:8b")
    with Pane(gpumon(), environment) as pane:
        await pane.wait_for("qwen3:8b")
        ollama.misbehave("*", "hang")
        screen = await pane.wait_for("not answering for")
        assert "qwen3:8b" in screen
        assert "RTX 4090" in screen, "the other panels go on"


async def test_without_a_gpu_and_without_ollama_it_says_what_is_missing_and_shows_the_ram(
    bare_environment: dict[str, str],
) -> None:
    with Pane(gpumon(), bare_environment, 80, 24) as pane:
        await pane.wait_for("no NVIDIA driver", "install the", "not running", "ollama serve", "RAM")


async def test_a_small_pane_has_a_line_for_each_thing_that_is_missing(
    bare_environment: dict[str, str],
) -> None:
    with Pane(gpumon(), bare_environment, 40, 12) as pane:
        await pane.wait_for("GPU driver: no NVIDIA", "Ollama at 127.0.0.1:9: not", "gpumon demo", "RAM")


async def test_the_pane_s_own_size_wins_over_an_exported_one(bare_environment: dict[str, str]) -> None:
    with Pane(gpumon(), bare_environment | {"COLUMNS": "200", "LINES": "50"}, 60, 20) as pane:
        await pane.wait_for("RAM", "? help")


async def test_a_resize_while_a_model_loads_redraws_for_the_new_size(
    environment: dict[str, str], fake_driver: FakeDriver, ollama: FakeOllama
) -> None:
    with Pane(gpumon(), environment, 120, 40) as pane:
        await pane.wait_for("RTX 4090", "VRAM of GPU 0")
        fake_driver.run(0, pid=4_000_000, vram_bytes=5 * GIB)
        pane.resize(40, 12)
        ollama.catalog.load("qwen3:8b")
        screen = await pane.wait_until(
            lambda screen: "qwen3:8b" in screen and "VRAM of GPU 0" not in screen,
            "the model, without the chart",
        )
        assert len(screen.splitlines()) <= 12
        pane.resize(120, 40)
        await pane.wait_for("qwen3:8b", "VRAM of GPU 0", "tok/s of qwen3:8b")


async def test_what_was_painted_bit_by_bit_is_what_a_repaint_paints(
    tmp_path: Path, bare_environment: dict[str, str]
) -> None:
    columns, rows = 100, 30
    output = tmp_path / "output"
    with Pane([*gpumon(), "demo", "spill"], bare_environment, columns, rows) as pane:
        await pane.wait_for("DEMO spill")
        pane.press("]", "]", "]")  # eight times as fast
        await pane.wait_for("SPILL")
        pane.press("Space")
        await pane.wait_for("PAUSED")
        before = pane.painted()
        pane.pipe_to(output)
        pane.press("C-l")
        await pane.wait_until(
            lambda _: output.exists() and output.stat().st_size > columns * rows, "a screen written again"
        )
        assert looks(pane.painted()) == looks(before)


async def test_hostile_names_are_shown_and_never_obeyed(
    environment: dict[str, str], ollama: FakeOllama
) -> None:
    ollama.catalog.load("evil\x1b[2Jname")
    ollama.catalog.load("[red]markup[/red]")
    with Pane(gpumon(), environment) as pane:
        await pane.wait_for("evil\u241b[2Jname", "[red]markup[/red]", "RTX 4090")


@pytest.mark.parametrize("variable", ["NO_COLOR=1", "TERM=xterm", "LC_ALL=C"])
async def test_poor_terminals_are_served(
    variable: str, environment: dict[str, str], ollama: FakeOllama
) -> None:
    ollama.catalog.load("qwen3:8b", size_bytes=10 * GIB, size_vram_bytes=6 * GIB)
    name, _, value = variable.partition("=")
    with Pane(["env", f"{name}={value}", *gpumon()], environment) as pane:
        await pane.wait_for_line("■ SPILLED  qwen3:8b · 40% in RAM")
        await pane.wait_for_line("■ qwen3:8b", "▆▒", "6.0+4.0", "40%")
        await pane.wait_for_line("■", "qwen3:8b spilled: 4.0 GiB (40%) in RAM", "ongoing")
        band = cells(pane.painted().splitlines()[0])
        assert all("7" in attributes for _, attributes, _, _ in band), "a filled line, in colour or without"
