from __future__ import annotations

from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.fakes.samples import OLLAMA, START, claim, gpu, nvml, ollama, ollama_down, shown, silent, system

from gpumon.app.monitor import Store
from gpumon.app.state.records import ModelKey
from gpumon.app.state.servers import FACTS_KEPT
from gpumon.app.state.state import DEPARTED_KEPT, State
from gpumon.collectors.samples import AnySample, GpuFacts, GpuSlow, InstalledModels, ModelClaim, SourceState

KEY = ModelKey(OLLAMA, "sha-llama3:70b")


def state_of(*samples: AnySample) -> State:
    store = Store()
    for sample in samples:
        store.apply(sample)
    return store.state


def written(value: object) -> object:
    """Write a state as plain values that can be compared, its series bucket by bucket."""
    if isinstance(value, dict):
        return {repr(key): written(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, deque)):
        return [written(item) for item in value]
    names = getattr(type(value), "__slots__", None) or getattr(value, "__dict__", None)
    if names and type(value).__module__.startswith("gpumon.app"):
        return {name: written(getattr(value, name)) for name in names}
    return repr(value)


class TestTime:
    def test_now_is_the_time_of_the_newest_sample(self) -> None:
        assert state_of(system(5), ollama(7)).now == START + 7

    def test_a_late_sample_does_not_turn_time_back(self) -> None:
        state = state_of(system(5), ollama(3, [claim()]))
        assert (state.now, state.models[KEY].seen) == (START + 5, START + 5)


class TestSources:
    def test_a_state_that_stays_keeps_its_beginning(self) -> None:
        source = state_of(ollama(0), ollama(1), ollama_down(2, "failing"), ollama_down(3, "failing")).sources
        assert (source[OLLAMA].since, source[OLLAMA].answered) == (START + 2, START + 1)

    def test_other_words_for_a_state_that_stays_do_not_begin_it_anew(self) -> None:
        source = state_of(
            ollama_down(2, "failing", "HTTP 500"), ollama_down(3, "failing", "HTTP 502")
        ).sources
        assert (source[OLLAMA].since, source[OLLAMA].health.detail) == (START + 2, "HTTP 502")

    def test_a_source_that_has_never_answered_has_no_age(self) -> None:
        state = state_of(ollama_down(0, "not_running"), system(100))
        assert state.sources[OLLAMA].age(state.now) is None

    def test_values_of_a_failing_source_have_an_age(self) -> None:
        state = state_of(ollama(0), ollama_down(4, "failing"))
        assert state.sources[OLLAMA].age(state.now) == 4.0

    def test_values_of_a_healthy_source_are_current_for_a_while(self) -> None:
        assert state_of(ollama(0)).sources[OLLAMA].age(START + 10) is None
        assert state_of(ollama(0)).sources[OLLAMA].age(START + 11) == 11.0

    def test_a_silent_source_is_not_healthy_until_it_answers(self) -> None:
        state = state_of(ollama(0), silent(5, seconds=2))
        assert not state.sources[OLLAMA].healthy
        assert state.sources[OLLAMA].silent_since == START + 3
        state = state_of(ollama(0), silent(5, seconds=2), ollama(6))
        assert state.sources[OLLAMA].healthy
        assert state.sources[OLLAMA].silent_since is None

    def test_a_source_that_is_silent_from_the_start_is_hanging_since_it_was_asked(self) -> None:
        source = state_of(silent(5, seconds=2)).sources[OLLAMA]
        assert (source.health.state, source.since, source.answered) == ("hanging", START + 3, None)

    @pytest.mark.parametrize(("said", "kept"), [(1.5, 0.0), (-2.0, 0.0), (90.0, 90.0), (-90.0, -90.0)])
    def test_a_clock_offset_within_the_resolution_of_the_date_header_says_nothing(
        self, said: float, kept: float
    ) -> None:
        state = state_of(replace(ollama(0), clock_offset_seconds=said), ollama(1))
        assert state.sources[OLLAMA].clock_offset_seconds == kept

    def test_a_version_once_told_is_kept(self) -> None:
        told = replace(ollama(0), version="0.33.0")
        assert state_of(told, ollama_down(1, "failing")).sources[OLLAMA].version == "0.33.0"

    def test_a_server_of_another_kind_has_not_the_version_of_the_one_before(self) -> None:
        state = state_of(replace(ollama(0), version="0.33.0"), replace(ollama(1), kind="llama_server"))
        assert (state.sources[OLLAMA].runtime, state.sources[OLLAMA].version) == ("llama_server", None)
        assert OLLAMA in state.touched.sources


