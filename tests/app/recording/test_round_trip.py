"""A replay shows what the run that made the recording showed."""

from __future__ import annotations

import asyncio
from itertools import takewhile
from pathlib import Path

import pytest
from tests.fakes.playing import FakeTime
from tests.fakes.recordings import CREATED, HEADER

from gpumon.app.alerts.limits import Limits
from gpumon.app.demo.scenarios import list_scenarios, scenario_named
from gpumon.app.demo.story import PRELUDE_SECONDS, Scenario
from gpumon.app.feeds.player import Player
from gpumon.app.monitor import Monitor
from gpumon.app.recording.reader import read_recording
from gpumon.app.recording.writer import Recorder
from gpumon.app.snapshot.build import build_snapshot


def record(scenario: Scenario, path: Path) -> Monitor:
    """Run a scenario past the end of its story, with a recorder listening."""
    monitor = Monitor(Limits())
    recorder = Recorder(path, HEADER)
    monitor.listen(recorder.write)
    end = CREATED + PRELUDE_SECONDS + scenario.story_seconds + 25
    for sample in takewhile(lambda sample: sample.time < end, scenario.samples(CREATED)):
        monitor.feed(sample)
    recorder.close()
    assert recorder.problem is None
    return monitor


@pytest.mark.parametrize("scenario", list_scenarios(), ids=lambda scenario: scenario.name)
async def test_a_replay_gives_the_same_alerts_and_the_same_snapshot(
    scenario: Scenario, tmp_path: Path
) -> None:
    path = tmp_path / "run.jsonl"
    live = record(scenario, path)
    recording, time, replayed = read_recording(path), FakeTime(), Monitor(Limits())
    await Player(recording.items, wait=time.wait, elapsed=time.elapsed).run(replayed)
    assert replayed.alerts.active == live.alerts.active
    assert tuple(replayed.alerts.recent) == tuple(live.alerts.recent)
    assert build_snapshot(replayed.pictures) == build_snapshot(live.pictures)
    assert replayed.events.latest(500) == live.events.latest(500) != ()
    assert [record.claim for record in replayed.state.departed] == [
        record.claim for record in live.state.departed
    ]


async def test_a_continued_recording_begins_afresh_with_each_run(tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    record(scenario_named("gpu-lost"), path)
    live = record(scenario_named("restart"), path)
    recording, time, replayed = read_recording(path), FakeTime(), Monitor(Limits())
    await Player(recording.items, wait=time.wait, elapsed=time.elapsed).run(replayed)
    assert tuple(replayed.alerts.recent) == tuple(live.alerts.recent)
    assert build_snapshot(replayed.pictures) == build_snapshot(live.pictures)


async def test_seeking_back_shows_what_was_shown_then(tmp_path: Path) -> None:
    scenario, path = scenario_named("spill"), tmp_path / "run.jsonl"
    moment = CREATED + PRELUDE_SECONDS + 60
    then = Monitor(Limits())
    for sample in takewhile(lambda sample: sample.time <= moment, scenario.samples(CREATED)):
        then.feed(sample)
    record(scenario, path)
    recording, time, sought = read_recording(path), FakeTime(), Monitor(Limits())
    player = Player(recording.items, open_at=moment + 200, wait=time.wait, elapsed=time.elapsed)
    player.pause()
    running = asyncio.ensure_future(player.run(sought))
    async with asyncio.timeout(10):
        await time.standing.wait()
        time.standing.clear()
        player.seek(moment)
        await time.standing.wait()
    running.cancel()
    assert build_snapshot(sought.pictures) == build_snapshot(then.pictures)
    assert sought.events.latest(500) == then.events.latest(500)
