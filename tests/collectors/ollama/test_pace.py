"""How often a server is asked: the budget of lines in its log."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.collectors.ollama.support import FakeClock, MakeSource, free_port
from tests.fakes.http import Answer
from tests.fakes.ollama.server import FakeOllama

from gpumon.collectors.samples import ModelClaim
from gpumon.collectors.servers.ollama.pace import Pace
from gpumon.collectors.servers.ollama.server import OllamaSource
from gpumon.collectors.servers.talk import KnownRunners

LOADED = (ModelClaim(name="llama3:8b", digest="d" * 64),)
NEVER = 1e12
ONE = KnownRunners(frozenset({(7, 1.0)}))
TWO = KnownRunners(frozenset({(7, 1.0), (8, 2.0)}))


async def minutes(
    source: OllamaSource, clock: FakeClock, count: float, each_poll: Callable[[], None] = lambda: None
) -> int:
    """Poll at the source's own pace for some minutes of the fake clock; return the number of polls."""
    end, polls = clock.seconds + count * 60, 0
    while clock.seconds < end:
        each_poll()
        await source.poll()
        await source._errands.settle()
        polls += 1
        clock.seconds += source.delay(1.0)
    return polls


async def test_a_busy_server_is_asked_sixty_times_a_minute(
    fake: FakeOllama, make_source: MakeSource, clock: FakeClock
) -> None:
    fake.catalog.load("llama3:8b")
    source = make_source(fake.url)
    await minutes(source, clock, 1)
    fake.requests.clear()
    await minutes(source, clock, 5)
    assert fake.counts()["/api/ps"] == 300
    assert sum(fake.counts().values()) <= 300 + 5 + 1, "five versions and one list of what is installed"


async def test_a_server_whose_runners_are_seen_is_asked_twenty_times_a_minute(
    fake: FakeOllama, make_source: MakeSource, clock: FakeClock
) -> None:
    fake.catalog.load("llama3:8b", forever=True)
    source = make_source(fake.url, runners=lambda: ONE)
    await minutes(source, clock, 1)
    fake.requests.clear()
    await minutes(source, clock, 5)
    assert fake.counts()["/api/ps"] <= 101


async def test_a_meter_is_asked_at_every_interval(
    fake: FakeOllama, make_source: MakeSource, clock: FakeClock
) -> None:
    fake.misbehave("/api/ps", Answer(200, b'{"models":[{"name":"a"}]}', headers={"Via": "1.1 gpumon"}))
    source = make_source(fake.url, runners=lambda: ONE)
    await minutes(source, clock, 1)
    assert source.delay(1.0) == 1.0


async def test_an_idle_server_is_asked_twelve_times_a_minute(
    fake: FakeOllama, make_source: MakeSource, clock: FakeClock
) -> None:
    source = make_source(fake.url)
    await minutes(source, clock, 1)
    fake.requests.clear()
    await minutes(source, clock, 5)
    assert 58 <= fake.counts()["/api/ps"] <= 62
    assert sum(fake.counts().values()) <= 62 + 5 + 2


async def test_a_load_is_noticed_within_five_seconds(
    fake: FakeOllama, make_source: MakeSource, clock: FakeClock
) -> None:
    source = make_source(fake.url)
    await minutes(source, clock, 1)
    assert source.delay(1.0) == 5.0


async def test_a_stopped_server_is_not_asked_more_often_than_a_busy_one(
    make_source: MakeSource, clock: FakeClock
) -> None:
    source = make_source(f"127.0.0.1:{free_port()}")
    assert await minutes(source, clock, 1) <= 15


def delays(pace: Pace, failures: int, interval: float = 1.0) -> list[float]:
    result = []
    for _ in range(failures):
        pace.failed()
        result.append(pace.delay(interval, 0.0))
    return result


def test_failures_on_this_machine_double_up_to_five_seconds() -> None:
    assert delays(Pace(is_loopback=True), 6) == [1.0, 2.0, 4.0, 5.0, 5.0, 5.0]


def test_failures_elsewhere_double_up_to_ten_seconds() -> None:
    assert delays(Pace(is_loopback=False), 6) == [1.0, 2.0, 4.0, 8.0, 10.0, 10.0]


def test_a_thousand_failures_are_no_overflow() -> None:
    assert delays(Pace(is_loopback=False), 2000)[-1] == 10.0


def test_a_started_server_is_noticed_within_five_seconds_at_any_interval() -> None:
    assert max(delays(Pace(is_loopback=True), 10, interval=60.0)) == 5.0


def test_a_success_ends_the_doubling() -> None:
    pace = Pace(is_loopback=True)
    delays(pace, 6)
    pace.listed(LOADED, 0.0)
    assert pace.delay(1.0, 0.0) == 1.0


