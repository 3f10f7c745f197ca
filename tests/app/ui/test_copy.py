"""The key that copies the command against what is wrong with a model."""

from __future__ import annotations

import pytest
from tests.app.ui.screen import dashboard, text
from tests.fakes.samples import claim, gpu, nvml, ollama

from gpumon.app.diagnosis.diagnosis import Diagnosis, Remedy, Verdict

LOADED = (nvml(0, gpu()), ollama(0.1, [claim("qwen3:14b", ram_gib=5.0)]))
FITTING = (nvml(0, gpu()), ollama(0.1, [claim("qwen3:14b", gpu_gib=5.0)]))
COMMAND = "/set parameter num_ctx 12288"


@pytest.fixture
def remedies(monkeypatch: pytest.MonkeyPatch) -> list[Remedy]:
    """The remedies of whatever is diagnosed."""
    found: list[Remedy] = []

    def diagnose(*_: object, **__: object) -> Diagnosis:
        return Diagnosis(Verdict("spilled", "bad", "it spills"), remedies=tuple(found))

    monkeypatch.setattr("gpumon.app.diagnosis.diagnose.diagnose", diagnose)
    return found


@pytest.mark.parametrize("keys", [("y",), ("enter", "y")], ids=["dashboard", "page"])
async def test_the_best_command_is_copied_and_shown(remedies: list[Remedy], keys: tuple[str, ...]) -> None:
    remedies.append(Remedy("shrink_context", "shrink it", COMMAND, "needs 5", where="in ollama run"))
    app = dashboard(LOADED)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await pilot.press(*keys)
        screen = await text(pilot)
    assert app.clipboard == COMMAND
    assert COMMAND in screen, "a terminal may not obey: the command must be there to select"
    assert "in ollama run" in screen


async def test_where_nothing_helps_it_says_so(remedies: list[Remedy]) -> None:
    assert remedies == []
    app = dashboard(LOADED)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await pilot.press("y")
        assert "nothing to copy: no command is known that would help qwen3:14b" in await text(pilot)
    assert app.clipboard == ""


async def test_a_model_that_is_well_needs_no_command() -> None:
    async with dashboard(FITTING).run_test(size=(80, 24), notifications=True) as pilot:
        await pilot.press("y")
        assert "nothing to copy: qwen3:14b needs no help" in await text(pilot)


async def test_a_notice_gives_way_to_the_next() -> None:
    async with dashboard(LOADED).run_test(size=(80, 24), notifications=True) as pilot:
        await pilot.press("g", "y", "y", "y")
        assert (await text(pilot)).count("no model is selected") == 1


async def test_a_notice_hides_no_alert() -> None:
    app = dashboard(LOADED)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        before = (await text(pilot)).splitlines()
        await pilot.press("g", "y")
        after = (await text(pilot)).splitlines()
    assert "no model is selected" in after[-1]
    alerts = [line for line in before if "spilled: " in line]
    assert alerts
    assert alerts == [line for line in after if "spilled: " in line]


async def test_a_gpu_has_no_command() -> None:
    app = dashboard(LOADED)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await pilot.press("g", "y")
        assert "no model is selected" in await text(pilot)
