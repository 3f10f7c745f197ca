"""How an unloading ends, from the samples that follow it."""

from __future__ import annotations

from tests.fakes.process_samples import answer, holding, processes, runner
from tests.fakes.samples import GIB, claim, gpu, nvml, ollama, ollama_down

from gpumon.app.insight.unloading import (
    PATIENCE_SECONDS,
    Unloading,
    UnloadKind,
    UnloadOutcome,
    unload_outcome,
    unloading_of,
)
from gpumon.app.monitor import Store
from gpumon.collectors.samples import AnySample

LATE = PATIENCE_SECONDS + 5
MODEL = claim(gpu_gib=5.0)
WITH = nvml(0.2, holding(gpu(used_gib=6.0), {100: 5.0}))
LOADED: tuple[AnySample, ...] = (processes(0, runner(cpu_percent=0.0)), ollama(0.1, [MODEL]), WITH)
GONE: tuple[AnySample, ...] = (processes(2), ollama(2.1, []))
RETURNED = nvml(2.2, holding(gpu(used_gib=1.0), {}))
LOST = nvml(2.2, holding(gpu(used_gib=6.0), {}))


class Watched:
    """A model that the user asks to unload after the samples of ``before``."""

    def __init__(self, *before: AnySample) -> None:
        self.store = Store()
        self.feed(*before)
        (model,) = self.store.state.models.values()
        self.asked: Unloading = unloading_of(model, self.store.state)

    def feed(self, *samples: AnySample) -> UnloadOutcome | None:
        for sample in samples:
            self.store.apply(sample)
        return unload_outcome(self.asked, self.store.state) if hasattr(self, "asked") else None


def kind(outcome: UnloadOutcome | None) -> UnloadKind | None:
    return outcome.kind if outcome else None


def test_it_is_over_when_the_model_is_gone_and_its_memory_is_back() -> None:
    watched = Watched(*LOADED)
    assert watched.feed() is None
    assert watched.feed(*GONE) is None, "the driver has not been asked since"
    outcome = watched.feed(RETURNED)
    assert outcome is not None
    assert (outcome.kind, outcome.returned_bytes) == ("unloaded", 5 * GIB)
    assert round(outcome.seconds, 3) == 2.0


def test_memory_on_every_gpu_must_come_back() -> None:
    two = nvml(0.2, holding(gpu(0, used_gib=6.0), {100: 5.0}), holding(gpu(1, used_gib=6.0), {100: 4.0}))
    one_back = nvml(2.2, holding(gpu(0, used_gib=1.0), {}), holding(gpu(1, used_gib=6.0), {}))
    both_back = nvml(3.2, holding(gpu(0, used_gib=1.0), {}), holding(gpu(1, used_gib=2.0), {}))
    watched = Watched(*LOADED[:2], two)
    assert watched.feed(*GONE, one_back) is None
    outcome = watched.feed(both_back)
    assert outcome is not None
    assert (outcome.kind, outcome.returned_bytes) == ("unloaded", 9 * GIB)


def test_memory_that_does_not_come_back_is_told_after_a_while() -> None:
    watched = Watched(*LOADED)
    assert watched.feed(*GONE, LOST, ollama(LATE - 10, [])) is None
    outcome = watched.feed(ollama(LATE, []))
    assert outcome is not None
    assert (outcome.kind, outcome.returned_bytes) == ("not_returned", None)


def test_the_wait_for_the_memory_begins_when_the_model_goes() -> None:
    late_gone = (processes(LATE), ollama(LATE + 0.1, []), nvml(LATE + 0.2, holding(gpu(used_gib=6.0), {})))
    assert Watched(*LOADED).feed(*late_gone) is None


def test_without_a_measured_process_only_the_model_is_waited_for() -> None:
    watched = Watched(ollama(0, [MODEL], source="http://far:11434"))
    assert watched.feed(ollama(1, [MODEL], source="http://far:11434")) is None
    assert kind(watched.feed(ollama(2, [], source="http://far:11434"))) == "unmeasured"


def test_a_model_that_comes_back_was_loaded_again() -> None:
    watched = Watched(*LOADED)
    assert kind(watched.feed(*GONE, ollama(3, [MODEL]))) == "reloaded"


def test_a_model_in_another_process_was_loaded_again_even_where_no_poll_missed_it() -> None:
    again = (processes(2, runner(101, started=1.0)), ollama(2.1, [MODEL]))
    assert kind(Watched(*LOADED).feed(*again)) == "reloaded"


def test_a_model_at_work_is_waited_for() -> None:
    assert kind(Watched(*LOADED).feed(ollama(LATE, [MODEL]), answer(LATE, processing=True))) == "waiting"


def test_an_idle_model_that_stays_is_told() -> None:
    assert kind(Watched(*LOADED).feed(ollama(LATE, [MODEL]), answer(LATE, processing=False))) == "stays"


def test_a_server_that_no_longer_answers_leaves_it_unknown() -> None:
    assert kind(Watched(*LOADED).feed(ollama_down(LATE, "failing"))) == "unknown"


def test_the_memory_of_another_process_is_not_counted() -> None:
    both = nvml(0.2, holding(gpu(used_gib=9.0), {100: 5.0, 7: 3.0}))
    watched = Watched(*LOADED[:2], both)
    outcome = watched.feed(*GONE, nvml(2.2, holding(gpu(used_gib=1.0), {})))
    assert outcome is not None
    assert outcome.returned_bytes == 5 * GIB
