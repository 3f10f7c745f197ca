from __future__ import annotations

import pytest
from msgspec.structs import replace
from tests.fakes.samples import GIB, START
from tests.scene import Gpu, Machine, Model
from tests.scene.machine import Voice

from gpumon.collectors.samples import GpuProcess, ModelState

LOOK: tuple[Voice, ...] = ("ports", "driver", "processes", "servers")


def there(
    held_gib: float = 0.0, *, claimed_gib: float = 10.0, cpu: float = 2.0, kind: str = "llama_server"
) -> Model:
    """Return a model of which the driver sees so much, with 0.3 GiB that nobody owns."""
    machine = Machine(Gpu(unowned_gib=0.3))
    return machine.ollama().load(
        Model(gpu_gib=claimed_gib, measured_gib=held_gib, cpu_percent=cpu, kind=kind)
    )


def rounds(model: Model, count: int = 2, *voices: Voice) -> Machine:
    """Have all sources speak of it, or these alone, once a second from where it was."""
    machine = model.machine
    for _ in range(count):
        machine.look(*(voices or LOOK))
        machine.now += 1
    return machine


def shortfalls(machine: Machine) -> list[str]:
    return [one.kind for one in machine.alerts() if one.kind in {"silent_fallback", "hidden_spill"}]


def test_a_model_that_the_driver_hardly_sees_is_raised_within_two_polls() -> None:
    alert = rounds(there(0.3)).raised("silent_fallback")
    assert alert.severity == "bad"
    assert (
        alert.message == "llama3:70b silent fallback: Ollama claims 10.0 GiB on GPU, the driver sees 0.3 GiB"
    )


def test_one_poll_is_not_enough() -> None:
    assert shortfalls(rounds(there(0.3), 1)) == []


def test_a_process_that_is_on_no_gpu_is_told_so() -> None:
    message = rounds(there()).raised("silent_fallback").message
    assert message.endswith("the driver sees nothing")


def test_that_it_is_busy_on_the_cpu_is_told() -> None:
    message = rounds(there(0.3, cpu=780.0)).raised("silent_fallback").message
    assert message.endswith("the driver sees 0.3 GiB, and it is busy on the CPU")


def test_a_model_that_is_where_it_should_be_raises_nothing() -> None:
    assert shortfalls(rounds(there(10.4), 10)) == []


def test_a_claim_too_small_to_tell_from_a_context_raises_nothing() -> None:
    assert shortfalls(rounds(there(claimed_gib=0.65), 10)) == []


def test_a_remote_model_is_not_compared_with_this_machine() -> None:
    far = Machine().ollama("http://far:11434")
    far.is_here = False
    assert shortfalls(rounds(far.load(Model()), 5, "servers", "driver")) == []


def test_it_ends_when_the_model_is_unloaded() -> None:
    model = there(0.3)
    machine = rounds(model)
    model.server.unload(model)
    machine.look("servers")
    assert [alert.ended for alert in machine.monitor.alerts.recent] == ["unloaded"]


def test_it_ends_when_the_model_is_seen_on_the_gpu_after_all() -> None:
    model = there(0.3)
    rounds(model)
    model.measured_gib = 10.0
    recent = rounds(model, 6).monitor.alerts.recent
    assert [(a.ended, a.until) for a in recent] == [("recovered", START + 2)]


def test_it_stays_one_alert_while_the_driver_does_not_answer() -> None:
    model = there(0.3)
    machine = rounds(model)
    machine.gpus, machine.driver = [], "failing"
    rounds(model, 18, "driver")
    assert machine.news("silent_fallback") == ["raised"]
    assert machine.raised("silent_fallback").until is None


class TestHiddenSpill:
    def test_a_part_that_is_missing_for_a_while_is_raised(self) -> None:
        model = there(6.0)
        assert shortfalls(rounds(model, 5)) == []
        alert = rounds(model, 3).raised("hidden_spill")
        assert alert.severity == "bad"
        assert alert.message == (
            "llama3:70b hidden spill: the driver sees 6.0 GiB of the 10.0 GiB that Ollama claims on GPU"
        )

    def test_a_part_within_the_tolerance_is_not_missing(self) -> None:
        assert shortfalls(rounds(there(9.1), 10)) == []

    def test_an_estimate_that_is_too_high_is_none(self) -> None:
        model = there(6.0, kind="ollama_runner")
        model.port = "ready"
        assert shortfalls(rounds(model, 20)) == []

    def test_more_than_is_claimed_is_none(self) -> None:
        assert shortfalls(rounds(there(15.0), 10)) == []


