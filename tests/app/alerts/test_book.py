from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.app.alerts.watching import changes, feed
from tests.fakes.samples import START, claim, gpu, nvml, ollama, ollama_down, silent, system
from tests.scene import after

from gpumon.app.alerts.book import FRESH_KEPT, RECENT_KEPT
from gpumon.collectors.samples import AnySample, SourceState


def test_the_worst_come_first_and_of_those_the_newest() -> None:
    monitor = after(
        ollama(0, [claim("mild", ram_gib=0.1), claim("old", ram_gib=5)]),
        ollama(1, [claim("mild", ram_gib=0.1), claim("old", ram_gib=5), claim("new", ram_gib=5)]),
    ).monitor
    assert [alert.subject for alert in monitor.alerts.active] == ["new", "old", "mild"]


def test_what_has_ended_is_listed_latest_first() -> None:
    both = [claim("a", ram_gib=5), claim("b", ram_gib=5)]
    monitor = after(ollama(0, both), ollama(1, both[1:]), ollama(2)).monitor
    assert [alert.subject for alert in monitor.alerts.recent] == ["b", "a"]


def test_acknowledging_one_leaves_the_others() -> None:
    monitor = after(ollama(0, [claim("a", ram_gib=5), claim("b", ram_gib=5)])).monitor
    first, second = monitor.alerts.active
    monitor.alerts.acknowledge(first.key)
    assert {alert.subject: alert.acknowledged for alert in monitor.alerts.active} == {
        first.subject: True,
        second.subject: False,
    }


def test_an_acknowledged_alert_stays_so_while_nothing_gets_worse() -> None:
    monitor = after(ollama(0, [claim(ram_gib=5)])).monitor
    monitor.alerts.acknowledge_all()
    feed(monitor, (ollama(at, [claim(ram_gib=5)]) for at in range(1, 60)))
    assert [alert.acknowledged for alert in monitor.alerts.active] == [True]


def test_news_is_told_once() -> None:
    monitor = after().monitor
    spill = [claim(ram_gib=5)]
    assert changes(feed(monitor, [ollama(0, spill)])) == ["raised"]
    assert changes(feed(monitor, [ollama(1, spill)])) == []
    assert changes(feed(monitor, [ollama(2)])) == ["ended"]


def test_what_is_kept_is_bounded() -> None:
    monitor = after().monitor
    for at in range(0, 2 * (RECENT_KEPT + 50), 2):
        monitor.feed(ollama(at, [claim(ram_gib=5)]))
        monitor.feed(ollama(at + 1))
    assert len(monitor.alerts.recent) == RECENT_KEPT
    assert len(monitor.alerts.fresh()) == FRESH_KEPT


def test_a_reset_monitor_has_no_alerts() -> None:
    monitor = after(ollama(0, [claim(ram_gib=5)])).monitor
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
    first, second = after().monitor, after().monitor
    assert feed(first, stream) == feed(second, stream)
    assert (first.alerts.active, first.alerts.recent) == (second.alerts.active, second.alerts.recent)


@given(streams)
def test_observing_again_changes_nothing(stream: list[AnySample]) -> None:
    once, twice = after().monitor, after().monitor
    for sample in stream:
        once.feed(sample)
        twice.feed(sample)
        twice.alerts.observe(twice.state, twice.state.touched)
    assert (once.alerts.active, once.alerts.recent) == (twice.alerts.active, twice.alerts.recent)


@given(streams)
def test_news_and_lists_agree(stream: list[AnySample]) -> None:
    monitor = after().monitor
    events = feed(monitor, stream)
    raised = [event.alert.key for event in events if event.change == "raised"]
    ended = [event.alert for event in events if event.change == "ended"]
    assert list(reversed(ended)) == list(monitor.alerts.recent)
    assert len(raised) == len(ended) + len(monitor.alerts.active)
    assert len({alert.key for alert in monitor.alerts.active}) == len(monitor.alerts.active)
