from __future__ import annotations

import pytest
from tests.fakes.samples import START
from tests.scene import Gpu, Machine, Model, Program

from gpumon.app.insight.activity import Activity, activity, until_words
from gpumon.collectors.samples import ModelState

FOREVER = 292.3 * 365 * 86400


def seen(cpu: float | None = None, left: float | None = 300.0, *, is_running: bool = True) -> Model:
    """Return a model that its server has claimed; what its process uses is told where there is one."""
    model = Model(cpu_percent=cpu, expires_seconds=left, is_running=is_running, is_described=False)
    Machine().ollama().load(model)
    model.machine.look(*(("processes", "servers") if is_running else ("servers",)))
    return model


def doing(model: Model) -> Activity | None:
    return activity(model.record, model.machine.state)


def until(model: Model) -> str | None:
    return until_words(model.record, model.machine.state, doing(model))


def answers(model: Model, state: ModelState = "ready", at: float = 1.0) -> Model:
    """Have its port say this now, and nothing of its slots."""
    model.port = state
    model.machine.look("ports", at=at)
    return model


def works(model: Model, at: float = 1.0, *, processing: bool = True) -> Model:
    """Have its port say that it answers a request, or none."""
    model.works(processing=processing)
    model.machine.look("ports", at=at)
    return model


class TestByTheRunnersOwnWord:
    @pytest.mark.parametrize("left", [300.0, -50.0, FOREVER, None])
    def test_a_slot_at_work_is_busy_whatever_the_expiry(self, left: float | None) -> None:
        assert doing(works(seen(0.0, left))) == "busy"

    def test_slots_without_work_are_idle(self) -> None:
        assert doing(works(seen(0.0), processing=False)) == "idle"

    def test_without_work_and_past_its_expiry_it_is_stopping(self) -> None:
        assert doing(works(seen(0.0, -5), processing=False)) == "stopping"

    def test_a_runner_too_busy_to_tell_its_slots_is_busy(self) -> None:
        assert doing(answers(seen(0.0), "busy")) == "busy"

    def test_a_sleeping_runner_is_idle(self) -> None:
        assert doing(answers(seen(), "asleep")) == "idle"

    @pytest.mark.parametrize("state", ["starting", "loading"])
    def test_a_runner_that_is_not_ready_is_loading(self, state: ModelState) -> None:
        assert doing(answers(seen(90.0), state)) == "loading"

    def test_an_old_word_does_not_count(self) -> None:
        model = works(seen(0.0), at=0)
        model.machine.look("processes", at=30)
        assert doing(model) == "idle"


class TestByExpiry:
    def test_an_expiry_that_slides_with_the_clock_is_a_request_under_way(self) -> None:
        model = seen(is_running=False)
        for at in (1, 2):
            model.expires_seconds = at + 300.0
            model.machine.look("servers", at=at)
        assert doing(model) == "busy"

    def test_a_single_poll_tells_nothing(self) -> None:
        assert doing(seen(is_running=False)) is None

    def test_an_expiry_that_stays_tells_nothing_without_the_process(self) -> None:
        model = seen(is_running=False)
        model.machine.look("servers", at=1)
        assert doing(model) is None

    def test_an_expiry_in_the_past_is_busy_or_stopping(self) -> None:
        model = seen(left=-5, is_running=False)
        model.machine.look("servers", at=1)
        assert doing(model) is None
        assert until(model) == "busy or stopping"


class TestByTheProcess:
    @pytest.mark.parametrize("left", [300.0, -5])
    def test_a_process_that_computes_is_busy(self, left: float) -> None:
        assert doing(seen(103.0, left)) == "busy"

    def test_a_process_that_rests_is_idle_or_stopping(self) -> None:
        assert doing(seen(0.4)) == "idle"
        assert doing(seen(0.4, -5)) == "stopping"

    @pytest.mark.parametrize(
        ("others", "activity"), [([], "busy"), ([Program("blender", 1.0, pid=7)], "stopping")]
    )
    def test_a_gpu_that_works_for_it_alone_is_busy(self, others: list[Program], activity: Activity) -> None:
        model = seen(0.4, -5)
        model.machine.gpus = [Gpu(utilization=95)]
        model.machine.programs = others
        model.machine.look("driver", at=1)
        assert doing(model) == activity

    def test_cpu_use_that_is_not_known_yet_tells_nothing(self) -> None:
        assert doing(seen(None)) is None


class TestStuck:
    @pytest.mark.parametrize(("left", "activity"), [(-60, "stopping"), (-61, "stuck")])
    def test_what_should_have_been_unloaded_a_minute_ago_is_stuck(
        self, left: float, activity: Activity
    ) -> None:
        assert doing(works(seen(0.0, left), at=0, processing=False)) == activity

    def test_a_request_that_outlasted_the_expiry_and_just_ended_is_not_stuck(self) -> None:
        assert doing(works(works(seen(0.0, -600)), at=2, processing=False)) == "stopping"

    @pytest.mark.parametrize(("at", "activity"), [(59, "stopping"), (61, "stuck")])
    def test_the_minute_counts_from_the_end_of_the_work(self, at: float, activity: Activity) -> None:
        model = seen(100.0, -600)
        model.cpu_percent = 0.0
        model.machine.look("processes", "servers", at=at)
        assert doing(model) == activity


class TestGone:
    @staticmethod
    def killed(at: float = 1.0) -> Model:
        """Return a model whose process is gone at the next look, of which the server knows nothing."""
        model = seen(0.0)
        model.dies()
        model.machine.look("processes", at=at)
        return model

    def test_a_model_whose_process_was_killed_is_gone_though_the_server_still_claims_it(self) -> None:
        model = self.killed()
        model.machine.look("servers", at=3)
        assert doing(model) is None, "as at every unload"
        model.machine.look("servers", at=4)
        assert doing(model) == "gone"

    def test_what_the_server_said_before_that_is_no_claim(self) -> None:
        model = self.killed()
        model.machine.look("processes", at=10)
        assert doing(model) is None

    def test_another_process_in_its_place_holds_it(self) -> None:
        model = self.killed()
        model.is_running, model.pid, model.started = True, 101, START + 1
        model.machine.look("processes", at=2).look("servers", at=5)
        assert doing(model) == "idle"


class TestUntil:
    @pytest.mark.parametrize(
        ("left", "words"), [(4.5 * 60, "4 minutes from now"), (FOREVER, "Forever"), (None, None)]
    )
    def test_time_to_come_is_told_as_ollama_ps_does(self, left: float | None, words: str | None) -> None:
        assert until(seen(left=left, is_running=False)) == words

    def test_a_busy_model_is_not_called_stopping(self) -> None:
        assert until(seen(100.0, -5)) == "busy"

    def test_a_model_that_stops_is(self) -> None:
        assert until(seen(0.0, -5)) == "Stopping..."
        assert until(seen(0.0, -100)) == "stuck"
