"""The screen of several machines, and the dashboard of one behind it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from tests.app.session.test_fleet import Box
from tests.app.ui.screen import HandFeed, scenario, text
from tests.app.ui.test_looks import check
from textual.pilot import Pilot

from gpumon.app.alerts.limits import Limits
from gpumon.app.config.settings import AlertSettings, Settings
from gpumon.app.demo.story import PRELUDE_SECONDS
from gpumon.app.fleet.ssh import Cause
from gpumon.app.monitor import Monitor
from gpumon.app.session.fleet import HostFleet
from gpumon.app.session.session import Session
from gpumon.app.session.telling import teller
from gpumon.app.ui.fleet import FleetApp
from gpumon.app.ui.screens.fleet import FleetScreen, HostScreen
from gpumon.widgets.glyphs import ASCII, UNICODE
from gpumon.widgets.kit.lines import Glyphs

SIZES = [(200, 50), (120, 40), (80, 24), (60, 20), (40, 12)]


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.setattr("gpumon.app.ui.screens.fleet.time.time", lambda: 1_790_000_375.0)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def boxes() -> list[Box]:
    """Five machines: one spills, one is well, one sleeps, one wants a key, one was never heard."""
    made = [Box(name) for name in ("workbench", "me@attic", "rig", "den", "new")]
    spills, fits, sleeps, den, _ = made
    spills.connect(scenario("spill", PRELUDE_SECONDS + 75))
    fits.connect(scenario("fits", PRELUDE_SECONDS + 60))
    sleeps.connect(scenario("gpu-lost", PRELUDE_SECONDS + 30))
    sleeps.lose(Cause("it does not answer", "it sleeps, or the network is down"))
    sleeps.now += 754
    sleeps.feed.next_try = sleeps.now + 32
    den.lose(Cause("it takes none of the keys that are offered", "ssh-copy-id den", needs_user=True))
    return made


def fleet_app(made: list[Box], glyphs: Glyphs = UNICODE, hook: tuple[str, ...] = ()) -> FleetApp:
    fleet = HostFleet([box.host for box in made])
    session = Session(Monitor(Limits()), HandFeed())
    told = partial(teller, Settings(alerts=AlertSettings(hook=hook))) if hook else None
    return FleetApp(session, fleet, glyphs, hosts=fleet.hosts, teller=told)


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
async def test_the_screen_looks_as_kept(size: tuple[int, int]) -> None:
    async with fleet_app(boxes()).run_test(size=size) as pilot:
        check(f"hosts-{size[0]}x{size[1]}", await text(pilot))


@pytest.mark.parametrize("keys", [(), ("enter",), ("question_mark",), ("slash",)], ids=str)
async def test_ascii_is_ascii_to_the_last_cell(keys: tuple[str, ...]) -> None:
    async with fleet_app(boxes(), ASCII).run_test(size=(100, 30)) as pilot:
        await pilot.press(*keys)
        assert (await text(pilot)).isascii()


async def test_enter_opens_the_dashboard_of_a_host_and_escape_leads_back() -> None:
    async with fleet_app(boxes()).run_test(size=(120, 40)) as pilot:
        await pilot.press("down", "enter")
        screen = await text(pilot)
        assert isinstance(in_front(pilot), HostScreen)
        assert "me@attic" in screen.splitlines()[0]
        assert "RTX 4090" in screen
        assert "Esc all hosts" in screen
        await pilot.press("escape")
        await pilot.pause()
        assert isinstance(in_front(pilot), FleetScreen)


async def test_escape_drops_the_filter_of_a_dashboard_before_it_leads_back() -> None:
    async with fleet_app(boxes()).run_test(size=(120, 40)) as pilot:
        await pilot.press("enter")
        await pilot.press("slash", "q", "enter", "escape")
        await pilot.pause()
        assert isinstance(in_front(pilot), HostScreen)
        await pilot.press("escape")
        await pilot.pause()
        assert isinstance(in_front(pilot), FleetScreen)


async def test_the_page_of_a_model_of_a_host_names_the_host() -> None:
    async with fleet_app(boxes()).run_test(size=(120, 40)) as pilot:
        await pilot.press("enter", "enter")
        assert "workbench" in (await text(pilot)).splitlines()[0]


async def test_nothing_is_unloaded_on_another_machine_but_the_line_is_told() -> None:
    async with fleet_app(boxes()).run_test(size=(120, 40), notifications=True) as pilot:
        await pilot.press("enter", "u")
        assert "type there: ollama stop qwen2.5-coder:14b" in (await text(pilot)).splitlines()[-1]


async def test_a_line_that_is_copied_says_where_it_goes() -> None:
    async with fleet_app(boxes()).run_test(size=(120, 40), notifications=True) as pilot:
        await pilot.press("enter", "y")
        last = (await text(pilot)).splitlines()[-1]
        assert "copied: /set parameter num_ctx 6400 (on workbench, in ollama run)" in last


async def test_the_dashboard_of_a_host_that_sleeps_says_so_and_its_figures_are_old() -> None:
    async with fleet_app(boxes()).run_test(size=(120, 40)) as pilot:
        await pilot.press("down", "down", "enter")
        screen = await text(pilot)
        assert "it does not answer, last seen 12m 34s ago" in screen
        assert "as of 12m 34s ago" in screen.splitlines()[0]


async def test_hosts_are_sorted_and_filtered() -> None:
    async with fleet_app(boxes()).run_test(size=(80, 24)) as pilot:
        await pilot.press("s")
        rows = [line[1:].split() for line in (await text(pilot)).splitlines()[3:12]]
        assert [row[1] for row in rows if row and row[0] in "■▲○●"][:2] == ["workbench", "den"]
        await pilot.press("slash", *"attic", "enter")
        screen = await text(pilot)
        assert "filter: attic" in screen
        assert "RTX" not in screen
        await pilot.press("escape")
        assert "workbench" in (await text(pilot))


async def test_an_event_opens_the_dashboard_of_its_host() -> None:
    async with fleet_app(boxes()).run_test(size=(120, 40)) as pilot:
        await pilot.press("tab", "enter")
        await pilot.pause()
        assert isinstance(in_front(pilot), HostScreen)


async def test_the_palette_opens_a_model_of_the_host_that_is_shown() -> None:
    async with fleet_app(boxes()).run_test(size=(120, 40)) as pilot:
        await pilot.press("enter", "colon", *"qwen2.5", "enter")
        await pilot.pause()
        screen = await text(pilot)
        assert "CURES" in screen or "WHY" in screen
        await pilot.press("escape", "escape")
        await pilot.pause()
        assert isinstance(in_front(pilot), FleetScreen)


async def test_help_names_the_keys_of_several_hosts() -> None:
    async with fleet_app(boxes()).run_test(size=(120, 60)) as pilot:
        await pilot.press("question_mark")
        assert "Several hosts" in await text(pilot)


async def test_a_paused_screen_stands_still() -> None:
    made = boxes()
    async with fleet_app(made).run_test(size=(80, 24)) as pilot:
        await pilot.press("space")
        made[4].connect(scenario("fits", PRELUDE_SECONDS + 60))
        await until(pilot, lambda screen: "PAUSED" in screen)
        assert "connecting" in await text(pilot)


async def test_alerts_of_every_host_go_to_the_hook_with_its_name(tmp_path: Path) -> None:
    told = tmp_path / "told"
    made = [Box("workbench"), Box("attic")]
    app = fleet_app(made, hook=("sh", "-c", f"cat >> {told}"))
    async with app.run_test(size=(80, 24)) as pilot:
        made[1].connect(scenario("spill", PRELUDE_SECONDS + 75))
        await until(pilot, lambda _: told.exists() and told.read_text().endswith("\n"))
    lines = [json.loads(line) for line in told.read_text().splitlines()]
    assert {line["host"] for line in lines} == {"attic"}
    assert "spill" in {line["kind"] for line in lines}


def in_front(pilot: Pilot[int]) -> object:
    return pilot.app.screen


async def until(pilot: Pilot[int], holds: Callable[[str], bool]) -> None:
    for _ in range(500):
        if holds(await text(pilot)):
            return
        await pilot.pause(0.02)
    raise AssertionError(await text(pilot))
