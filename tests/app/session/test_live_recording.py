"""A live run that is recorded, and the recording."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.fakes.live import running
from tests.fakes.nvml.driver import FakeDriver
from tests.fakes.ollama.catalog import GIB
from tests.fakes.ollama.server import FakeOllama

from gpumon.app.alerts.alert import Alert
from gpumon.app.config.settings import ServerSettings, Settings
from gpumon.app.monitor import Monitor
from gpumon.app.recording.reader import read_recording
from gpumon.app.session.build import live_session
from gpumon.app.session.session import Session
from gpumon.app.session.whom import endpoints
from gpumon.app.snapshot.build import build_snapshot

pytestmark = pytest.mark.usefixtures("secluded")

ALONE = ServerSettings(find=False)
"""Whoever is found is left out."""


def alerts_of(monitor: Monitor) -> list[Alert]:
    return [*monitor.alerts.active, *monitor.alerts.recent]


async def watch_a_spill_come_and_go(session: Session, ollama: FakeOllama) -> None:
    """Run the session until an alert was raised, has ended, and the next one stands."""
    monitor = session.monitor

    def are(count: int, active: int) -> bool:
        return (len(alerts_of(monitor)), len(monitor.alerts.active)) == (count, active)

    async with running(session) as live:
        ollama.catalog.load("llama3:70b", size_bytes=40 * GIB, size_vram_bytes=22 * GIB)
        await live.until(lambda: are(1, active=1))
        ollama.catalog.clear()
        await live.until(lambda: are(1, active=0))
        ollama.catalog.load("qwen3:32b", size_bytes=30 * GIB, size_vram_bytes=20 * GIB)
        await live.until(lambda: are(2, active=1))


async def test_the_replay_has_the_same_alerts_and_the_same_snapshot_as_the_run(
    fake_driver: FakeDriver, tmp_path: Path
) -> None:
    path = tmp_path / "run.jsonl"
    async with FakeOllama() as ollama:
        session = live_session(
            Settings(urls=(ollama.url,), interval_seconds=0.25, servers=ALONE), record_to=path
        )
        await watch_a_spill_come_and_go(session, ollama)
    replayed = Monitor(session.monitor.limits)
    for sample in read_recording(path):
        replayed.feed(sample)
    assert alerts_of(replayed) == alerts_of(session.monitor)
    assert build_snapshot(replayed.pictures) == build_snapshot(session.monitor.pictures)


@pytest.mark.parametrize(
    "urls",
    [("http://127.0.0.1:11434", "127.0.0.1"), ("http://127.0.0.1:11434/", "http://127.0.0.1:11434")],
)
def test_two_spellings_of_a_server_are_one(urls: tuple[str, ...]) -> None:
    assert len(endpoints(Settings(urls=urls))) == 1
