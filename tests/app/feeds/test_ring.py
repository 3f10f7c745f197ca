"""What is kept of the last hour: any instant of it is known again, at a bounded cost."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import takewhile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fakes.playing import START, system_at

from gpumon.app.alerts.limits import Limits
from gpumon.app.demo.scenarios import scenario_named
from gpumon.app.feeds import ring as ringing
from gpumon.app.feeds.ring import Ring
from gpumon.app.monitor import Monitor
from gpumon.app.recording.lines import encode_line
from gpumon.app.snapshot.build import build_snapshot
from gpumon.collectors.samples import AnySample

SECONDS = 460
NAMES = ["spill", "restart", "gpu-lost", "fleet"]


@cache
def story(name: str, seconds: int = SECONDS) -> Sequence[AnySample]:
    """Return a scenario's samples: some minutes in which things happen."""
    return tuple(takewhile(lambda sample: sample.time < START + seconds, scenario_named(name).samples(START)))


def kept(samples: Sequence[AnySample], limit_bytes: int = ringing.KEPT_BYTES) -> tuple[Monitor, Ring]:
    monitor = Monitor(Limits())
    ring = Ring(monitor, limit_bytes)
    monitor.listen(ring.take)
    for sample in samples:
        monitor.feed(sample)
    return monitor, ring


def fed_until(samples: Sequence[AnySample], time: float) -> Monitor:
    monitor = Monitor(Limits())
    for sample in takewhile(lambda sample: sample.time <= time, samples):
        monitor.feed(sample)
    return monitor


def assert_as_fed(ring: Ring, samples: Sequence[AnySample], time: float) -> None:
    """Check that an instant is what it was when it was now."""
    ring.leave()
    place, then = ring.reach(time), fed_until(samples, time)
    assert place is not None
    assert build_snapshot(place.monitor.pictures) == build_snapshot(then.pictures)
    assert place.monitor.alerts.active == then.alerts.active
    assert place.monitor.events.latest(500) == then.events.latest(500)


class TestAnInstant:
    @pytest.mark.parametrize("name", NAMES)
    def test_is_as_if_no_more_had_been_fed(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(ringing, "BLOCK_SAMPLES", 150)
        _, ring = kept(story(name))
        for second in (40.5, 312, 316.9, 380, SECONDS):
            assert_as_fed(ring, story(name), START + second)

    @settings(max_examples=12, deadline=None)
    @given(
        second=st.floats(1, SECONDS),
        block=st.integers(1, 700),
        room=st.sampled_from([60_000, ringing.KEPT_BYTES]),
    )
    def test_is_the_same_whatever_the_blocks_and_the_room(self, second: float, block: int, room: int) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ringing, "BLOCK_SAMPLES", max(block, 20))
            _, ring = kept(story("spill"), room)
        assert ring.oldest is not None
        assert_as_fed(ring, story("spill"), max(ring.oldest, START + second))

    def test_is_reached_on_from_the_one_before_it(self) -> None:
        _, ring = kept(story("spill"))
        first = ring.reach(START + 100)
        assert first is not None
        fed = first.fed
        second = ring.reach(START + 110)
        assert second is first
        assert second.fed - fed < 80

    def test_before_the_oldest_is_the_oldest(self) -> None:
        _, ring = kept(story("spill"))
        place = ring.reach(0.0)
        assert place is not None
        assert place.monitor.state.now == ring.oldest

    def test_there_is_none_before_any_sample(self) -> None:
        assert kept([])[1].reach(START) is None

    def test_knows_what_the_user_did_until_then(self) -> None:
        monitor, ring = kept(story("spill", 340))
        monitor.acknowledge()
        later = story("spill")[len(story("spill", 340)) :]
        for sample in later:
            monitor.feed(sample)
        for time, is_acknowledged in ((START + 335, False), (START + 345, True)):
            place = ring.reach(time)
            assert place is not None
            assert [alert.acknowledged for alert in place.monitor.alerts.active] == [is_acknowledged]

    def test_leaves_the_live_monitor_and_those_who_listen_to_it_alone(self) -> None:
        monitor, ring = kept(story("spill"))
        heard: list[AnySample] = []
        monitor.listen(heard.append)
        before = build_snapshot(monitor.pictures)
        ring.reach(START + 320)
        assert heard == []
        assert build_snapshot(monitor.pictures) == before


