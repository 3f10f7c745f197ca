"""Alerts are told where no screen is: by the web server and by ``gpumon notify``."""

from __future__ import annotations

import asyncio
import sys
from itertools import takewhile
from pathlib import Path

import msgspec
from tests.app.ui.screen import HandFeed
from tests.fakes.playing import START

from gpumon.app.alerts.limits import Limits
from gpumon.app.config.settings import AlertSettings, Settings
from gpumon.app.demo.scenarios import scenario_named
from gpumon.app.monitor import Monitor
from gpumon.app.session.session import Session
from gpumon.app.session.telling import telling

WRITE = "import sys; open(sys.argv[1], 'a').write(sys.stdin.read())"


def feed(session: Session, until: float) -> None:
    samples = scenario_named("spill").samples(START)
    for sample in takewhile(lambda sample: sample.time < START + until, samples):
        session.monitor.feed(sample)


async def test_the_hook_gets_every_event(tmp_path: Path) -> None:
    told, said = tmp_path / "told", list[str]()
    settings = Settings(
        alerts=AlertSettings(hook=(sys.executable, "-S", "-c", WRITE, str(told))),
    )
    session = Session(Monitor(Limits()), HandFeed())
    async with telling(session, settings, said.append, None):
        feed(session, 420)
        async with asyncio.timeout(30):
            while not told.exists() or not told.read_text().endswith("\n"):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    events = [msgspec.json.decode(line) for line in told.read_text().splitlines()]
    assert [event["kind"] for event in events if event["change"] == "raised"][:1] == ["spill"]
    assert said == []