@pytest.mark.parametrize(("interval", "idle"), [(0.25, 5.0), (1.0, 5.0), (2.0, 10.0)])
def test_an_idle_server_is_asked_a_fifth_as_often(interval: float, idle: float) -> None:
    pace = Pace(is_loopback=True)
    pace.listed((), 0.0)
    assert pace.delay(interval, 1000.0) == idle


def test_a_loaded_model_keeps_the_users_interval() -> None:
    pace = Pace(is_loopback=True)
    pace.listed(LOADED, 0.0)
    assert pace.delay(0.5, 1000.0) == 0.5


@pytest.mark.parametrize(("seconds_later", "delay"), [(0.0, 1.0), (29.0, 1.0), (30.0, 5.0)])
def test_it_stays_quick_for_half_a_minute_after_an_unload(seconds_later: float, delay: float) -> None:
    pace = Pace(is_loopback=True)
    pace.listed(LOADED, 0.0)
    pace.listed((), 100.0)
    pace.listed((), 100.0 + seconds_later)
    assert pace.delay(1.0, 100.0 + seconds_later) == delay


def test_asking_twice_for_the_delay_gives_the_same_answer() -> None:
    pace = Pace(is_loopback=True)
    pace.failed()
    assert pace.delay(1.0, 0.0) == pace.delay(1.0, 0.0)


def claims(*expiries: float | None) -> tuple[ModelClaim, ...]:
    return tuple(
        ModelClaim(name=f"model{number}", expires_at=expiry) for number, expiry in enumerate(expiries)
    )


def steady(
    models: tuple[ModelClaim, ...] = claims(NEVER), runners: KnownRunners | None = ONE, seconds: float = 10.0
) -> Pace:
    """A pace that has seen the same list and the same runners for some time, until 1000."""
    pace = Pace(is_loopback=True)
    pace.listed(models, 1000.0 - seconds, runners)
    pace.listed(models, 1000.0, runners)
    return pace


@pytest.mark.parametrize(
    ("interval", "slow"), [(0.25, 3.0), (1.0, 3.0), (2.0, 6.0), (5.0, 8.0), (30.0, 30.0)]
)
def test_while_nothing_changes_loaded_models_are_asked_for_a_third_as_often(
    interval: float, slow: float
) -> None:
    assert steady().delay(interval, 1000.0, ONE) == slow


def test_it_takes_ten_seconds_to_trust_that_nothing_changes() -> None:
    assert steady(seconds=9.9).delay(1.0, 1000.0, ONE) == 1.0


def test_runners_that_cannot_be_seen_leave_the_users_interval() -> None:
    assert steady(runners=None).delay(1.0, 1000.0, None) == 1.0


def test_more_models_than_runners_leave_the_users_interval() -> None:
    assert steady(claims(NEVER, NEVER)).delay(1.0, 1000.0, ONE) == 1.0
    assert steady(claims(NEVER, NEVER), TWO).delay(1.0, 1000.0, TWO) == 3.0


@pytest.mark.parametrize(
    "now_seen", [TWO, KnownRunners(frozenset({(7, 9.0)})), KnownRunners(frozenset()), None]
)
def test_other_runners_are_a_reason_to_ask_at_once(now_seen: KnownRunners | None) -> None:
    assert steady().delay(1.0, 1000.0, now_seen) == 0.0


def test_a_first_runner_is_a_reason_to_ask_an_idle_server_at_once() -> None:
    pace = steady((), KnownRunners(frozenset()))
    assert pace.delay(1.0, 1000.0, KnownRunners(frozenset())) == 5.0
    assert pace.delay(1.0, 1000.0, ONE) == 0.0


def test_once_asked_other_runners_keep_the_users_interval_for_ten_seconds() -> None:
    pace = steady()
    pace.listed(claims(NEVER), 1001.0, TWO)
    assert [pace.delay(1.0, now, TWO) for now in (1001.0, 1010.9, 1011.0)] == [1.0, 1.0, 3.0]


def test_a_runner_that_loads_keeps_the_users_interval() -> None:
    loading = KnownRunners(ONE.identities, loading=True)
    assert steady(runners=loading).delay(1.0, 1000.0, loading) == 1.0
    assert steady((), loading).delay(1.0, 1000.0, loading) == 1.0


@pytest.mark.parametrize("expiry", [None, 900.0, 1000.0, 1003.0])
def test_an_expiry_that_is_near_past_or_unknown_keeps_the_users_interval(expiry: float | None) -> None:
    assert steady(claims(NEVER, expiry), TWO).delay(1.0, 1000.0, TWO) == 1.0


def test_a_changed_list_keeps_the_users_interval() -> None:
    pace = steady(claims(NEVER, NEVER), TWO)
    pace.listed(claims(NEVER), 1001.0, TWO)
    assert pace.delay(1.0, 1001.0, TWO) == 1.0


def test_a_failure_counts_more_than_what_is_known_of_runners() -> None:
    pace = steady()
    pace.failed()
    assert (pace.delay(1.0, 1000.0, ONE), pace.delay(1.0, 1000.0, TWO)) == (1.0, 1.0)