class TestUnknown:
    def test_a_gpu_that_refuses_its_list_raises_nothing(self) -> None:
        model = there(0.3)
        model.machine.gpus.append(Gpu(lists_processes=False))
        assert shortfalls(rounds(model, 10)) == []

    def test_in_a_container_the_drivers_pids_are_not_ours(self) -> None:
        model = there()
        model.machine.gpus[0].unowned_gib = 10.3
        stranger = GpuProcess(pid=91234, vram_bytes=10 * GIB)
        model.machine.retouch = lambda reading: replace(reading, processes=(stranger,))
        assert shortfalls(rounds(model, 10)) == []

    def test_in_a_container_the_list_may_be_empty_while_memory_is_in_use(self) -> None:
        model = there()
        model.machine.gpus[0].unowned_gib = 10.4
        assert shortfalls(rounds(model, 10)) == []

    def test_without_a_join_nothing_is_raised(self) -> None:
        assert shortfalls(rounds(there(), 10, "driver", "servers")) == []


class TestWhileThingsChange:
    @pytest.mark.parametrize("state", ["starting", "loading", "asleep"])
    def test_a_runner_that_is_loading_or_asleep_is_left_alone(self, state: ModelState) -> None:
        model = there(0.3)
        model.machine.look("processes")
        model.port = state
        assert shortfalls(rounds(model, 20)) == []

    def test_memory_that_grows_is_a_load(self) -> None:
        model = there()
        for second in range(12):
            model.measured_gib = 0.3 + 0.8 * second
            rounds(model, 1)
        assert shortfalls(model.machine) == []

    @pytest.mark.parametrize("kind", ["ollama_runner", "mlx_runner", "legacy_runner"])
    def test_an_older_runner_that_does_not_say_that_it_is_ready_is_given_a_minute(self, kind: str) -> None:
        model = there(kind=kind)
        assert shortfalls(rounds(model, 60)) == []
        assert shortfalls(rounds(model, 3)) == ["silent_fallback"]

    def test_an_older_runner_that_is_ready_is_not(self) -> None:
        model = there(0.3, kind="ollama_runner")
        model.machine.look("processes")
        model.port = "ready"
        assert shortfalls(rounds(model)) == ["silent_fallback"]

    def test_a_process_that_the_driver_no_longer_lists_while_it_ends_raises_nothing(self) -> None:
        model = there(10.0)
        rounds(model, 5)
        model.measured_gib = 0.0
        assert shortfalls(rounds(model, 10, "driver")) == []

    def test_a_claim_that_is_not_confirmed_raises_nothing(self) -> None:
        model = there(10.0)
        rounds(model, 5)
        model.measured_gib = 0.0
        assert shortfalls(rounds(model, 10, "driver", "processes")) == []

    def test_a_new_process_of_the_same_model_is_not_held_to_the_old_claim(self) -> None:
        model = there(10.0)
        rounds(model, 5)
        model.pid, model.started, model.measured_gib = 101, START + 5, 0.0
        model.machine.now = 6
        assert shortfalls(rounds(model, 10, "driver", "processes")) == []


def test_alerts_of_one_model_do_not_hide_those_of_another() -> None:
    server = Machine(Gpu(unowned_gib=0.3)).ollama()
    server.load(Model("a"))
    other = server.load(Model("b", measured_gib=0.2, pid=101, blob="sha-x"))
    assert rounds(other, 3, "processes", "driver", "servers").raised("silent_fallback").subject == "b"


@pytest.mark.parametrize(("held_gib", "kind"), [(0.3, "silent_fallback"), (6.0, "hidden_spill")])
def test_a_server_that_is_asked_less_often_than_the_driver_keeps_its_verdict(
    held_gib: float, kind: str
) -> None:
    model = there(held_gib)
    machine = rounds(model, 3)
    verdicts = set()
    for at in range(3, 15):
        machine.look("driver", "processes", at=at)
        if at % 3 == 0:
            machine.look("servers")
        verdicts |= {model.diagnosis.verdict.kind for model in machine.monitor.pictures.models()}
    assert verdicts == {kind}