class TestGpus:
    def test_a_gpu_is_known_by_its_uuid_whatever_its_index(self) -> None:
        state = state_of(nvml(0, gpu(0)), nvml(1, replace(gpu(0), index=3)))
        assert [record.reading.index for record in state.gpus.values()] == [3]

    def test_facts_and_slow_fields_stay_until_they_are_read_again(self) -> None:
        facts, slow = GpuFacts(slowdown_celsius=90), GpuSlow(pcie_width=16)
        record = state_of(nvml(0, gpu(facts=facts, slow=slow)), nvml(1, gpu())).gpus["GPU-0"]
        assert (record.facts, record.slow) == (facts, slow)
        assert state_of(nvml(0, gpu(slow=slow)), nvml(1, gpu(slow=GpuSlow()))).gpus["GPU-0"].slow == GpuSlow()

    def test_a_gpu_is_lost_since_it_was_first_said_to_be(self) -> None:
        lost = [nvml(at, gpu(state="lost")) for at in (1, 2, 3)]
        assert state_of(nvml(0, gpu()), *lost).gpus["GPU-0"].lost_since == START + 1
        assert state_of(nvml(0, gpu()), *lost, nvml(4, gpu())).gpus["GPU-0"].lost_since is None

    def test_a_gpu_that_a_working_driver_no_longer_lists_is_gone(self) -> None:
        assert [*state_of(nvml(0, gpu(0), gpu(1)), nvml(1, gpu(1))).gpus] == ["GPU-1"]

    @pytest.mark.parametrize("driver", ["failing", "hanging", "absent", "asleep"])
    def test_a_driver_that_lists_nothing_because_it_cannot_keeps_its_gpus(self, driver: SourceState) -> None:
        assert [*state_of(nvml(0, gpu()), nvml(1, state=driver)).gpus] == ["GPU-0"]

    def test_a_gpu_that_was_known_stays_known(self) -> None:
        assert state_of(nvml(0, gpu()), nvml(1)).gpu_known
        assert state_of(ollama(0, [claim(gpu_gib=1)]), ollama(1)).gpu_known
        assert not state_of(ollama(0, [claim(ram_gib=1, gpu_gib=0)]), nvml(0)).gpu_known

    def test_an_unknown_figure_is_a_gap_in_its_series(self) -> None:
        record = state_of(nvml(0, gpu(utilization=50)), nvml(1, gpu(utilization=None))).gpus["GPU-0"]
        assert (record.utilization.last, record.temperature.last) == (None, 50)


class TestModels:
    def test_a_model_is_known_by_its_digest_whatever_its_name(self) -> None:
        state = state_of(ollama(0, [claim("a", digest="d")]), ollama(1, [claim("b", digest="d")]))
        (record,) = state.models.values()
        assert (record.claim.name, record.first_seen, record.seen) == ("b", START, START + 1)

    def test_a_model_of_a_server_whose_kind_is_not_said_stays_the_same_one(self) -> None:
        unsaid = [replace(ollama(at, [claim()]), kind=None) for at in (0, 1)]
        assert state_of(*unsaid).models[KEY].first_seen == START

    def test_a_model_without_digest_is_known_by_its_name(self) -> None:
        assert [*state_of(ollama(0, [claim("a", digest=None)])).models] == [ModelKey(OLLAMA, "a")]

    def test_the_same_model_on_two_servers_is_two_models(self) -> None:
        assert len(state_of(ollama(0, [claim()]), ollama(0, [claim()], source="http://b")).models) == 2

    def test_an_unloaded_model_moves_to_the_departed(self) -> None:
        state = state_of(ollama(0, [claim("a"), claim("b")]), ollama(1, [claim("b")]))
        assert [record.claim.name for record in state.models.values()] == ["b"]
        assert [(record.claim.name, record.gone) for record in state.departed] == [("a", START + 1)]

    def test_a_model_that_is_loaded_again_begins_anew(self) -> None:
        state = state_of(ollama(0, [claim()]), ollama(1), ollama(2, [claim()]))
        assert (state.models[KEY].first_seen, len(state.departed)) == (START + 2, 1)

    def test_one_server_does_not_unload_the_models_of_another(self) -> None:
        state = state_of(ollama(0, [claim()]), ollama(1, [], source="http://b"))
        assert [*state.models] == [KEY]

    @pytest.mark.parametrize(
        "down", ["hanging", "unreachable", "refused", "foreign", "nonsense", "forbidden", "failing"]
    )
    def test_a_server_that_does_not_answer_keeps_its_models(self, down: SourceState) -> None:
        assert [*state_of(ollama(0, [claim()]), ollama_down(1, down), silent(4)).models] == [KEY]

    def test_a_server_that_is_not_there_has_no_models(self) -> None:
        assert state_of(ollama(0, [claim()]), ollama_down(1, "not_running")).models == {}

    def test_a_spill_is_dated_from_its_first_poll(self) -> None:
        spill = [ollama(at, [claim(ram_gib=1)]) for at in (1, 2)]
        assert state_of(ollama(0, [claim()]), *spill).models[KEY].spilled_since == START + 1
        assert state_of(*spill, ollama(3, [claim()])).models[KEY].spilled_since is None

    def test_a_claim_without_size_does_not_begin_a_spill(self) -> None:
        assert state_of(ollama(0, [claim(ram_gib=None)])).models[KEY].spilled_since is None

    def test_a_claim_without_size_does_not_end_a_spill(self) -> None:
        state = state_of(ollama(0, [claim(ram_gib=1)]), ollama(1, [claim(ram_gib=None)]))
        assert state.models[KEY].spilled_since == START

    def test_departed_models_are_bounded(self) -> None:
        state = state_of(*(ollama(at, [claim(f"m{at}")]) for at in range(DEPARTED_KEPT + 10)))
        assert len(state.departed) == DEPARTED_KEPT
        assert state.departed[-1].claim.name == f"m{DEPARTED_KEPT + 8}"


