"""Servers that nobody has named: missed only where nothing else serves, forgotten when they end."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from tests.fakes.process_samples import answer, processes, runner, server
from tests.fakes.samples import OLLAMA, claim, gpu, nvml, ollama, ollama_down

from gpumon.app.alerts.limits import Limits
from gpumon.app.insight.health import Health
from gpumon.app.monitor import Monitor
from gpumon.app.picture.pictures import Pictures
from gpumon.app.views.dashboard import source_rows
from gpumon.collectors.samples import AnySample, KnownBy, ServerSample, SourceHealth, SourceState

OTHER = "http://127.0.0.1:11435"
ALONE = runner(200, blob=None, name="qwen", server_pid=None)


def fed(*samples: AnySample) -> Monitor:
    monitor = Monitor(Limits())
    for sample in samples:
        monitor.feed(sample)
    return monitor


def down(known_by: KnownBy = "default", state: SourceState = "not_running") -> ServerSample:
    return replace(ollama_down(1, state, "connection refused"), known_by=known_by)


def there(url: str = OTHER, *names: str) -> ServerSample:
    return replace(ollama(2, [claim(name) for name in names]), source=url, known_by="process")


def health(*samples: AnySample) -> Health:
    monitor = fed(nvml(0, gpu()), *samples)
    return Pictures(monitor.state).health()


def test_where_nothing_serves_the_usual_server_is_missed() -> None:
    assert health(processes(0, servers=[]), down()).sentence == "1 GPU well; no Ollama at 127.0.0.1:11434"


@pytest.mark.parametrize(
    "other",
    [[there()], [processes(2, servers=[server(10, OTHER)])], [processes(2, ALONE, servers=[])]],
    ids=["a server that answers", "a process that serves", "a llama-server alone"],
)
def test_where_anything_serves_nobody_speaks_of_the_usual_one(other: list[AnySample]) -> None:
    said = health(down(), *other)
    assert "Ollama at" not in said.sentence
    monitor = fed(down(), *other)
    assert [row for row in source_rows(monitor.state) if "11434" in row.name] == []


def test_a_process_that_comes_to_serve_is_noted_at_once() -> None:
    monitor = fed(down(), processes(1, servers=[]))
    assert not monitor.state.sources[OLLAMA].is_pointless
    monitor.feed(processes(2, servers=[server(10, OTHER)]))
    assert monitor.state.sources[OLLAMA].is_pointless
    assert OLLAMA in monitor.state.touched.sources


def test_one_that_somebody_has_named_is_missed_wherever_else_one_runs() -> None:
    monitor = fed(nvml(0, gpu()), down("url"), processes(2, servers=[server(10, OTHER)]), there())
    assert Pictures(monitor.state).health().sentence.endswith("no Ollama at 127.0.0.1:11434")
    (row,) = (row for row in source_rows(monitor.state) if "11434" in row.name)
    assert row.hint == "Ollama runs here, at 127.0.0.1:11435: check --url"


def test_one_that_somebody_names_meanwhile_is_missed() -> None:
    monitor = fed(nvml(0, gpu()), down(), there(), down("url"))
    assert Pictures(monitor.state).health().sentence.endswith("no Ollama at 127.0.0.1:11434")


def test_it_is_missed_again_once_the_other_has_ended() -> None:
    monitor = fed(nvml(0, gpu()), down(), there(), replace(there(), models=None, health=ABSENT))
    assert "no Ollama at 127.0.0.1:11434" in Pictures(monitor.state).health().sentence


ABSENT = SourceHealth(state="absent")


def test_with_its_process_a_found_server_and_its_models_are_forgotten() -> None:
    monitor = fed(there(OTHER, "a:8b"))
    assert [key.source for key in monitor.state.models] == [OTHER]
    monitor.feed(replace(there(), models=None, health=ABSENT))
    assert OTHER not in monitor.state.sources
    assert (monitor.state.models, [one.claim.name for one in monitor.state.departed]) == ({}, ["a:8b"])
    assert monitor.state.touched.sources == {OTHER}


def test_one_that_is_asked_by_name_is_not_told_twice() -> None:
    refusal = replace(down("process", "forbidden"), source=OTHER)
    monitor = fed(replace(ollama(1, []), source="http://localhost:11435"), refusal)
    assert OTHER not in monitor.state.sources


@pytest.mark.parametrize("state", ["refused", "forbidden", "foreign"])
def test_a_found_server_that_was_never_heard_is_no_alarm(state: SourceState) -> None:
    assert health(down("process", state)).level == "ok"


def test_one_that_was_heard_and_fails_is() -> None:
    failing = replace(there(), models=None, health=SourceHealth(state="failing", detail="HTTP 500"))
    assert health(there(), failing).level == "bad"


def test_a_model_of_a_process_alone_is_something_that_was_read() -> None:
    monitor = fed(down(), processes(1, ALONE, servers=[]), answer(2, pid=200))
    assert monitor.state.models
    assert Pictures(monitor.state).health().exit_code == 0
