"""Clocks that step, machines that sleep, servers whose clock is off: what is seen of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fakes.samples import OLLAMA, START

from gpumon.app.alerts.limits import Limits
from gpumon.app.insight.activity import seconds_left
from gpumon.app.monitor import Monitor
from gpumon.app.snapshot.build import build_snapshot
from gpumon.collectors import source
from gpumon.collectors.samples import ModelClaim, ServerSample, SourceHealth, SourceSilent
from gpumon.collectors.source import SystemClock

NIGHT_SECONDS = 8 * 3600.0
GIB = 1024**3


class Clocks:
    """The system's clocks, moved by hand: both go on, one can be set."""

    CLOCK_BOOTTIME = 7

    def __init__(self) -> None:
        self.wall = START
        self.since_boot = 1000.0

    def time(self) -> float:
        return self.wall

    def monotonic(self) -> float:
        raise AssertionError("it stands still while the machine sleeps")

    def clock_gettime(self, number: int) -> float:
        assert number == self.CLOCK_BOOTTIME
        return self.since_boot

    def pass_by(self, seconds: float) -> None:
        self.wall += seconds
        self.since_boot += seconds


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> Clocks:
    clocks = Clocks()
    monkeypatch.setattr(source, "time", clocks)
    return clocks


def listed(at: float, *, spilled: bool = False, offset: float | None = None) -> ServerSample:
    claim = ModelClaim(
        name="a:8b",
        digest="d",
        size_bytes=8 * GIB,
        size_vram_bytes=(4 if spilled else 8) * GIB,
        expires_at=at + 300 + (offset or 0),
    )
    health = SourceHealth(state="serving")
    return ServerSample(
        kind="ollama", time=at, source=OLLAMA, health=health, models=(claim,), clock_offset_seconds=offset
    )


@pytest.mark.parametrize("step", [-86_400.0, -1.0, 1.0, 86_400.0])
def test_a_step_of_the_wall_clock_moves_no_sample(clocks: Clocks, step: float) -> None:
    now = SystemClock()
    before = now.now()
    clocks.wall += step
    clocks.pass_by(1.0)
    assert now.now() == pytest.approx(before + 1.0)


def test_the_time_that_a_machine_sleeps_counts(clocks: Clocks) -> None:
    now = SystemClock()
    before = now.now()
    clocks.pass_by(NIGHT_SECONDS)
    assert now.now() == pytest.approx(before + NIGHT_SECONDS)


def test_after_a_night_of_sleep_values_are_old_until_the_next_answer() -> None:
    monitor = Monitor(Limits())
    monitor.feed(listed(START))
    monitor.feed(SourceSilent(time=START + NIGHT_SECONDS, source=OLLAMA, seconds=2.0))
    (source,) = build_snapshot(monitor.pictures).sources
    assert (source.state, source.age_seconds) == ("hanging", NIGHT_SECONDS)
    monitor.feed(listed(START + NIGHT_SECONDS + 1))
    (source,) = build_snapshot(monitor.pictures).sources
    assert (source.state, source.age_seconds) == ("serving", 0.0)


def test_a_night_of_sleep_raises_no_alert_by_itself() -> None:
    monitor = Monitor(Limits())
    for at in (START, START + 1, START + NIGHT_SECONDS, START + NIGHT_SECONDS + 1):
        monitor.feed(listed(at))
    assert list(monitor.alerts.active) == []


@given(st.lists(st.floats(-100_000, 100_000), max_size=12), st.booleans())
def test_samples_that_go_back_in_time_are_survived(steps: list[float], spilled: bool) -> None:
    monitor = Monitor(Limits())
    at = START
    for step in steps:
        at += step
        monitor.feed(listed(at, spilled=spilled))
        build_snapshot(monitor.pictures)
    assert len(monitor.state.models) == bool(steps)


@pytest.mark.parametrize("offset", [-90_000.0, -30.0, 30.0, 90_000.0])
def test_an_expiry_by_a_servers_clock_that_is_off_is_put_right(offset: float) -> None:
    monitor = Monitor(Limits())
    monitor.feed(listed(START, offset=offset))
    (model,) = monitor.state.models.values()
    assert seconds_left(model, monitor.state) == pytest.approx(300.0, abs=1.0)