class TestFacts:
    def test_facts_join_their_model_whichever_comes_first(self) -> None:
        facts = shown(0)
        assert state_of(facts, ollama(1, [claim()])).models[KEY].facts == facts
        assert state_of(ollama(0, [claim()]), facts).models[KEY].facts == facts

    def test_facts_are_there_again_when_a_model_returns(self) -> None:
        state = state_of(ollama(0, [claim()]), shown(0), ollama(1), ollama(2, [claim()]))
        assert state.models[KEY].facts == shown(0)

    def test_facts_of_another_server_do_not_join(self) -> None:
        assert state_of(shown(0, source="http://b"), ollama(1, [claim()])).models[KEY].facts is None

    def test_kept_facts_are_bounded(self) -> None:
        assert len(state_of(*(shown(0, f"m{i}") for i in range(FACTS_KEPT + 10))).facts) == FACTS_KEPT

    def test_installed_models_are_kept_by_server(self) -> None:
        installed = InstalledModels(time=START, source=OLLAMA)
        assert state_of(installed).installed == {OLLAMA: installed}


names = st.sampled_from(["a", "b", "c"])
claims = st.lists(st.builds(claim, names, ram_gib=st.sampled_from([None, 0.0, 1.0])), max_size=3)
samples: st.SearchStrategy[AnySample] = st.one_of(
    st.builds(lambda models: ollama(0, models), claims),
    st.sampled_from(["hanging", "not_running", "failing"]).map(lambda down: ollama_down(0, down)),  # type: ignore[arg-type]
    st.builds(lambda name, layers: shown(0, name, layers=layers), names, st.integers(1, 3)),
    st.builds(lambda ok: nvml(0, gpu(state="ok" if ok else "lost")), st.booleans()),
    st.just(system(0)),
    st.just(silent(0)),
)
streams = st.lists(st.tuples(samples, st.floats(0, 20)), max_size=40).map(
    lambda stream: [
        replace(sample, time=START + sum(gap for _, gap in stream[: place + 1]))
        for place, (sample, _) in enumerate(stream)
    ]
)


@given(streams)
def test_the_same_samples_give_the_same_state(stream: list[AnySample]) -> None:
    assert written(state_of(*stream)) == written(state_of(*stream))


@given(streams)
def test_every_model_is_loaded_or_departed(stream: list[AnySample]) -> None:
    state = state_of(*stream)
    assert all(record.gone is None and key == record.key for key, record in state.models.items())
    assert all(record.gone is not None for record in state.departed)
    assert all(record.seen <= state.now for record in state.models.values())


@given(streams)
def test_every_loaded_model_carries_the_facts_that_are_known_of_it(stream: list[AnySample]) -> None:
    state = state_of(*stream)
    assert all(record.facts == state.facts.get(key) for key, record in state.models.items())


@given(claims, st.permutations(["a", "b", "c"]), st.integers(0, 3))
def test_the_order_of_facts_and_claims_at_one_instant_does_not_matter(
    models: list[ModelClaim], order: list[str], place: int
) -> None:
    facts: list[AnySample] = [shown(0, name) for name in order]
    early = state_of(*facts, ollama(0, models))
    mixed = state_of(*facts[:place], ollama(0, models), *facts[place:])
    assert written(early.models) == written(mixed.models)
