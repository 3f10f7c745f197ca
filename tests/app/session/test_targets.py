"""What is known of the processes behind a server's URL."""

from __future__ import annotations

import pytest
from tests.fakes.process_samples import STARTED, answer, processes, runner, server
from tests.fakes.samples import OLLAMA, START, claim, ollama, silent

from gpumon.app.alerts.limits import Limits
from gpumon.app.monitor import Monitor
from gpumon.app.session.whom import known_runners
from gpumon.collectors.samples import AnySample
from gpumon.collectors.servers.talk import KnownRunners


def known(*samples: AnySample, url: str = OLLAMA) -> KnownRunners | None:
    monitor = Monitor(Limits())
    for sample in samples:
        monitor.feed(sample)
    return known_runners(monitor.state, url)


def test_the_runners_of_a_server_are_known_by_pid_and_start() -> None:
    ready = (answer(2), answer(2, pid=200))
    seen = known(ollama(0, [claim("a")]), processes(1, runner(100), runner(200)), *ready)
    assert seen == KnownRunners(frozenset({(100, STARTED), (200, STARTED)}))


def test_a_runner_whose_model_is_not_ready_is_loading() -> None:
    seen = known(ollama(0, []), processes(1, runner(100, started=START)), answer(2, "loading", started=START))
    assert seen == KnownRunners(frozenset({(100, START)}), loading=True)


@pytest.mark.parametrize("url", ["http://localhost:11434", "http://[::1]:11434"])
def test_other_spellings_of_loopback_are_the_same_server(url: str) -> None:
    assert known(processes(0), url=url) == KnownRunners(frozenset())


def test_runners_of_another_server_do_not_count() -> None:
    assert known(ollama(0, []), processes(1, runner(100, server_pid=77))) == KnownRunners(frozenset())


@pytest.mark.parametrize(
    "samples",
    [
        [],
        [processes(0, servers=[])],
        [processes(0, servers=[server(10, OLLAMA, other_namespace=True)])],
        [processes(0, servers=[server(10, "http://127.0.0.1:9999")])],
        [processes(0), silent(5, "processes")],
    ],
    ids=["not looked", "hidden", "in a container", "elsewhere", "not answering"],
)
def test_of_what_is_not_seen_nothing_is_known(samples: list[AnySample]) -> None:
    assert known(*samples) is None
