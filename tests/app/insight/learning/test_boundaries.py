"""What is learned, what it is worth and which of it counts: just below, at, and just above each limit."""

from __future__ import annotations

import pytest
from tests.app.insight.learning.test_baselines import KEY, baseline, record
from tests.app.insight.learning.test_predictions import desk_of, settled
from tests.fakes.process_samples import facts, holding, processes, runner
from tests.fakes.samples import START, claim, gpu, nvml, ollama
from tests.scene import Gpu, Machine, Model, after, loaded

from gpumon.app.insight.learning.baselines import counted, gpus_in_use, nearest, usual_rate
from gpumon.collectors.samples import Learned


def said(model: Model, *baselines: object) -> Model:
    """Have earlier runs say what they have learned."""
    model.machine.say(Learned(time=START, source="learned", baselines=baselines))  # type: ignore[arg-type]
    return model


class TestUsualRate:
    def test_the_one_for_what_it_does_now_goes_before_one_of_more_requests(self) -> None:
        model = said(loaded(), baseline(50.0, requests=90), baseline(30.0, context=4096, requests=5))
        model.request(30.0, prompt=3000)
        found = usual_rate(model.machine.state, model.record)
        assert found is not None
        assert found.decode_tokens_per_second == pytest.approx(30.0)
        assert found.context_tokens_up_to == 4096

    def test_at_rest_the_one_of_the_most_requests_counts(self) -> None:
        known = baseline(50.0, requests=7), baseline(30.0, context=4096, requests=9)
        model = said(loaded(), *known, baseline(20.0, parallel=2, requests=6))
        model.machine.look()
        found = usual_rate(model.machine.state, model.record)
        assert found is not None
        assert found.decode_tokens_per_second == 30.0

    def test_at_rest_that_of_another_split_does_not(self) -> None:
        model = said(loaded(Model(ram_gib=7.5)), baseline(spill=0), baseline(44.0, spill=50))
        model.machine.look()
        found = usual_rate(model.machine.state, model.record)
        assert found is not None
        assert found.decode_tokens_per_second == 44.0

    @pytest.mark.parametrize(("requests", "counts"), [(4, False), (5, True)])
    def test_five_requests_make_a_baseline(self, requests: int, counts: bool) -> None:
        assert (counted(record(baseline(requests=requests)), KEY) is not None) is counts


class TestNearest:
    SPILLED = KEY._replace(spill_percent_up_to=50)

    def test_a_spilled_one_counts_unless_told_otherwise(self) -> None:
        known = record(baseline(spill=40))
        assert nearest(known, self.SPILLED) is not None
        assert nearest(known, self.SPILLED, spilled_too=False) is None
        assert nearest(record(baseline(spill=0)), self.SPILLED, spilled_too=False) is not None

    @pytest.mark.parametrize(("spill", "counts"), [(40, True), (50, True), (60, False), (None, False)])
    def test_it_has_no_more_in_ram(self, spill: int | None, counts: bool) -> None:
        assert (nearest(record(baseline(spill=spill)), self.SPILLED) is not None) is counts

    def test_of_equals_the_one_with_the_least_in_ram_is_taken(self) -> None:
        known = record(baseline(40.0, spill=40), baseline(10.0, spill=10), baseline(20.0, spill=20))
        found = nearest(known, self.SPILLED)
        assert found is not None
        assert found[1].decode_tokens_per_second == 10.0

    def test_work_alike_counts_more_than_gpus_alike(self) -> None:
        known = record(baseline(10.0, gpus=("GPU-1",)), baseline(40.0, parallel=4))
        found = nearest(known, KEY)
        assert found is not None
        assert found[1].decode_tokens_per_second == 10.0


class TestGpusInUse:
    @pytest.mark.parametrize(
        ("held_bytes", "gpus"), [(499_999_000, ("GPU-0",)), (500_000_001, ("GPU-0", "GPU-1"))]
    )
    def test_a_gpu_with_a_context_alone_is_not_in_use(self, held_bytes: int, gpus: tuple[str, ...]) -> None:
        cards = holding(gpu(0), {100: 9.0}), holding(gpu(1), {100: held_bytes / 1024**3})
        state = after(processes(0, runner()), facts(0), ollama(0, [claim()]), nvml(1, *cards)).state
        [model] = state.models.values()
        [process] = state.runners.values()
        assert gpus_in_use(state, model, process) == gpus


class TestCounts:
    def test_each_load_and_each_request_is_counted(self) -> None:
        model = settled(desk_of())
        for _ in range(3):
            model.request(100.0)
        learned = model.machine.state.learned
        [scale] = learned.scales.values()
        [memory] = learned.memory.values()
        assert (scale.observation_count, len(scale.recent)) == (3, 3)
        assert (memory.observation_count, len(memory.recent_bytes)) == (1, 1)
        assert scale.updated > START
        assert (scale.gpu_uuids, scale.is_moe, scale.is_split) == (("GPU-0",), False, False)

    def test_what_ram_was_seen_to_give_is_counted_and_is_the_median(self) -> None:
        model = settled(desk_of(ram_gib=4.0))
        for rate in (12.0, 6.0, 11.0):
            model.request(rate, 16.0)
        [observed] = model.machine.state.learned.ram_observed.values()
        assert observed.observation_count == 3
        assert observed.bytes_per_second == sorted(observed.recent)[1]
        assert observed.is_moe is False

    def test_a_model_that_guesses_ahead_teaches_nothing(self) -> None:
        model = desk_of()
        model.settings = {"draft_path": "/m/draft"}
        settled(model).request(100.0)
        assert model.machine.state.learned.scales == {}

    def test_one_of_which_a_part_is_hidden_is_not_compared(self) -> None:
        model = settled(desk_of(held_gib=9.0, measured_gib=6.0))
        assert model.machine.state.learned.memory == {}

    def test_a_machine_of_two_gpus_learns_of_the_one_in_use(self) -> None:
        model = loaded(machine=Machine(Gpu(), Gpu(utilization=90)))
        model.gpu = 1
        model.request(40.0)
        [key] = model.machine.state.learned.baselines
        assert key.gpu_uuids == ("GPU-1",)
