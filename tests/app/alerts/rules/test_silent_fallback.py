from __future__ import annotations

from collections.abc import Iterable, Iterator

import pytest
from msgspec.structs import replace
from tests.app.alerts.watching import active, changes, feed, raised, watch
from tests.fakes.process_samples import answer, facts, holding, processes, runner
from tests.fakes.samples import GIB, START, claim, gpu, nvml, ollama

from gpumon.app.monitor import Monitor
from gpumon.collectors.samples import AnySample, GpuProcess, ModelState, RunnerProcess

IDLE = runner(cpu_percent=2.0)


def round_at(
    at: float,
    held_gib: float | None,
    *,
    process: RunnerProcess = IDLE,
    claimed_gib: float = 10.0,
    used_gib: float | None = None,
) -> list[AnySample]:
    """Return what all sources say of one claimed model at one instant."""
    used = used_gib if used_gib is not None else (held_gib or 0.0) + 0.3
    held = {} if held_gib is None else {process.pid: held_gib}
    return [
        nvml(at, holding(gpu(used_gib=used), held)),
        processes(at, process),
        ollama(at, [claim(gpu_gib=claimed_gib)]),
        facts(at),
    ]


def rounds(held_gib: float | None, count: int = 2, **options: object) -> Iterator[AnySample]:
    for at in range(count):
        yield from round_at(at, held_gib, **options)  # type: ignore[arg-type]


def shortfalls(monitor: Monitor) -> list[str]:
    return [a.kind for a in monitor.alerts.active if a.kind in {"silent_fallback", "hidden_spill"}]


def test_a_model_that_the_driver_hardly_sees_is_raised_within_two_polls() -> None:
    monitor = watch(*rounds(0.3))
    alert = raised(monitor, "silent_fallback")
    assert alert.severity == "bad"
    assert (
        alert.message == "llama3:70b silent fallback: Ollama claims 10.0 GiB on GPU, the driver sees 0.3 GiB"
    )


def test_one_poll_is_not_enough() -> None:
    assert shortfalls(watch(*rounds(0.3, 1))) == []


def test_a_process_that_is_on_no_gpu_is_told_so() -> None:
    assert raised(watch(*rounds(None)), "silent_fallback").message.endswith("the driver sees nothing")


def test_that_it_is_busy_on_the_cpu_is_told() -> None:
    busy = runner(cpu_percent=780.0)
    message = raised(watch(*rounds(0.3, process=busy)), "silent_fallback").message
    assert message.endswith("the driver sees 0.3 GiB, and it is busy on the CPU")


def test_a_model_that_is_where_it_should_be_raises_nothing() -> None:
    assert shortfalls(watch(*rounds(10.4, 10))) == []


def test_a_claim_too_small_to_tell_from_a_context_raises_nothing() -> None:
    assert shortfalls(watch(*rounds(None, 10, claimed_gib=0.65))) == []


def test_a_remote_model_is_not_compared_with_this_machine() -> None:
    far = [ollama(at, [claim()], source="http://far:11434") for at in range(5)]
    assert shortfalls(watch(*far, *(nvml(at, holding(gpu(), {})) for at in range(5)))) == []


def test_it_ends_when_the_model_is_unloaded() -> None:
    monitor = watch(*rounds(0.3), ollama(2))
    assert [alert.ended for alert in monitor.alerts.recent] == ["unloaded"]


def test_it_ends_when_the_model_is_seen_on_the_gpu_after_all() -> None:
    later = [sample for at in range(2, 8) for sample in round_at(at, 10.0)]
    monitor = watch(*rounds(0.3), *later)
    assert [(a.ended, a.until) for a in monitor.alerts.recent] == [("recovered", START + 2)]


def test_it_stays_one_alert_while_the_driver_does_not_answer() -> None:
    failing = [nvml(at, state="failing") for at in range(2, 20)]
    monitor = watch()
    assert changes(
        e for e in feed(monitor, [*rounds(0.3), *failing]) if e.alert.kind == "silent_fallback"
    ) == ["raised"]
    assert raised(monitor, "silent_fallback").until is None


class TestHiddenSpill:
    def test_a_part_that_is_missing_for_a_while_is_raised(self) -> None:
        assert shortfalls(watch(*rounds(6.0, 5))) == []
        alert = raised(watch(*rounds(6.0, 8)), "hidden_spill")
        assert alert.severity == "bad"
        assert alert.message == (
            "llama3:70b hidden spill: the driver sees 6.0 GiB of the 10.0 GiB that Ollama claims on GPU"
        )

    def test_a_part_within_the_tolerance_is_not_missing(self) -> None:
        assert shortfalls(watch(*rounds(9.1, 10))) == []

    def test_an_estimate_that_is_too_high_is_none(self) -> None:
        old = runner(kind="ollama_runner")
        answers = [answer(at) for at in range(20)]
        samples = [s for at in range(20) for s in (*round_at(at, 6.0, process=old), answers[at])]
        assert shortfalls(watch(*samples)) == []

    def test_more_than_is_claimed_is_none(self) -> None:
        assert shortfalls(watch(*rounds(15.0, 10))) == []


