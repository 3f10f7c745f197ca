from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.fakes.samples import START, claim, gpu, nvml, ollama, ollama_down, silent, system
from tests.scene import Machine, Model, Server, after

from gpumon.app.alerts.book import FRESH_KEPT, RECENT_KEPT
from gpumon.collectors.samples import AnySample, SourceState


def spilling(*sizes_gib: float) -> Server:
    """Return a server with a model for each of these sizes in RAM, after one look."""
    server = Machine().ollama()
    for name, ram_gib in zip("abc", sizes_gib, strict=False):
        server.load(Model(name, ram_gib=ram_gib))
    server.machine.look("servers")
    return server


def test_the_worst_come_first_and_of_those_the_newest() -> None:
    server = spilling(0.1, 5)
    server.load(Model("c", ram_gib=5))
    assert [alert.subject for alert in server.machine.look("servers", at=1).alerts()] == ["c", "b", "a"]


def test_what_has_ended_is_listed_latest_first() -> None:
    server = spilling(5, 5)
    for at in (1, 2):
        server.models.pop(0)
        server.machine.look("servers", at=at)
    assert [alert.subject for alert in server.machine.monitor.alerts.recent] == ["b", "a"]


def test_acknowledging_one_leaves_the_others() -> None:
    machine = spilling(5, 5).machine
    first, second = machine.alerts()
    machine.monitor.alerts.acknowledge(first.key)
    assert {alert.subject: alert.acknowledged for alert in machine.alerts()} == {
        first.subject: True,
        second.subject: False,
    }


def test_an_acknowledged_alert_stays_so_while_nothing_gets_worse() -> None:
    machine = spilling(5).machine
    machine.monitor.alerts.acknowledge_all()
    for at in range(1, 60):
        machine.look("servers", at=at)
    assert [alert.acknowledged for alert in machine.alerts()] == [True]


def test_news_is_told_once() -> None:
    server = spilling(5)
    assert server.machine.news() == ["raised"]
    assert server.machine.look("servers", at=1).news() == []
    server.models.clear()
    assert server.machine.look("servers", at=2).news() == ["ended"]


def test_what_is_kept_is_bounded() -> None:
    server = spilling()
    for at in range(0, 2 * (RECENT_KEPT + 50), 2):
        server.load(Model(ram_gib=5))
        server.machine.look("servers", at=at)
        server.models.clear()
        server.machine.look("servers", at=at + 1)
    alerts = server.machine.monitor.alerts
    assert len(alerts.recent) == RECENT_KEPT
    assert len(alerts.fresh()) == FRESH_KEPT


def test_a_reset_monitor_has_no_alerts() -> None:
    monitor = spilling(5).machine.monitor
    monitor.reset()
    assert (monitor.alerts.active, monitor.alerts.fresh()) == ((), ())


DOWN: tuple[SourceState, ...] = ("hanging", "not_running", "failing", "unreachable")
rams = st.sampled_from([None, 0.0, 0.1, 3.0, 5.0])
gpus = st.builds(
    gpu,
    st.integers(0, 1),
    state=st.sampled_from(["ok", "ok", "lost", "asleep"]),
    used_gib=st.sampled_from([None, 4.0, 22.6, 23.5]),
    throttle=st.sampled_from([None, (), ("power cap",), ("thermal slowdown",)]),
)
samples = st.one_of(
    st.builds(lambda ram: ollama(0, [claim(ram_gib=ram)]), rams),
    st.just(ollama(0)),
    st.sampled_from(DOWN).map(lambda state: ollama_down(0, state)),
    gpus.map(lambda reading: nvml(0, reading)),
    st.just(nvml(0, state="failing")),
    st.sampled_from([2.0, 32.0]).map(lambda available: system(0, available_gib=available)),
    st.just(silent(0)),
)


def timed(stream: list[tuple[AnySample, float]]) -> list[AnySample]:
    times = [sum(gap for _, gap in stream[: place + 1]) for place in range(len(stream))]
    return [replace(sample, time=START + at) for (sample, _), at in zip(stream, times, strict=True)]


streams = st.lists(st.tuples(samples, st.floats(0, 4)), max_size=60).map(timed)


@given(streams)
def test_the_same_samples_give_the_same_alerts(stream: list[AnySample]) -> None:
    first, second = after(*stream).monitor.alerts, after(*stream).monitor.alerts
    assert (first.active, first.recent) == (second.active, second.recent)
    assert first.fresh() == second.fresh()


@given(streams)
def test_observing_again_changes_nothing(stream: list[AnySample]) -> None:
    once, twice = after(), after()
    for sample in stream:
        once.say(sample)
        monitor = twice.say(sample).monitor
        monitor.alerts.observe(monitor.state, monitor.state.touched)
    assert (once.alerts(), once.monitor.alerts.recent) == (twice.alerts(), twice.monitor.alerts.recent)


@given(streams)
def test_news_and_lists_agree(stream: list[AnySample]) -> None:
    alerts = after(*stream).monitor.alerts
    events = alerts.fresh()
    raised = [event.alert.key for event in events if event.change == "raised"]
    ended = [event.alert for event in events if event.change == "ended"]
    assert list(reversed(ended)) == list(alerts.recent)
    assert len(raised) == len(ended) + len(alerts.active)
    assert len({alert.key for alert in alerts.active}) == len(alerts.active)
