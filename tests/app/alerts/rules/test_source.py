from __future__ import annotations

import pytest
from tests.fakes.process_samples import processes
from tests.fakes.samples import START, gpu, nvml, ollama, ollama_down, silent
from tests.scene import after

from gpumon.collectors.samples import AnySample, LogSample, SourceHealth, SourceState


@pytest.mark.parametrize("state", ["unreachable", "refused", "foreign", "nonsense", "forbidden", "failing"])
def test_a_server_that_answered_and_now_fails_is_bad_after_three_seconds(state: SourceState) -> None:
    down = [ollama_down(at, state) for at in range(1, 5)]
    assert after(ollama(0), *down[:3]).alert("source") is None
    alert = after(ollama(0), *down).raised("source")
    assert (alert.severity, alert.since) == ("bad", START + 1)
    assert alert.subject == "Ollama at 127.0.0.1:11434"


@pytest.mark.parametrize("state", ["absent", "not_running", "refused", "unreachable"])
def test_a_source_that_never_answered_is_no_alert(state: SourceState) -> None:
    assert after(*(ollama_down(at, state) for at in range(60))).alert("source") is None


@pytest.mark.parametrize("state", ["foreign", "nonsense", "forbidden", "failing"])
def test_a_wrong_answer_is_an_alert_from_the_start(state: SourceState) -> None:
    alert = after(*(ollama_down(at, state) for at in range(4))).raised("source")
    assert (alert.severity, alert.since) == ("bad", START)


def test_a_server_that_served_and_is_no_longer_running_is_worth_watching() -> None:
    down = [ollama_down(at, "not_running", "connection refused at 127.0.0.1:11434") for at in range(1, 5)]
    alert = after(ollama(0), *down).raised("source")
    assert alert.severity == "watch"
    assert alert.message == "Ollama stopped: connection refused at 127.0.0.1:11434"


def test_a_source_that_hangs_from_the_start_is_an_alert() -> None:
    alert = after(silent(2), silent(3, seconds=3)).raised("source")
    assert (alert.message, alert.since) == ("Ollama at 127.0.0.1:11434 is not answering", START)


def test_silence_counts_from_the_question() -> None:
    assert after(ollama(0), silent(12, seconds=2), silent(13, seconds=3)).raised("source").since == START + 10


def test_a_server_that_hangs_may_be_loading_and_a_driver_that_hangs_is_sick() -> None:
    server = after(ollama(0), silent(5, seconds=4)).raised("source")
    driver = after(nvml(0, gpu()), silent(5, "nvml", seconds=4)).raised("source")
    assert (server.severity, driver.severity) == ("watch", "bad")
    assert driver.message == "GPU driver is not answering"


def test_a_driver_that_goes_away_is_bad() -> None:
    gone = [nvml(at, state="absent", detail="no driver library") for at in range(1, 5)]
    alert = after(nvml(0, gpu()), *gone).raised("source")
    assert (alert.severity, alert.message) == ("bad", "GPU driver is not there: no driver library")


def test_other_samples_let_the_time_of_a_silent_source_pass() -> None:
    others = [nvml(at, gpu()) for at in range(2, 6)]
    assert after(ollama(0), ollama_down(1, "failing"), *others).raised("source").since == START + 1


def test_an_answer_ends_it_once_it_stays() -> None:
    down = [ollama_down(at, "failing") for at in range(1, 5)]
    monitor = after(ollama(0), *down, *(ollama(at) for at in range(5, 9))).monitor
    assert [(alert.ended, alert.until) for alert in monitor.alerts.recent] == [("recovered", START + 5)]


def test_a_detail_from_outside_is_shown_and_not_obeyed() -> None:
    down = [ollama_down(at, "failing", "\x1b[2Joops") for at in range(1, 5)]
    assert after(ollama(0), *down).raised("source").message.endswith("is failing: ␛[2Joops")


def log(at: float, state: SourceState, source: str = "log /var/log/ollama.log") -> LogSample:
    return LogSample(time=START + at, source=source, health=SourceHealth(state=state))


def alerts(*samples: AnySample) -> list[str]:
    return [alert.subject for alert in after(*samples).monitor.alerts.active if alert.kind == "source"]


def test_a_log_that_goes_with_its_server_is_no_alert_of_its_own() -> None:
    running: list[AnySample] = [
        ollama(0),
        processes(0),
        log(0.5, "serving"),
        log(0.5, "serving", "server log"),
    ]
    stopped = [
        sample
        for at in range(1, 8)
        for sample in (
            log(at, "absent"),
            log(at, "absent", "server log"),
            processes(at, servers=()),
            ollama_down(at, "not_running"),
        )
    ]
    assert alerts(*running, *stopped) == ["Ollama at 127.0.0.1:11434"]


def test_a_log_is_optional_and_no_alert_when_it_goes_while_its_server_runs() -> None:
    running: list[AnySample] = [ollama(0), processes(0), log(0.5, "serving")]
    gone = [sample for at in range(1, 6) for sample in (log(at, "absent"), ollama(at))]
    assert alerts(*running, *gone) == []


def test_a_log_that_cannot_be_read_is_no_alert_whatever_runs() -> None:
    assert alerts(log(0, "serving"), *(log(at, "failing") for at in range(1, 6))) == []


def test_a_log_that_goes_just_before_its_server_is_seen_to_have_gone_is_no_alert() -> None:
    running: list[AnySample] = [ollama(0), processes(0), log(0.5, "serving")]
    stopping: list[AnySample] = [
        processes(5, servers=()),
        log(5.2, "absent"),
        ollama_down(5.7, "not_running"),
    ]
    later = [sample for at in range(6, 12) for sample in (nvml(at), ollama_down(at, "not_running"))]
    assert alerts(*running, *stopping, *later) == ["Ollama at 127.0.0.1:11434"]


def test_the_alert_of_a_lost_log_is_over_when_its_server_stops() -> None:
    running: list[AnySample] = [ollama(0), processes(0), log(0.5, "serving")]
    lost = [sample for at in range(1, 6) for sample in (log(at, "absent"), ollama(at))]
    stopped = [
        sample
        for at in range(6, 10)
        for sample in (processes(at, servers=()), ollama_down(at, "not_running"))
    ]
    assert alerts(*running, *lost, *stopped) == ["Ollama at 127.0.0.1:11434"]
