from __future__ import annotations

from msgspec.structs import replace
from tests.app.alerts.watching import active, raised, watch
from tests.fakes.process_samples import answer, facts, holding, processes, runner
from tests.fakes.samples import START, claim, gpu, nvml, ollama

from gpumon.collectors.samples import AnySample, ServerSample


def loaded(at: float) -> ServerSample:
    return ollama(at, [replace(claim(), expires_at=START)])


def idle(at: float) -> list[AnySample]:
    return [processes(at, runner(cpu_percent=0.0)), loaded(at), answer(at, processing=False)]


def stopping(seconds: int) -> list[AnySample]:
    held = nvml(0, holding(gpu(), {100: 10.0}))
    return [*idle(0), facts(0), held, *(sample for at in range(1, seconds) for sample in idle(at))]


def test_a_model_that_stops_and_does_not_go_is_stuck_after_a_minute() -> None:
    assert active(watch(*stopping(61)), "stuck") is None
    alert = raised(watch(*stopping(63)), "stuck")
    assert (alert.severity, alert.subject) == ("watch", "llama3:70b")
    assert alert.message == (
        "llama3:70b is stuck: it should have been unloaded and does nothing; "
        "process 100 holds 10.0 GiB of VRAM"
    )


def test_a_model_that_works_past_its_expiry_is_not_stuck() -> None:
    busy = [answer(at, processing=True) for at in range(300)]
    samples = [sample for at in range(300) for sample in (*idle(at)[:2], busy[at])]
    assert active(watch(*samples), "stuck") is None


def test_a_model_that_goes_after_all_ends_it() -> None:
    monitor = watch(*stopping(63), ollama(63))
    assert [(alert.kind, alert.ended) for alert in monitor.alerts.recent] == [("stuck", "unloaded")]


LISTED = nvml(0, holding(gpu(used_gib=6.0), {7: 5.0}))


def test_memory_that_does_not_come_back_for_a_minute_is_stuck() -> None:
    gone = [nvml(at, holding(gpu(used_gib=6.0), {})) for at in range(1, 63)]
    assert active(watch(LISTED, *gone[:59]), "stuck") is None
    alert = raised(watch(LISTED, *gone), "stuck")
    assert (alert.severity, alert.message) == (
        "watch",
        "GPU 0: 5.0 GiB of p7, which has ended, did not come back",
    )


def test_memory_that_comes_back_late_ends_it() -> None:
    gone = [nvml(at, holding(gpu(used_gib=6.0), {})) for at in range(1, 63)]
    back = [nvml(at, holding(gpu(used_gib=1.0), {})) for at in range(63, 70)]
    monitor = watch(LISTED, *gone, *back)
    assert [(alert.kind, alert.ended) for alert in monitor.alerts.recent] == [("stuck", "recovered")]
