"""Image generators that nobody has named: found as processes, measured by the driver, asked on their port."""

from __future__ import annotations

import pytest
from tests.e2e.conftest import gpumon
from tests.e2e.test_found_servers import Machine, finding, machine, models_of, run
from tests.e2e.tmux import Pane
from tests.fakes.nvml.driver import GIB
from tests.fakes.pictures import IN_PART, NAME, FakeComfyUi, FakeSdWebUi
from tests.fakes.processes.actor import compiler

pytestmark = pytest.mark.skipif(compiler() is None, reason="no C compiler")
__all__ = ["finding", "machine"]
COMFYUI = ("python3", "/opt/ComfyUI/main.py", "--port", "PORT")


async def test_a_comfyui_at_rest_is_a_row_and_all_is_well(finding: dict[str, str], machine: Machine) -> None:
    comfyui = FakeComfyUi()
    machine.driver.run(0, machine.run(comfyui, *COMFYUI).pid, GIB // 2)
    async with comfyui:
        code, document, _ = await run(finding, "snapshot")
        [row] = models_of(document, comfyui.url)
        assert (row["name"], row["runtime"], row["level"]) == ("ComfyUI", "comfyui", "ok")
        assert (row["measured_vram_bytes"], row["makes_pictures"]) == (GIB // 2, True)
        assert (row["picture"], row["decode_tokens_per_second"]) == (None, None)
        assert (code, document["complete"], document["level"]) == (0, True, "ok")
        assert document["sentence"] == "1 image generator here"
        _, report, _ = await run(finding, "doctor")
    assert "ComfyUI" in report
    assert "no token rates" not in report
    assert {method for method, _ in comfyui.asked} == {"GET"}


async def test_a_picture_under_way_and_its_weights_in_ram_are_told(
    finding: dict[str, str], machine: Machine
) -> None:
    comfyui = FakeComfyUi()
    machine.driver.run(0, machine.run(comfyui, *COMFYUI).pid, 4 * GIB)
    async with comfyui:
        comfyui.queue()
        comfyui.load(IN_PART)
        comfyui.step(7)
        code, document, _ = await run(finding, "snapshot")
        [row] = models_of(document, comfyui.url)
        assert (row["name"], row["spill_percent"], row["level"]) == (NAME, "43%", "watch")
        assert (row["picture"]["step"], row["picture"]["step_count"]) == (7, 20)
        assert row["picture"]["seconds_per_step"] == 1.42
        assert code == 1
        _, words, _ = await run(finding, "why")
        assert f"{NAME} is loaded in part: 2.1 of 4.8 GiB stay in RAM" in words
        assert f"curl -X POST {comfyui.url}/free" in words
        with Pane(gpumon(), finding, 140, 40) as pane:
            await pane.wait_for_line("IN PART", NAME, "2.1 of 4.8 GiB stay in RAM")
            await pane.wait_for_line(NAME, "4.0+2.1", "43%", "1.4 s/it", "7/20")


async def test_it_is_unloaded_after_a_yes(finding: dict[str, str], machine: Machine) -> None:
    comfyui = FakeComfyUi()
    pid = machine.run(comfyui, *COMFYUI).pid
    machine.driver.run(0, pid, 6 * GIB)
    async with comfyui:
        comfyui.queue()
        comfyui.load()
        comfyui.finish()
        with Pane(gpumon(), finding, 100, 30) as pane:
            await pane.wait_for_line(NAME, "6.0")
            pane.press("/")
            await pane.wait_for("model name contains")
            pane.press(*"xl_base", "Enter")
            await pane.wait_for("filter: xl_base")
            pane.press("End", "u")
            await pane.wait_for("Unload this model?", "6.0 GiB of VRAM")
            assert ("POST", "/free") not in comfyui.asked
            pane.press("y")
            await pane.wait_for(f"to unload {NAME}")
            machine.driver.end(0, pid)
            machine.driver.run(0, pid, GIB // 2)
            comfyui.torch_bytes = 0
            await pane.wait_for(f"{NAME} is unloaded: 5.5 GiB of VRAM came back in")
    assert comfyui.counts["POST", "/free"] == 1


async def test_an_sd_webui_is_never_asked_for_its_progress(finding: dict[str, str], machine: Machine) -> None:
    webui = FakeSdWebUi()
    argv = ("python3", "/srv/stable-diffusion-webui/launch.py", "--api", "--medvram", "--port", "PORT")
    machine.driver.run(0, machine.run(webui, *argv).pid, 5 * GIB)
    async with webui:
        _, document, _ = await run(finding, "snapshot")
    [row] = models_of(document, webui.url)
    assert (row["name"], row["measured_vram_bytes"]) == (NAME, 5 * GIB)
    assert "by choice (--medvram)" in row["sentence"]
    assert not [path for _, path in webui.asked if "progress" in path]
