"""Rates of servers without slots: from counters that grow with each token, or as the server states them."""

from __future__ import annotations

import pytest

from gpumon.app.state.rates.meter import HOLD_SECONDS, RateMeter
from gpumon.collectors.samples import ModelState, WorkCounters, WorkSample


class Counted:
    """A server that says how many tokens it has generated since its start."""

    def __init__(self) -> None:
        self.meter = RateMeter()
        self.time = 1000.0
        self.generated = 500.0
        self.read = 9000.0
        self.running: int | None = 1

    def poll(self, *, generated: float = 0.0, read: float = 0.0, after: float = 1.0) -> None:
        self.time += after
        self.generated += generated
        self.read += read
        self.feed(
            counters=WorkCounters(
                grows_live=True,
                decoded_tokens_total=self.generated,
                prompt_tokens_total=self.read,
                requests_processing=self.running,
                requests_deferred=2,
            )
        )

    def feed(
        self,
        state: ModelState = "ready",
        counters: WorkCounters | None = None,
        stated: float | None = None,
        origin: str | None = "/metrics",
    ) -> None:
        self.meter.feed(
            WorkSample(
                time=self.time,
                source="http://box",
                model="a",
                state=state,
                counters=counters,
                decode_tokens_per_second=stated,
                origin=origin,
            )
        )


@pytest.fixture
def server() -> Counted:
    return Counted()


def test_one_poll_says_no_rate(server: Counted) -> None:
    server.poll()
    assert server.meter.rates.decode_tokens_per_second is None
    assert server.meter.rates.decoded_total == 500


def test_growth_between_two_polls_is_the_rate(server: Counted) -> None:
    server.poll()
    server.poll(generated=30.0, read=400.0)
    rates = server.meter.rates
    assert (rates.decode_tokens_per_second, rates.prefill_tokens_per_second) == (30.0, 400.0)
    assert (rates.running, rates.waiting, rates.decoded_total) == (1, 2, 530)
    assert rates.sources == ("/metrics",)
    assert not rates.decoded_total_is_lower_bound


def test_a_count_that_stands_is_no_rate_and_what_follows_is_measured_anew(server: Counted) -> None:
    server.poll()
    server.poll(generated=30.0)
    server.poll()
    assert server.meter.rates.decode_tokens_per_second is None, "not 15"
    server.poll(generated=40.0)
    assert server.meter.rates.decode_tokens_per_second == 40.0


def test_no_request_at_work_is_no_rate(server: Counted) -> None:
    server.poll()
    server.running = 0
    server.poll(generated=30.0)
    assert (server.meter.rates.decode_tokens_per_second, server.meter.rates.running) == (None, 0)
    assert server.meter.rates.decoded_total == 530, "they count all the same"


def test_where_nobody_says_how_many_are_at_work_growth_is_enough(server: Counted) -> None:
    server.running = None
    server.poll()
    server.poll(generated=30.0)
    assert (server.meter.rates.decode_tokens_per_second, server.meter.rates.running) == (30.0, None)


def test_a_restarted_server_counts_from_zero_and_the_total_does_not_fall(server: Counted) -> None:
    server.poll()
    server.poll(generated=30.0)
    server.generated = 0.0
    server.poll(generated=5.0)
    assert server.meter.rates.decode_tokens_per_second is None
    assert server.meter.rates.decoded_total == 535
    server.poll(generated=20.0)
    assert server.meter.rates.decode_tokens_per_second == 20.0


def test_counters_that_grow_when_a_request_ends_are_no_rate(server: Counted) -> None:
    for total in (100.0, 400.0):
        server.time += 1.0
        server.feed(counters=WorkCounters(decoded_tokens_total=total, requests_processing=1))
    assert server.meter.rates.decode_tokens_per_second is None


def test_a_stated_rate_is_taken_where_there_is_no_count(server: Counted) -> None:
    server.feed(stated=12.5, origin="/stats")
    assert (server.meter.rates.decode_tokens_per_second, server.meter.rates.sources) == (12.5, ("/stats",))
    server.feed(stated=0.0, origin="/stats")
    assert server.meter.rates.decode_tokens_per_second is None, "nothing is generated"


def test_figures_without_an_origin_are_named_by_their_sort(server: Counted) -> None:
    server.feed(stated=12.5, origin=None)
    assert server.meter.rates.sources == ("server",)


@pytest.mark.parametrize(("seconds", "rate"), [(HOLD_SECONDS, None), (HOLD_SECONDS + 0.1, None)])
def test_a_server_that_stops_telling_has_no_rate(server: Counted, seconds: float, rate: float | None) -> None:
    server.poll()
    server.poll(generated=30.0)
    server.time += seconds
    server.feed("asleep")
    assert server.meter.rates.decode_tokens_per_second == rate
