"""The history of live runs: on unless it is switched off, and no trouble of it stops anything else."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.app.history.rows import ALL
from tests.fakes.live import running
from tests.fakes.nvml.driver import FakeDriver
from tests.fakes.ollama.catalog import GIB
from tests.fakes.ollama.server import FakeOllama
from tests.scene import Model, loaded

from gpumon.app.config.settings import HistorySettings, ServerSettings, Settings
from gpumon.app.history.gather import Clocks
from gpumon.app.history.live import LiveHistory, this_run
from gpumon.app.history.reader import History, history_path
from gpumon.app.insight.health import HISTORY_SOURCE
from gpumon.app.recording.lines import encode_header, new_header
from gpumon.app.session.build import demo_session, live_session, replay_session
from gpumon.app.views.dashboard import ModelOrder, dashboard_view

pytestmark = pytest.mark.usefixtures("secluded")

ALONE = ServerSettings(find=False)
BOUNDS = {"age_seconds": 90 * 86_400.0, "size_bytes": 2.0**40}


async def test_a_live_run_is_kept(fake_driver: FakeDriver) -> None:
    async with FakeOllama() as ollama:
        ollama.catalog.load("llama3:70b", size_bytes=40 * GIB, size_vram_bytes=22 * GIB)
        session = live_session(Settings(urls=(ollama.url,), interval_seconds=0.25, servers=ALONE))
        async with running(session) as live:
            await live.until(lambda: live.model("llama3:70b"))
            await live.until(lambda: live.state.gpus and session.history and session.history.has_begun)
            await live.until(lambda: live.state.models)
    with History.open() as history:
        [run] = history.sessions()
        assert (run.command, run.boot_id) == ("dashboard", this_run("dashboard", Clocks()).boot_id)
        assert {one.name for one in history.model_minutes(ALL)} == {"llama3:70b"}
        assert history.gpu_minutes(ALL)


async def test_switched_off_no_file_is_made(fake_driver: FakeDriver) -> None:
    async with FakeOllama() as ollama:
        settings = Settings(
            urls=(ollama.url,),
            interval_seconds=0.25,
            servers=ALONE,
            history=HistorySettings(enabled=False),
        )
        async with running(live_session(settings)) as live:
            await live.until(lambda: live.state.gpus)
    assert not history_path().exists()


def test_a_demonstration_and_a_recording_are_not_kept(tmp_path: Path) -> None:
    recording = tmp_path / "x.jsonl"
    recording.write_bytes(encode_header(new_header(1.0)))
    assert demo_session(Settings(), "spill").history is None
    assert replay_session(Settings(), recording, 1.0, 0.0).history is None


@pytest.fixture
def desk() -> Model:
    return loaded()


def test_trouble_is_a_line_of_the_dashboard_which_goes_on(desk: Model, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    kept = LiveHistory(desk.monitor, "dashboard", path=tmp_path / "file" / "history.db", **BOUNDS)
    desk.machine.run(70)
    kept.close()
    desk.machine.run(2)
    view = dashboard_view(desk.monitor, ModelOrder("trouble", False, ""))
    [line] = [row for row in view.sources if row.name == HISTORY_SOURCE]
    assert "the history is not kept" in line.words
    assert not desk.machine.alerts("source"), "nothing rests on it"
    assert [row.name for row in view.models] == [desk.name]


def test_the_line_goes_once_it_is_kept_again(desk: Model, tmp_path: Path) -> None:
    folder = tmp_path / "gpumon"
    folder.touch()
    kept = LiveHistory(desk.monitor, "dashboard", path=folder / "history.db", **BOUNDS)
    desk.machine.run(70)
    kept.close()
    desk.machine.run(1)
    assert HISTORY_SOURCE in desk.machine.state.sources
    folder.unlink()
    again = LiveHistory(desk.monitor, "dashboard", path=folder / "history.db", **BOUNDS)
    again._told = kept._told
    desk.machine.run(70)
    again.close()
    desk.machine.run(1)
    assert HISTORY_SOURCE not in desk.machine.state.sources


def test_trouble_is_told_from_the_start(desk: Model, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    kept = LiveHistory(desk.monitor, "dashboard", path=tmp_path / "file" / "history.db", **BOUNDS)
    desk.machine.run(5)
    kept.close()
    desk.machine.run(1)
    assert HISTORY_SOURCE in desk.machine.state.sources


def test_what_was_there_before_it_began_is_kept_too(desk: Model, tmp_path: Path) -> None:
    desk.machine.run(5)
    kept = LiveHistory(desk.monitor, "dashboard", path=tmp_path / "history.db", **BOUNDS)
    desk.machine.look("system", at=desk.machine.now + 1)
    kept.close()
    with History.open(tmp_path / "history.db") as history:
        assert [one.name for one in history.model_minutes(ALL)] == [desk.name]
        assert len(history.gpu_minutes(ALL)) == 1
