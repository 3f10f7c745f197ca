"""How full a cache of all contexts is, by the counters of several looks."""

from __future__ import annotations

import pytest

from gpumon.app.state.rates.pool import HOLD_SECONDS, PREEMPTING_SECONDS, PoolFigures, PoolTrack
from gpumon.collectors.samples import CachePool, WorkCounters, WorkSample


class Looks:
    """A track that is fed once a second."""

    def __init__(self) -> None:
        self.track, self.now = PoolTrack(), 0.0

    def see(self, used: float | None = 0.5, preempted: float | None = 0.0, **counts: float) -> PoolFigures:
        counters = WorkCounters(grows_live=True, preemptions_total=preempted, **counts)  # type: ignore[arg-type]
        pool = CachePool(used_fraction=used, capacity_tokens=1000)
        sample = WorkSample(state="ready", time=self.now, source="runner 1", counters=counters, pool=pool)
        self.track.feed(sample)
        found = self.track.figures(self.now)
        self.now += 1.0
        assert found is not None
        return found


def test_what_has_grown_in_the_last_minute_is_told_beside_the_whole() -> None:
    looks = Looks()
    looks.see(preempted=7.0)
    assert looks.see(preempted=10.0).preempted_lately == 3
    for _ in range(70):
        found = looks.see(preempted=10.0)
    assert (found.preempted_lately, found.preemptions_total) == (0, 10)


def test_counters_of_a_server_that_has_started_anew_say_nothing_of_the_one_before() -> None:
    looks = Looks()
    looks.see(preempted=50.0)
    looks.see(preempted=0.0)
    assert looks.see(preempted=1.0).preempted_lately == 1


@pytest.mark.parametrize("used", [0.5, None])
def test_preemptions_alone_are_no_full_cache(used: float | None) -> None:
    looks = Looks()
    assert all(looks.see(used, preempted=float(count)).full_since is None for count in range(20))


def test_one_preemption_is_chance_and_two_are_none() -> None:
    looks = Looks()
    looks.see(0.99, preempted=0.0)
    assert looks.see(0.99, preempted=1.0).full_since is None
    assert looks.see(0.99, preempted=1.0).full_since is None
    assert looks.see(0.99, preempted=2.0).full_since == 3.0


def test_a_request_that_is_preempted_makes_room_and_the_cache_was_full_all_the_same() -> None:
    looks = Looks()
    looks.see(0.97, preempted=0.0)
    looks.see(0.80, preempted=1.0)
    assert looks.see(0.85, preempted=2.0).full_since is not None


def test_it_is_over_when_none_has_been_preempted_for_a_while() -> None:
    looks = Looks()
    for count in range(5):
        found = looks.see(0.99, preempted=float(count))
    since = found.full_since
    for _ in range(round(PREEMPTING_SECONDS)):
        found = looks.see(0.99, preempted=4.0)
    assert found.full_since == since, "though it has rested for a moment"
    assert looks.see(0.99, preempted=4.0).full_since is None


def test_what_is_found_of_prompts_is_told_for_now_and_since_the_start() -> None:
    looks = Looks()
    looks.see(prefix_tokens_total=1000.0, prefix_tokens_found_total=900.0)
    found = looks.see(prefix_tokens_total=2000.0, prefix_tokens_found_total=900.0)
    assert (found.found_lately, found.found_fraction) == (0.0, 0.45)


def test_without_a_prompt_there_is_no_share() -> None:
    looks = Looks()
    looks.see(prefix_tokens_total=0.0, prefix_tokens_found_total=0.0)
    found = looks.see(prefix_tokens_total=0.0, prefix_tokens_found_total=0.0)
    assert (found.found_lately, found.found_fraction) == (None, None)


def test_bytes_that_are_read_make_a_rate() -> None:
    looks = Looks()
    assert looks.see(read_bytes_total=0.0).read_bytes_per_second is None
    assert looks.see(read_bytes_total=5e11).read_bytes_per_second == 5e11


def test_figures_that_nobody_renews_do_not_stand() -> None:
    looks = Looks()
    looks.see()
    assert looks.track.figures(HOLD_SECONDS) is not None
    assert looks.track.figures(HOLD_SECONDS + 1.0) is None


def test_what_says_nothing_of_a_cache_has_none() -> None:
    track = PoolTrack()
    track.feed(WorkSample(state="ready", time=0.0, source="x", counters=WorkCounters(grows_live=True)))
    assert track.figures(0.0) is None


class Prompts:
    """A track that sees so many prompt tokens each minute, of which a share is found."""

    def __init__(self) -> None:
        self.looks, self.total, self.found = Looks(), 0.0, 0.0

    def minutes(self, minutes: float, share: float, tokens: float = 20_000.0) -> PoolFigures:
        for _ in range(round(minutes * 60)):
            self.total += tokens / 60
            self.found += tokens / 60 * share
            figures = self.looks.see(prefix_tokens_total=self.total, prefix_tokens_found_total=self.found)
        return figures


def test_a_share_that_falls_to_less_than_half_is_told_with_what_is_read_again() -> None:
    prompts = Prompts()
    assert prompts.minutes(10, 0.8).fall is None
    fall = prompts.minutes(1.1, 0.1).fall
    assert fall is not None
    assert fall.usual_fraction == pytest.approx(0.8, abs=0.01)
    assert fall.lately_fraction == pytest.approx(0.1)
    assert fall.tokens == pytest.approx(14_000, rel=0.02)


@pytest.mark.parametrize(
    ("usual", "then", "tokens"),
    [(0.8, 0.5, 20_000.0), (0.4, 0.0, 20_000.0), (0.8, 0.1, 7_000.0)],
    ids=["more than half of it", "never much", "few tokens"],
)
def test_what_is_no_fall(usual: float, then: float, tokens: float) -> None:
    prompts = Prompts()
    prompts.minutes(10, usual)
    assert prompts.minutes(1.5, then, tokens).fall is None


def test_two_minutes_tell_nothing_of_what_is_usual() -> None:
    prompts = Prompts()
    prompts.minutes(2, 0.8)
    assert prompts.minutes(1.2, 0.0).fall is None


def test_it_is_over_at_three_quarters_of_what_is_usual_and_not_before() -> None:
    prompts = Prompts()
    prompts.minutes(20, 0.8)
    assert prompts.minutes(1.1, 0.1).fall is not None
    assert prompts.minutes(1.1, 0.5).fall is not None
    assert prompts.minutes(1.1, 0.75).fall is None
