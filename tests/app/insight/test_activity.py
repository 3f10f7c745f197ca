from __future__ import annotations

import pytest
from msgspec.structs import replace
from tests.app.state.states import state_of
from tests.fakes.process_samples import answer, holding, processes, runner
from tests.fakes.samples import START, claim, gpu, nvml, ollama

from gpumon.app.insight.activity import Activity, activity, until_words
from gpumon.collectors.samples import AnySample, ModelState, ServerSample

FOREVER = 292.3 * 365 * 86400


def loaded(at: float, left: float | None = 300.0) -> ServerSample:
    """Return a poll that shows one model with ``left`` seconds to go by then."""
    expires_at = None if left is None else START + at + left
    return ollama(at, [replace(claim(), expires_at=expires_at)])


def doing(*samples: AnySample) -> Activity | None:
    state = state_of(*samples)
    (model,) = state.models.values()
    return activity(model, state)


def until(*samples: AnySample) -> str | None:
    state = state_of(*samples)
    (model,) = state.models.values()
    return until_words(model, state, activity(model, state))


def cpu(at: float, percent: float | None) -> AnySample:
    return processes(at, runner(cpu_percent=percent))


class TestByTheRunnersOwnWord:
    def test_a_slot_at_work_is_busy_whatever_the_expiry(self) -> None:
        for left in (300.0, -50.0, FOREVER, None):
            assert doing(cpu(0, 0.0), loaded(0, left), answer(1, processing=True)) == "busy"

    def test_slots_without_work_are_idle(self) -> None:
        assert doing(cpu(0, 0.0), loaded(0), answer(1, processing=False)) == "idle"

    def test_without_work_and_past_its_expiry_it_is_stopping(self) -> None:
        assert doing(cpu(0, 0.0), loaded(0, -5), answer(1, processing=False)) == "stopping"

    def test_a_runner_too_busy_to_tell_its_slots_is_busy(self) -> None:
        assert doing(cpu(0, 0.0), loaded(0), answer(1, "busy")) == "busy"

    def test_a_sleeping_runner_is_idle(self) -> None:
        assert doing(cpu(0, None), loaded(0), answer(1, "asleep")) == "idle"

    @pytest.mark.parametrize("state", ["starting", "loading"])
    def test_a_runner_that_is_not_ready_is_loading(self, state: ModelState) -> None:
        assert doing(cpu(0, 90.0), loaded(0), answer(1, state)) == "loading"

    def test_an_old_word_does_not_count(self) -> None:
        assert doing(cpu(0, 0.0), loaded(0), answer(0, processing=True), cpu(30, 0.0)) == "idle"


class TestByExpiry:
    def test_an_expiry_that_slides_with_the_clock_is_a_request_under_way(self) -> None:
        assert doing(loaded(0), loaded(1), loaded(2)) == "busy"

    def test_a_single_poll_tells_nothing(self) -> None:
        assert doing(loaded(0)) is None

    def test_an_expiry_that_stays_tells_nothing_without_the_process(self) -> None:
        assert doing(loaded(0, 300), loaded(1, 299)) is None

    def test_an_expiry_in_the_past_is_busy_or_stopping(self) -> None:
        assert doing(loaded(0, -5), loaded(1, -6)) is None
        assert until(loaded(0, -5), loaded(1, -6)) == "busy or stopping"


class TestByTheProcess:
    def test_a_process_that_computes_is_busy(self) -> None:
        assert doing(cpu(0, 103.0), loaded(0)) == "busy"
        assert doing(cpu(0, 103.0), loaded(0, -5)) == "busy"

    def test_a_process_that_rests_is_idle_or_stopping(self) -> None:
        assert doing(cpu(0, 0.4), loaded(0)) == "idle"
        assert doing(cpu(0, 0.4), loaded(0, -5)) == "stopping"

    def test_a_gpu_that_works_for_it_alone_is_busy(self) -> None:
        alone = nvml(1, holding(gpu(utilization=95), {100: 9.0}))
        shared = nvml(1, holding(gpu(utilization=95), {100: 9.0, 7: 1.0}))
        assert doing(cpu(0, 0.4), loaded(0, -5), alone) == "busy"
        assert doing(cpu(0, 0.4), loaded(0, -5), shared) == "stopping"

    def test_cpu_use_that_is_not_known_yet_tells_nothing(self) -> None:
        assert doing(cpu(0, None), loaded(0)) is None


class TestStuck:
    def test_what_should_have_been_unloaded_a_minute_ago_is_stuck(self) -> None:
        assert doing(cpu(0, 0.0), loaded(0, -60), answer(0, processing=False)) == "stopping"
        assert doing(cpu(0, 0.0), loaded(0, -61), answer(0, processing=False)) == "stuck"

    def test_a_request_that_outlasted_the_expiry_and_just_ended_is_not_stuck(self) -> None:
        samples = (cpu(0, 0.0), loaded(0, -600), answer(1, processing=True), answer(2, processing=False))
        assert doing(*samples) == "stopping"

    def test_the_minute_counts_from_the_end_of_the_work(self) -> None:
        worked = (cpu(0, 100.0), loaded(0, -600))
        assert doing(*worked, cpu(59, 0.0), loaded(59, -659)) == "stopping"
        assert doing(*worked, cpu(61, 0.0), loaded(61, -661)) == "stuck"


class TestGone:
    HELD = (cpu(0, 0.0), loaded(0), processes(1))

    def test_a_model_whose_process_was_killed_is_gone_though_the_server_still_claims_it(self) -> None:
        assert doing(*self.HELD, loaded(3, 297)) is None, "as at every unload"
        assert doing(*self.HELD, loaded(4, 296)) == "gone"

    def test_what_the_server_said_before_that_is_no_claim(self) -> None:
        assert doing(*self.HELD, processes(10)) is None

    def test_another_process_in_its_place_holds_it(self) -> None:
        again = processes(2, runner(101, cpu_percent=0.0, started=START + 1))
        assert doing(*self.HELD, again, loaded(5, 295)) == "idle"


class TestUntil:
    def test_time_to_come_is_told_as_ollama_ps_does(self) -> None:
        assert until(loaded(0, 4.5 * 60)) == "4 minutes from now"
        assert until(loaded(0, FOREVER)) == "Forever"
        assert until(loaded(0, None)) is None

    def test_a_busy_model_is_not_called_stopping(self) -> None:
        assert until(cpu(0, 100.0), loaded(0, -5)) == "busy"

    def test_a_model_that_stops_is(self) -> None:
        assert until(cpu(0, 0.0), loaded(0, -5)) == "Stopping..."
        assert until(cpu(0, 0.0), loaded(0, -100)) == "stuck"
