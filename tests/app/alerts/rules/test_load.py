from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace
from tests.app.alerts.watching import active, changes, feed, raised, watch
from tests.app.state.loads.test_thrash import again, loaded, taking_turns
from tests.fakes.process_samples import BLOB, answer, facts, processes, runner
from tests.fakes.samples import START, claim, nvml, ollama

from gpumon.app.state.loads.endings import FAILURE_KEPT_SECONDS, WINDOW_SECONDS
from gpumon.collectors.samples import (
    AnySample,
    LogEvent,
    LogSample,
    RunnerSettings,
    ServerSample,
    SourceHealth,
)


def failed(at: float = 3.0, name: str = "qwen:8b") -> Iterator[AnySample]:
    """A runner starts and is gone at ``at``."""
    yield facts(0, name)
    yield processes(0.5, runner(started=START))
    yield processes(at)


def log(at: float, *events: LogEvent) -> LogSample:
    return LogSample(
        time=START + at, source="log /l", health=SourceHealth(state="serving"), events=tuple(events)
    )


class TestLoadFailed:
    def test_a_load_that_failed_is_bad(self) -> None:
        alert = raised(watch(*failed(), processes(6)), "load_failed")
        assert (alert.severity, alert.subject, alert.subject_id) == ("bad", "qwen:8b", BLOB)
        assert alert.message == "qwen:8b failed to load after 3s"

    def test_the_log_says_why(self) -> None:
        why = LogEvent(kind="load_failed", text="exiting due to model loading error")
        start = LogEvent(kind="load_started", at=START, blob=BLOB)
        monitor = watch(*list(failed())[:2], log(1, start, why), processes(3), processes(6))
        assert raised(monitor, "load_failed").message.endswith(": exiting due to model loading error")

    def test_a_retry_at_once_is_no_failure_yet(self) -> None:
        monitor = watch(*failed())
        again_with = runner(101, started=START + 4)
        retry = (processes(at, again_with) for at in range(4, 20))
        assert changes(feed(monitor, retry)) == []

    def test_a_retry_that_fails_too_is_one(self) -> None:
        monitor = watch(
            *failed(), processes(4.2, runner(101, started=START + 4)), processes(9), processes(12)
        )
        assert raised(monitor, "load_failed").message == "qwen:8b failed to load after 5s"

    def test_a_later_load_ends_it(self) -> None:
        monitor = watch(*failed(), processes(6))
        later = runner(102, started=START + 60)
        events = feed(
            monitor,
            [
                processes(60.5, later),
                answer(61, "loading", pid=102, started=START + 60),
                ollama(66, [claim("qwen:8b")]),
                answer(67, pid=102, started=START + 60),
                processes(68, later),
            ],
        )
        assert changes(events) == ["ended"]

    def test_it_ends_by_itself_after_a_while(self) -> None:
        monitor = watch(*failed(), processes(6), nvml(3 + FAILURE_KEPT_SECONDS))
        assert active(monitor, "load_failed") is None

    def test_a_load_that_nobody_wanted_any_more_is_none(self) -> None:
        monitor = watch(*list(failed())[:2], processes(3, servers=[]), processes(9, servers=[]))
        assert active(monitor, "load_failed") is None

    def test_names_are_harmless(self) -> None:
        alert = raised(watch(*failed(name="a\x1b[31mb"), processes(6)), "load_failed")
        assert "\x1b" not in alert.message + alert.subject


class TestThrash:
    def test_it_is_worth_watching(self) -> None:
        alert = raised(watch(*again(3)), "thrash")
        assert (alert.severity, alert.subject, alert.measure) == ("watch", "a", 3)

    def test_it_ends_with_the_ten_minutes(self) -> None:
        monitor = watch(*again(3), nvml(1000 + WINDOW_SECONDS))
        assert active(monitor, "thrash") is None

    def test_a_short_keep_alive_is_named(self) -> None:
        message = raised(watch(*again(3, expires=20)), "thrash").message
        assert message == "a is loaded again and again, 3 loads in 10 min: its keep_alive is too short"

    def test_two_models_are_named_together(self) -> None:
        message = raised(watch(*taking_turns(4)), "thrash").message
        assert message == "a and b evict each other: 4 loads in 10 min"

    def test_the_setting_that_changes_is_named(self) -> None:
        def changing() -> Iterator[AnySample]:
            for number in range(3):
                tokens = (4096, 8192)[number % 2]
                yield from loaded(1 + 60 * number, settings=RunnerSettings(blob=BLOB, context_length=tokens))
                yield from (ollama(40 + 60 * number), processes(40 + 60 * number))

        message = raised(watch(facts(0, "a"), *changing()), "thrash").message
        assert message.endswith(": context changes from 8192 to 4096")

    def test_more_loads_are_counted_without_a_new_alert(self) -> None:
        monitor = watch(*again(3))
        monitor.alerts.fresh()
        more = [*loaded(200), ollama(230), processes(230)]
        assert changes(feed(monitor, more)) == []
        assert raised(monitor, "thrash").measure == 4


def test_an_expiry_is_compared_by_our_clock() -> None:
    """The server's clock is ten minutes ahead, and so is each expiry that it names."""
    stream = [
        replace(sample, clock_offset_seconds=600.0) if isinstance(sample, ServerSample) else sample
        for sample in again(3, expires=620)
    ]
    assert raised(watch(*stream), "thrash").message.endswith("its keep_alive is too short")
