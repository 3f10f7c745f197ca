from __future__ import annotations

from tests.scene import Gpu, Machine, Model, Program, loaded


def stopping(seconds: int) -> Model:
    """Return a model past its time that does nothing, after so many seconds."""
    model = loaded(Model(cpu_percent=0.0, expires_seconds=0.0), Machine(Gpu()))
    model.works(processing=False)
    model.machine.run(seconds - 1)
    return model


def test_a_model_that_stops_and_does_not_go_is_stuck_after_a_minute() -> None:
    assert stopping(61).machine.alert("stuck") is None
    alert = stopping(63).machine.raised("stuck")
    assert (alert.severity, alert.subject) == ("watch", "llama3:70b")
    assert alert.message == (
        "llama3:70b is stuck: it should have been unloaded and does nothing; "
        "process 100 holds 10.0 GiB of VRAM"
    )


def test_a_model_that_works_past_its_expiry_is_not_stuck() -> None:
    model = loaded(Model(cpu_percent=0.0, expires_seconds=0.0), Machine(Gpu()))
    model.works()
    assert model.machine.run(299).alert("stuck") is None


def test_a_model_that_goes_after_all_ends_it() -> None:
    model = stopping(63)
    model.machine.servers[0].unload(model)
    model.machine.now = 63.0
    model.machine.look()
    assert [(alert.kind, alert.ended) for alert in model.monitor.alerts.recent] == [("stuck", "unloaded")]


def ended(seconds: int) -> Machine:
    """Have a process of 5 GiB end, whose memory stays in use for so many seconds."""
    machine = Machine(card := Gpu(unowned_gib=1.0))
    machine.starts(Program("blender", 5.0, pid=7))
    machine.look("driver")
    machine.programs.clear()
    card.unowned_gib = 6.0
    return machine.goes_on(seconds)


def test_memory_that_does_not_come_back_for_a_minute_is_stuck() -> None:
    assert ended(59).alert("stuck") is None
    alert = ended(62).raised("stuck")
    assert (alert.severity, alert.message) == (
        "watch",
        "GPU 0: 5.0 GiB of p7, which has ended, did not come back",
    )


def test_memory_that_comes_back_late_ends_it() -> None:
    recent = ended(62).goes_on(7, Gpu(unowned_gib=1.0)).monitor.alerts.recent
    assert [(alert.kind, alert.ended) for alert in recent] == [("stuck", "recovered")]
