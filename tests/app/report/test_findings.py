"""What a span came to, out of its rows."""

from __future__ import annotations

import pytest
from tests.app.report.rows import MINUTE, gpu_minute, load, model_minute, request, trouble

from gpumon.app.report.findings import gpu_totals, loaded, model_totals, slow_times, slowest, wrongs


class TestModels:
    def test_minutes_of_a_model_are_added_and_the_busiest_comes_first(self) -> None:
        few = model_minute(name="small", decoded_tokens=10)
        totals = model_totals([few, model_minute(0), model_minute(1)])
        assert [(one.name.name, one.decoded_tokens) for one in totals] == [("llama3:8b", 1600), ("small", 10)]
        assert totals[0].busy_seconds == 60

    def test_what_no_minute_tells_stays_unknown(self) -> None:
        (total,) = model_totals([model_minute(decoded_tokens=None)])
        assert total.decoded_tokens is None
        assert total.energy_joules is None

    def test_another_quantisation_is_another_model(self) -> None:
        assert len(model_totals([model_minute(), model_minute(quantization="Q8_0")])) == 2


class TestWhatWasWrong:
    def test_a_spill_costs_the_time_that_it_would_have_taken_less(self) -> None:
        (wrong,) = wrongs([trouble(decode_tokens_per_second=10.0, full_tokens_per_second=40.0)], [])
        assert wrong.lost_seconds == pytest.approx(300 * 0.75)

    def test_without_an_estimate_of_the_full_rate_the_cost_is_unknown(self) -> None:
        (wrong,) = wrongs([trouble(decode_tokens_per_second=10.0)], [])
        assert wrong.lost_seconds is None
        assert wrong.tokens_per_second == 10

    def test_times_are_added_and_the_words_are_the_newest(self) -> None:
        newer = trouble(20, cause="its context is too large", cure="shrink it", command="/set num_ctx 4096")
        (wrong,) = wrongs([newer, trouble(0, cause="another has taken the card")], [])
        assert (wrong.times, wrong.seconds, wrong.busy_seconds) == (2, 1200, 600)
        assert (wrong.cause, wrong.command) == ("its context is too large", "/set num_ctx 4096")

    def test_prompts_that_were_read_again_are_told_by_the_requests(self) -> None:
        again = [request(at, reread_tokens=1000, lost_seconds=2.5) for at in range(3)]
        (wrong,) = wrongs([], [*again, request(5)])
        assert (wrong.trouble, wrong.times, wrong.reread_tokens, wrong.lost_seconds) == (
            "prompt_reread",
            3,
            3000,
            7.5,
        )

    def test_the_dearest_comes_first(self) -> None:
        waits = trouble(trouble="waiting", level="watch")
        spill = trouble(decode_tokens_per_second=10.0, full_tokens_per_second=40.0)
        assert [one.trouble for one in wrongs([waits, spill], [])] == ["spilled", "waiting"]


class TestSlowTimes:
    def test_minutes_far_below_the_learned_rate_are_one_time(self) -> None:
        slow = [
            model_minute(at, decode_tokens_per_second=10.0, usual_tokens_per_second=40.0)
            for at in range(3, 8)
        ]
        (found,) = slow_times([model_minute(0, usual_tokens_per_second=40.0), *slow, model_minute(8)])
        assert (found.start, found.end) == (MINUTE + 180, MINUTE + 480)
        assert (found.tokens_per_second, found.usual_tokens_per_second, found.is_learned) == (10, 40, True)

    def test_where_nothing_was_learned_the_median_of_the_span_is_usual(self) -> None:
        usual = [model_minute(at) for at in range(12)]
        slow = [model_minute(at, decode_tokens_per_second=9.0) for at in range(12, 15)]
        (found,) = slow_times([*usual, *slow])
        assert (found.usual_tokens_per_second, found.is_learned) == (40, False)

    def test_of_few_minutes_nothing_is_usual(self) -> None:
        assert (
            slow_times([model_minute(0), *(model_minute(at, decode_tokens_per_second=9.0) for at in (1, 2))])
            == []
        )

    def test_one_slow_minute_is_none(self) -> None:
        assert slow_times([model_minute(0, decode_tokens_per_second=9.0, usual_tokens_per_second=40.0)]) == []

    def test_a_minute_with_hardly_any_decoding_tells_nothing(self) -> None:
        short = [
            model_minute(at, decode_tokens_per_second=9.0, decoding_seconds=1.0, usual_tokens_per_second=40.0)
            for at in range(5)
        ]
        assert slow_times(short) == []

    def test_what_was_wrong_meanwhile_is_named(self) -> None:
        slow = [
            model_minute(
                at,
                decode_tokens_per_second=10.0,
                usual_tokens_per_second=40.0,
                level="bad",
                trouble="throttled",
            )
            for at in range(3)
        ]
        assert [one.trouble for one in slow_times(slow)] == ["throttled"]


class TestLoads:
    def test_they_are_counted_with_why_and_who_left(self) -> None:
        rows = [
            load(0, evicted='["other:7b"]', reload_cause="settings"),
            load(1, evicted='["other:7b"]', seconds=20.0),
            load(2, outcome="failed", reason="out of memory"),
        ]
        (found,) = loaded(rows)
        assert (found.number, found.failed, found.seconds, found.longest_seconds) == (3, 1, 36, 20)
        assert found.causes == (("settings", 1),)
        assert found.made_room == (("other:7b", 2),)
        assert found.reason == "out of memory"


class TestGpus:
    def test_heat_energy_and_what_slowed_it_down(self) -> None:
        rows = [
            gpu_minute(0, temperature_celsius_peak=70.0, energy_joules=1000.0),
            gpu_minute(1, temperature_celsius_peak=85.0, throttled_seconds=40.0, throttle_reasons="heat"),
        ]
        (found,) = gpu_totals(rows)
        assert (found.temperature_celsius_peak, found.energy_joules) == (85, 1000)
        assert (found.throttled_seconds, found.throttle_reasons) == (40, ("heat",))


def test_the_slowest_requests_are_ten() -> None:
    found = slowest(request(at, seconds=float(at)) for at in range(30))
    assert [one.seconds for one in found] == [*range(29, 19, -1)]
