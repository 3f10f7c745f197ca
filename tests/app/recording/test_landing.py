"""A long recording is begun near the instant that is sought, with what was said once and still holds."""

from __future__ import annotations

import asyncio
import gzip
from functools import cache
from itertools import takewhile
from pathlib import Path

import pytest
from tests.fakes.playing import FakeTime
from tests.fakes.recordings import CREATED, HEADER, write_recording

from gpumon.app.alerts.limits import Limits
from gpumon.app.demo.scenarios import scenario_named
from gpumon.app.feeds.player import Player
from gpumon.app.feeds.reels import Recorded
from gpumon.app.monitor import Monitor
from gpumon.app.recording import keys, reader
from gpumon.app.recording.lines import Header
from gpumon.app.recording.reader import Recording, read_recording
from gpumon.app.snapshot.build import build_snapshot
from gpumon.app.snapshot.schema import Snapshot
from gpumon.collectors.samples import AnySample, ModelFacts, NvmlSample

SECONDS = 900
SUFFIXES = ["", ".gz", ".zst"]


@cache
def story() -> list[AnySample]:
    samples = scenario_named("spill").samples(CREATED)
    return list(takewhile(lambda sample: sample.time < CREATED + SECONDS, samples))


@pytest.fixture(autouse=True)
def short_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a quarter of an hour be what a day is otherwise: of some dozens of blocks."""
    monkeypatch.setattr(keys, "BLOCK_BYTES", 60_000)
    monkeypatch.setattr(keys, "KEY_SHARE", 3)
    monkeypatch.setattr(reader, "BLOCK_BYTES", 60_000)


@pytest.fixture(params=SUFFIXES)
def recording(request: pytest.FixtureRequest, tmp_path: Path) -> Recording:
    if request.param == ".zst":
        pytest.importorskip("zstandard")
    path = tmp_path / f"run.jsonl{request.param}"
    write_recording(path, story())
    return read_recording(path)


def fed_until(time: float) -> Monitor:
    monitor = Monitor(Limits())
    for sample in takewhile(lambda sample: sample.time <= time, story()):
        monitor.feed(sample)
    return monitor


@pytest.mark.parametrize("second", [400, 500, 777.5, 899])
def test_it_begins_little_before_an_instant_and_knows_what_was_said_once(
    recording: Recording, second: float
) -> None:
    landing = recording.landing(CREATED + second)
    assert landing is not None
    assert second - 300 < landing.time - CREATED <= second - 30
    assert any(isinstance(sample, ModelFacts) for sample in landing.samples)
    drivers = [sample for sample in landing.samples if isinstance(sample, NvmlSample)]
    assert all(gpu.facts is not None for sample in drivers for gpu in sample.gpus)
    following = next(iter(recording.items(landing.place)))
    assert not isinstance(following, Header)
    assert following.time == landing.time


def test_near_the_start_it_begins_there(recording: Recording) -> None:
    assert recording.landing(CREATED + 20) is None
    assert recording.landing(0.0) is None


def test_the_last_sample_is_found_at_the_end(recording: Recording) -> None:
    assert recording.last_time() == story()[-1].time


def test_another_run_is_never_reached_across(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    write_recording(path, story()[:2000])
    later = HEADER.__class__(created=story()[2000].time, host="box")
    write_recording(path, story()[2000:], later)
    landing = read_recording(path).landing(story()[2010].time)
    assert landing is not None
    assert landing.samples == ()
    assert landing.time == story()[2000].time


def as_seen(snapshot: Snapshot) -> object:
    """Return what holds at the instant: rows and what is wrong, without what happened long before."""
    models = [
        (one.name, one.level, one.measured_vram_bytes, one.processor, one.decode_tokens_per_second)
        for one in snapshot.models
    ]
    gpus = [(gpu.uuid, gpu.vram_used_bytes, gpu.holders, gpu.power_limit_watts) for gpu in snapshot.gpus]
    return snapshot.level, models, gpus, [(alert.kind, alert.subject) for alert in snapshot.alerts]


async def sought(player: Player, time: float) -> None:
    player.seek(time)
    while player._target is not None:  # noqa: ASYNC110 - a player tells nobody that it is there
        await asyncio.sleep(0)


async def test_a_seek_far_on_feeds_little_and_shows_what_was_so(recording: Recording) -> None:
    time, monitor = FakeTime(), Monitor(Limits())
    fed: list[AnySample] = []
    monitor.listen(fed.append)
    player = Player(Recorded(recording), hold_at_end=True, wait=time.wait, elapsed=time.elapsed)
    player.pause()
    running = asyncio.ensure_future(player.run(monitor))
    for second in (450, 350, 400, 330):
        fed.clear()
        await sought(player, CREATED + second)
        assert len(fed) < 800
        assert as_seen(build_snapshot(monitor.pictures)) == as_seen(
            build_snapshot(fed_until(CREATED + second).pictures)
        )
    running.cancel()


async def test_what_lies_near_what_is_known_is_fed_on_to(recording: Recording) -> None:
    time, monitor = FakeTime(), Monitor(Limits())
    player = Player(Recorded(recording), hold_at_end=True, wait=time.wait, elapsed=time.elapsed)
    player.pause()
    running = asyncio.ensure_future(player.run(monitor))
    for second, is_whole in ((9, True), (40, True), (800, False), (8, True)):
        await sought(player, CREATED + second)
        assert (player.known_since is None) == is_whole
    running.cancel()


def test_one_that_another_program_has_packed_is_gone_through_once(tmp_path: Path) -> None:
    write_recording(tmp_path / "run.jsonl", story())
    path = tmp_path / "run.gz"
    path.write_bytes(gzip.compress((tmp_path / "run.jsonl").read_bytes()))
    recording = read_recording(path)
    landing = recording.landing(CREATED + 600)
    assert landing is not None
    assert landing.samples
    following = next(iter(recording.items(landing.place)))
    assert not isinstance(following, Header)
    assert following.time == landing.time
    assert recording.looked is None, "it was found"


def test_one_without_keys_is_begun_at_its_start(tmp_path: Path) -> None:
    write_recording(tmp_path / "run.jsonl", story())
    lines = (tmp_path / "run.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "old.jsonl").write_bytes(b"".join(line for line in lines if not keys.is_key(line)))
    assert read_recording(tmp_path / "old.jsonl").landing(CREATED + 600) is None
