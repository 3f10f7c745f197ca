"""Which files' names a server is asked for: those that are loaded and cannot be read on disk."""

from __future__ import annotations

from msgspec.structs import replace
from tests.fakes.process_samples import BLOB, blob_names, facts, processes, runner, server
from tests.fakes.samples import OLLAMA, claim, ollama

from gpumon.app.alerts.limits import Limits
from gpumon.app.monitor import Monitor
from gpumon.app.session.whom import unnamed_blobs
from gpumon.collectors.samples import AnySample, SourceHealth

SERVER = replace(server(), models_path="/m")
LOADING = processes(0, runner(100), servers=[SERVER])
HIDDEN = replace(blob_names(0, {}), health=SourceHealth(state="forbidden"))


def asked(*samples: AnySample, url: str = OLLAMA) -> frozenset[str]:
    monitor = Monitor(Limits())
    for sample in samples:
        monitor.feed(sample)
    return unnamed_blobs(monitor.state, url)


def test_a_file_that_loads_from_a_folder_that_cannot_be_read_is_asked_for() -> None:
    assert asked(ollama(0), LOADING, HIDDEN) == {BLOB}


def test_none_is_before_the_folder_was_looked_at() -> None:
    assert asked(ollama(0), LOADING) == frozenset()


def test_none_is_whose_name_is_known() -> None:
    assert asked(ollama(0), LOADING, blob_names(0, {BLOB: ("qwen3:8b",)})) == frozenset()
    assert asked(ollama(0), LOADING, HIDDEN, facts(0)) == frozenset()


def test_no_server_elsewhere_is_asked() -> None:
    assert asked(ollama(0), LOADING, HIDDEN, url="http://far:11434") == frozenset()


def test_no_other_server_of_this_machine_is_asked() -> None:
    other = "http://127.0.0.1:11500"
    assert asked(ollama(0), ollama(0, source=other), LOADING, HIDDEN, url=other) == frozenset()


def test_a_file_with_two_names_has_the_one_it_was_asked_for_by() -> None:
    monitor = Monitor(Limits())
    names = blob_names(0, {BLOB: ("alias", "qwen3:8b")})
    for sample in (
        ollama(0, [claim("qwen3:8b")]),
        ollama(1),
        processes(2, runner(100, started=names.time + 1.5), servers=[SERVER]),
        replace(names, time=names.time + 2),
        ollama(3),
    ):
        monitor.feed(sample)
    assert [load.name for load in monitor.state.loads.values()] == ["qwen3:8b"]
