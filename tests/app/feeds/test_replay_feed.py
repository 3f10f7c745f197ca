from __future__ import annotations

from pathlib import Path

from tests.fakes.playing import START, Heard, system_at

from gpumon.app.feeds.player import ReplayFeed
from gpumon.app.recording.lines import Header
from gpumon.app.recording.reader import read_recording
from gpumon.app.recording.writer import Recorder


def recorded(path: Path, *, demo: bool = False) -> Path:
    recorder = Recorder(path, Header(version="0.1.0", created=START, host="box", demo=demo))
    for second in range(3):
        recorder.write(system_at(second / 100))
    recorder.close()
    return path


async def test_a_recording_is_played_into_the_monitor(tmp_path: Path) -> None:
    feed = ReplayFeed(read_recording(recorded(tmp_path / "run.jsonl")), speed=64, hold_at_end=False)
    heard = Heard()
    await feed.run(heard.monitor)
    await feed.close()
    assert len(heard.seconds) == 3
    assert feed.player.end == feed.player.position


async def test_its_marks_say_replay_speed_and_end(tmp_path: Path) -> None:
    feed = ReplayFeed(read_recording(recorded(tmp_path / "run.jsonl")), hold_at_end=False)
    assert feed.marks() == ("REPLAY",)
    feed.player.faster()
    assert feed.marks() == ("REPLAY 2x",)
    await feed.run(Heard().monitor)
    assert feed.marks() == ("REPLAY 2x", "END")


async def test_a_replayed_demo_is_marked_as_a_demo(tmp_path: Path) -> None:
    feed = ReplayFeed(read_recording(recorded(tmp_path / "run.jsonl", demo=True)))
    assert feed.marks() == ("REPLAY", "DEMO")
