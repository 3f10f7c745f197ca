"""The dashboard tells those whom the settings name, past what it draws; a screen in a tab tells nobody."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest
from tests.app.ui.screen import START
from tests.fakes.playing import HandTime

from gpumon.app.config.settings import AlertSettings, NotifySettings, Settings
from gpumon.app.feeds.demo import DemoFeed
from gpumon.app.monitor import Monitor
from gpumon.app.session.build import looks_of, session_of_demo
from gpumon.app.session.session import Session
from gpumon.app.session.telling import is_told, teller
from gpumon.app.ui.app import GpumonApp
from gpumon.app.ui.launch import teller_for
from gpumon.widgets.glyphs import UNICODE

TOPIC = "https://ntfy.example/topic"
TOLD = Settings(
    notify=NotifySettings(terminal="osc9", ntfy=TOPIC, ntfy_token="tk_s3cret"),  # noqa: S106
    alerts=AlertSettings(hook=("true",)),
)


async def test_a_spill_is_told_to_the_terminal_between_two_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TMUX", raising=False)
    monkeypatch.delenv("STY", raising=False)
    written: list[str] = []
    monkeypatch.setattr(GpumonApp, "write_past", lambda _, text: written.append(text))
    time, settings = HandTime(), Settings(notify=NotifySettings(terminal="osc9"))
    session = session_of_demo(settings, DemoFeed("spill", START, wait=time.wait, elapsed=time.elapsed))
    app = GpumonApp(session, UNICODE, teller=partial(teller, settings, is_live=False))
    async with app.run_test() as pilot, asyncio.timeout(60):
        await time.settle()
        assert written == []
        await time.pass_by(30)
        await pilot.pause()
    assert len(written) == 1
    assert written[0].startswith("\x1b]9;gpumon on ")
    assert "qwen2.5-coder:14b spill: 5.5 GiB (38%) in RAM" in written[0]


async def test_of_what_is_not_live_nobody_is_told_who_is_elsewhere() -> None:
    made = teller(Settings(notify=NotifySettings(ntfy=TOPIC)), print, None, is_live=False)
    assert made.notifier is None
    assert teller(Settings(notify=NotifySettings(ntfy=TOPIC)), print, None).notifier is not None


def test_a_screen_that_another_feeds_tells_nobody_and_is_handed_no_secret() -> None:
    class Nothing:
        def marks(self) -> tuple[str, ...]:
            return ()

        async def run(self, monitor: Monitor) -> None: ...

        async def close(self) -> None: ...

    session = Session(Monitor(TOLD.alerts.limits()), Nothing(), read_only=True)
    assert is_told(TOLD)
    assert teller_for(TOLD, session) is None
    assert not is_told(looks_of(TOLD))
    assert "s3cret" not in repr(looks_of(TOLD))


def test_nothing_is_made_where_nobody_is_to_be_told() -> None:
    assert not is_told(Settings())