class TestUnknown:
    def test_a_gpu_that_refuses_its_list_raises_nothing(self) -> None:
        samples = [
            sample
            for at in range(10)
            for sample in (*round_at(at, 0.3)[1:], nvml(at, holding(gpu(0), {100: 0.3}), gpu(1)))
        ]
        assert shortfalls(watch(*samples)) == []

    def test_in_a_container_the_drivers_pids_are_not_ours(self) -> None:
        stranger = GpuProcess(pid=91234, vram_bytes=10 * GIB)
        samples = [
            sample
            for at in range(10)
            for sample in (
                *round_at(at, None)[1:],
                nvml(at, replace(gpu(used_gib=10.3), processes=(stranger,))),
            )
        ]
        assert shortfalls(watch(*samples)) == []

    def test_in_a_container_the_list_may_be_empty_while_memory_is_in_use(self) -> None:
        assert shortfalls(watch(*rounds(None, 10, used_gib=10.4))) == []

    def test_without_a_join_nothing_is_raised(self) -> None:
        alone = [nvml(at, holding(gpu(), {})) for at in range(10)]
        assert shortfalls(watch(*alone, *(ollama(at, [claim()]) for at in range(10)))) == []


class TestWhileThingsChange:
    @pytest.mark.parametrize("state", ["starting", "loading", "asleep"])
    def test_a_runner_that_is_loading_or_asleep_is_left_alone(self, state: ModelState) -> None:
        samples = [s for at in range(20) for s in (answer(at, state), *round_at(at, 0.3))]
        assert shortfalls(watch(processes(0, IDLE), *samples)) == []

    def test_memory_that_grows_is_a_load(self) -> None:
        samples = [s for at in range(12) for s in round_at(at, 0.3 + 0.8 * at)]
        assert shortfalls(watch(*samples)) == []

    @pytest.mark.parametrize("kind", ["ollama_runner", "mlx_runner", "legacy_runner"])
    def test_an_older_runner_that_does_not_say_that_it_is_ready_is_given_a_minute(self, kind: str) -> None:
        old = runner(kind=kind)
        assert shortfalls(watch(*rounds(None, 60, process=old))) == []
        assert shortfalls(watch(*rounds(None, 63, process=old))) == ["silent_fallback"]

    def test_an_older_runner_that_is_ready_is_not(self) -> None:
        old = runner(kind="ollama_runner")
        samples = [s for at in range(2) for s in (answer(at), *round_at(at, 0.3, process=old))]
        assert shortfalls(watch(processes(0, old), *samples)) == ["silent_fallback"]

    def test_a_process_that_the_driver_no_longer_lists_while_it_ends_raises_nothing(self) -> None:
        ending = [nvml(at, holding(gpu(used_gib=0.3), {})) for at in range(5, 15)]
        assert shortfalls(watch(*rounds(10.0, 5), *ending)) == []

    def test_a_claim_that_is_not_confirmed_raises_nothing(self) -> None:
        stalled: Iterable[AnySample] = (sample for at in range(5, 15) for sample in round_at(at, None)[:2])
        assert shortfalls(watch(*rounds(10.0, 5), *stalled)) == []

    def test_a_new_process_of_the_same_model_is_not_held_to_the_old_claim(self) -> None:
        again = runner(101, started=START + 5)
        starting = (sample for at in range(6, 16) for sample in round_at(at, None, process=again)[:2])
        assert shortfalls(watch(*rounds(10.0, 5), *starting)) == []


def test_alerts_of_one_model_do_not_hide_those_of_another() -> None:
    monitor = watch()
    for at in range(3):
        feed(
            monitor,
            [
                processes(at, runner(), runner(101, "sha-x")),
                nvml(at, holding(gpu(used_gib=10.5), {100: 10.0, 101: 0.2})),
                ollama(at, [claim("a"), claim("b")]),
                facts(at, "a"),
                facts(at, "b", "sha-x"),
            ],
        )
    alert = active(monitor, "silent_fallback")
    assert alert is not None
    assert alert.subject == "b"


@pytest.mark.parametrize(("held_gib", "kind"), [(0.3, "silent_fallback"), (6.0, "hidden_spill")])
def test_a_server_that_is_asked_less_often_than_the_driver_keeps_its_verdict(
    held_gib: float, kind: str
) -> None:
    monitor = watch(*rounds(held_gib, 3))
    verdicts = set()
    for at in range(3, 15):
        monitor.feed(nvml(at, holding(gpu(used_gib=held_gib + 0.3), {IDLE.pid: held_gib})))
        monitor.feed(processes(at, IDLE))
        if at % 3 == 0:
            monitor.feed(ollama(at, [claim(gpu_gib=10.0)]))
        verdicts |= {model.diagnosis.verdict.kind for model in monitor.pictures.models()}
    assert verdicts == {kind}
