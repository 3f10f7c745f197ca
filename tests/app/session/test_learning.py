"""Who learns, who reads what was learned, and who leaves it alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.app.insight.learning.test_baselines import baseline
from tests.fakes.recordings import scenario_samples, write_recording

from gpumon.app.config.settings import LearnSettings, Settings
from gpumon.app.learned import learned_path, save
from gpumon.app.monitor import Monitor
from gpumon.app.session.build import demo_session, live_feed, live_session, replay_session
from gpumon.collectors.learned import Document, read
from gpumon.collectors.samples import Learned

OFF = Settings(learn=LearnSettings(enabled=False))


def test_a_live_session_keeps_what_it_learns_when_it_closes() -> None:
    session = live_session(Settings())
    session.monitor.feed(Learned(time=1.0, source="learned", baselines=(baseline(),)))
    assert session.keeper is not None
    session.monitor.state.touched.learned = True
    session.keeper.on_sample(Learned(time=2.0, source="learned"))
    session.keeper.close()
    assert read(learned_path()).baselines == (baseline(),)


def test_its_feed_reads_what_earlier_runs_have_learned() -> None:
    save(learned_path(), Document(baselines=(baseline(),)))
    assert "learned" in live_feed(Settings(), Monitor(Settings().alerts.limits())).names


def test_switched_off_it_neither_reads_nor_writes() -> None:
    session = live_session(OFF)
    assert session.keeper is None
    assert "learned" not in live_feed(OFF, session.monitor).names


@pytest.mark.parametrize("kind", ["replay", "demo"])
def test_a_replay_and_the_demo_write_nothing(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    write_recording(path, scenario_samples("spill", 5))
    session = (
        replay_session(Settings(), path, 1.0, 0.0) if kind == "replay" else demo_session(Settings(), "spill")
    )
    session.monitor.feed(Learned(time=1.0, source="learned", baselines=(baseline(),)))
    assert session.keeper is None
    assert not learned_path().exists()
