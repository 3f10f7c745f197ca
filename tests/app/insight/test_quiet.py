"""Whether anything happens at all."""

from __future__ import annotations

from tests.fakes import samples

from gpumon.app.insight.activity import QUIET_SECONDS, Quiet
from gpumon.app.monitor import Store
from gpumon.collectors.samples import AnySample

LATER = QUIET_SECONDS + 5


def lasts(*stream: AnySample) -> bool:
    """Tell whether it is quiet after the last sample."""
    store, quiet = Store(), Quiet()
    found = False
    for sample in stream:
        store.apply(sample)
        found = quiet.lasts(store.state)
    return found


def test_a_machine_on_which_nothing_happens_is_quiet_after_a_while() -> None:
    idle = samples.gpu(utilization=0)
    assert lasts(samples.nvml(0, idle), samples.nvml(LATER, idle))


def test_it_is_not_quiet_right_after_the_start() -> None:
    assert not lasts(samples.nvml(0, samples.gpu(utilization=0)), samples.nvml(5, samples.gpu(utilization=0)))


def test_a_busy_gpu_is_not_quiet() -> None:
    assert not lasts(
        samples.nvml(0, samples.gpu(utilization=0)), samples.nvml(LATER, samples.gpu(utilization=90))
    )


def test_a_model_that_appears_ends_the_quiet_at_once() -> None:
    assert not lasts(
        samples.nvml(0, samples.gpu(utilization=0)),
        samples.nvml(LATER, samples.gpu(utilization=0)),
        samples.ollama(LATER + 1, [samples.claim()]),
    )


def test_a_loaded_model_without_requests_is_quiet() -> None:
    assert lasts(samples.ollama(0, [samples.claim()]), samples.ollama(LATER, [samples.claim()]))


def test_a_source_that_hangs_is_not_quiet() -> None:
    idle = samples.gpu(utilization=0)
    assert not lasts(samples.nvml(0, idle), samples.silent(LATER, "nvml"))


def test_while_something_happens_it_looks_once_a_second() -> None:
    store, quiet = Store(), Quiet()
    looked: set[float] = set()
    for tenth in range(100):
        store.apply(samples.system(tenth / 10))
        quiet.lasts(store.state)
        looked.add(quiet._looked)
    assert len(looked) <= 11