class TestRoom:
    @pytest.mark.parametrize("name", NAMES)
    def test_no_instant_takes_more_samples_than_a_block_has(self, name: str) -> None:
        _, ring = kept(story(name))
        for second in range(0, SECONDS, 23):
            ring.leave()
            place = ring.reach(START + second)
            assert place is not None
            assert place.fed <= ringing.BLOCK_SAMPLES

    def test_of_a_large_machine_a_block_is_bounded_by_what_it_takes_to_feed(self) -> None:
        _, ring = kept(story("fleet"))
        block_bytes = [block.line_bytes for block in ring._blocks]
        longest_line = max(len(encode_line(sample)) for sample in story("fleet"))
        assert sum(block_bytes) > 4 * ringing.BLOCK_BYTES
        assert max(block_bytes) < ringing.BLOCK_BYTES + longest_line

    def test_an_hour_of_a_workstation_takes_less_than_8_mib(self) -> None:
        _, ring = kept(story("spill"))
        assert ring.size * 3600 / SECONDS < 8 * 1024**2

    def test_what_is_older_than_an_hour_goes_block_by_block(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(ringing, "BLOCK_SAMPLES", 60)
        _, ring = kept([system_at(second) for second in range(0, 9000, 10)])
        assert ring.oldest is not None
        assert 3600 <= START + 8990 - ring.oldest < 3600 + 2 * 610
        assert ring.edge == "age"

    def test_what_was_said_once_outlives_the_block_it_was_said_in(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(ringing, "BLOCK_SAMPLES", 100)
        monkeypatch.setattr(ringing, "KEPT_SECONDS", 60.0)
        _, ring = kept(story("spill"))
        assert ring.oldest is not None
        assert ring.oldest > START + 300, "the facts of the model were told in the first seconds"
        assert_as_fed(ring, story("spill"), ring.oldest)

    def test_where_there_is_little_room_states_are_given_up_before_samples(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(ringing, "BLOCK_SAMPLES", 100)
        _, roomy = kept(story("spill"))
        _, ring = kept(story("spill"), roomy.size // 2)
        assert ring.edge == "began"
        assert ring.longest > 100
        assert_as_fed(ring, story("spill"), START + 200)

    def test_where_states_are_given_up_no_sample_is_lost(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(ringing, "BLOCK_SAMPLES", 100)
        _, roomy = kept(story("spill"))
        _, ring = kept(story("spill"), roomy.size // 2)
        merged = max(ring._blocks, key=lambda block: block.count)
        times = [sample.time for sample in merged.samples()]
        first = next(at for at, sample in enumerate(story("spill")) if sample.time == times[0])
        later = [sample.time for sample in story("spill")[first : first + 2 * len(times)]]
        assert any(later[at : at + len(times)] == times for at in range(20))

    def test_where_there_is_no_room_the_oldest_go_and_the_bound_holds(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(ringing, "BLOCK_SAMPLES", 100)
        monkeypatch.setattr(ringing, "MERGED_SAMPLES", 200)
        limit = 80_000
        monitor = Monitor(Limits())
        ring = Ring(monitor, limit)
        monitor.listen(ring.take)
        sizes = []
        for sample in story("spill"):
            monitor.feed(sample)
            sizes.append(ring.size)
        assert ring.edge == "size"
        assert max(sizes) < limit + 600_000, "but for the newest state, which is not packed yet"
        assert_as_fed(ring, story("spill"), START + SECONDS - 5)

    def test_a_monitor_that_is_reset_begins_anew(self) -> None:
        monitor, ring = kept([system_at(0), system_at(1)])
        monitor.reset()
        monitor.feed(system_at(100))
        assert ring.oldest == START + 100
