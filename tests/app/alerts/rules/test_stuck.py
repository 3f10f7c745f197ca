from __future__ import annotations

from tests.app.alerts.watching import active, raised, watch
from tests.fakes.process_samples import holding
from tests.fakes.samples import gpu, nvml
from tests.scene import Gpu, Machine, Model, loaded


def stopping(seconds: int) -> Model:
    """Return a model past its time that does nothing, after so many seconds."""
    model = loaded(Model(cpu_percent=0.0, expires_seconds=0.0), Machine(Gpu()))
    model.works(processing=False)
    model.machine.run(seconds - 1)
    return model


def test_a_model_that_stops_and_does_not_go_is_stuck_after_a_minute() -> None:
    assert active(stopping(61).monitor, "stuck") is None
    alert = raised(stopping(63).monitor, "stuck")
    assert (alert.severity, alert.subject) == ("watch", "llama3:70b")
    assert alert.message == (
        "llama3:70b is stuck: it should have been unloaded and does nothing; "
        "process 100 holds 10.0 GiB of VRAM"
    )


def test_a_model_that_works_past_its_expiry_is_not_stuck() -> None:
    model = loaded(Model(cpu_percent=0.0, expires_seconds=0.0), Machine(Gpu()))
    model.works()
    assert active(model.machine.run(299).monitor, "stuck") is None


def test_a_model_that_goes_after_all_ends_it() -> None:
    model = stopping(63)
    model.machine.servers[0].unload(model)
    model.machine.now = 63.0
    model.machine.look()
    assert [(alert.kind, alert.ended) for alert in model.monitor.alerts.recent] == [("stuck", "unloaded")]


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
