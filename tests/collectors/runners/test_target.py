from __future__ import annotations

import pytest

from gpumon.collectors.runners.target import RunnerTarget, target_of
from gpumon.collectors.samples import RunnerProcess, RunnerSettings


@pytest.mark.parametrize(
    ("host", "url"),
    [
        (None, "http://127.0.0.1:9"),
        ("127.0.0.1", "http://127.0.0.1:9"),
        ("0.0.0.0", "http://127.0.0.1:9"),
        ("::", "http://[::1]:9"),
        ("::1", "http://[::1]:9"),
        ("localhost", "http://localhost:9"),
    ],
)
def test_a_runner_is_asked_on_loopback(host: str | None, url: str) -> None:
    target = RunnerTarget(1, 1.0, "llama_server", host, 9)
    assert (target.url, target.obstacle) == (url, None)


@pytest.mark.parametrize("host", ["192.0.2.1", "example.org", "fe80::1"])
def test_another_address_is_not_asked(host: str) -> None:
    assert RunnerTarget(1, 1.0, "llama_server", host, 9).obstacle is not None


@pytest.mark.parametrize(("seconds", "may_sleep"), [(None, False), (-1.0, False), (300.0, True)])
def test_minus_one_is_never_asleep(seconds: float | None, may_sleep: bool) -> None:
    assert RunnerTarget(1, 1.0, "llama_server", sleep_idle_seconds=seconds).may_sleep is may_sleep


def test_a_process_makes_a_target() -> None:
    settings = RunnerSettings(host="127.0.0.1", port=36183, sleep_idle_seconds=60.0)
    process = RunnerProcess(pid=7, started=2.0, kind="llama_server", settings=settings, other_namespace=True)
    assert target_of(process) == RunnerTarget(7, 2.0, "llama_server", "127.0.0.1", 36183, True, 60.0)


def test_only_llama_server_has_a_port_of_its_own() -> None:
    bare = RunnerSettings()
    server = RunnerProcess(pid=7, started=2.0, kind="llama_server", settings=bare)
    runner = RunnerProcess(pid=7, started=2.0, kind="ollama_runner", settings=bare)
    assert (target_of(server).port, target_of(runner).port) == (8080, None)


def test_one_in_a_container_is_asked_where_it_is_published() -> None:
    settings = RunnerSettings(host="0.0.0.0", port=8000)
    inside = RunnerProcess(
        pid=7,
        started=2.0,
        kind="llama_server",
        settings=settings,
        other_namespace=True,
        published=("http://192.0.2.7:8010", "http://[::1]:8010"),
    )
    target = target_of(inside)
    assert (target.url, target.port, target.obstacle) == ("http://192.0.2.7:8010", 8000, None)
