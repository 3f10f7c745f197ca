"""Rows, page and snapshot of a llama-server: nothing is said that only Ollama says."""

from __future__ import annotations

from msgspec.structs import replace
from tests.app.state.states import state_of
from tests.fakes.process_samples import answer, holding, processes
from tests.fakes.samples import GIB, gpu, nvml
from tests.fakes.served_samples import FACTS, LLAMA, alone, served, statistics

from gpumon.app.alerts.book import AlertBook
from gpumon.app.alerts.limits import Limits
from gpumon.app.insight.health import health
from gpumon.app.monitor import Monitor
from gpumon.app.picture.pictures import Pictures
from gpumon.app.session.whom import runner_targets, served_seems_busy
from gpumon.app.snapshot.build import build_snapshot
from gpumon.app.snapshot.schema import ModelEntry
from gpumon.app.state.state import State
from gpumon.app.views.dashboard import source_rows, verdict_view
from gpumon.app.views.model_page import model_page
from gpumon.app.views.models import model_rows
from gpumon.collectors.samples import AnySample
from gpumon.widgets.views import ModelRow

PROCESS = alone()
READY = replace(answer(1, pid=500, processing=False), facts=FACTS)


def here(measured_gib: float = 6.0) -> tuple[AnySample, ...]:
    """Return what is heard of a llama-server on this machine."""
    seen = holding(gpu(used_gib=measured_gib + 0.3), {500: measured_gib})
    looks = (processes(0, PROCESS, servers=()), READY, processes(1, PROCESS, servers=()))
    return (*looks, nvml(2, seen), nvml(3, seen), nvml(4, seen))


def only_row(state: State) -> ModelRow:
    [row] = model_rows(Pictures(state))
    return row


def entry(state: State) -> ModelEntry:
    [model] = build_snapshot(Pictures(state)).models
    return model


def page_words(state: State) -> str:
    [key] = state.models
    page = model_page(" ".join(key), Pictures(state), 300.0)
    return "\n".join(f"{fact.label}: {fact.value} ({fact.origin})" for fact in page.facts)


def test_its_row_shows_what_the_driver_measures() -> None:
    row = only_row(state_of(*here()))
    assert (row.name, row.runtime) == ("llama-3-8b", "llama-server")
    assert (row.gpu_bytes, row.ram_bytes, row.gpu_is_measured) == (6 * GIB, None, True)
    assert (row.quantization, row.context_length, row.state) == ("Q4_K_M", 4096, "idle")
    assert row.notes == ()


def test_its_row_marks_a_spill_as_an_estimate() -> None:
    row = only_row(state_of(*here(2.0)))
    assert row.notes == ("about 3.0 GiB of its 5.0 GiB in RAM (estimate)",)


def test_its_page_never_speaks_of_ollama() -> None:
    words = page_words(state_of(*here()))
    assert "ollama" not in words.lower()
    assert "/api/" not in words
    assert "file: /models/llama-3-8b.gguf (/props)" in words
    assert "weights: 5.0 GiB (/v1/models)" in words


def test_the_page_of_one_far_away_shows_its_rates() -> None:
    words = page_words(state_of(served(0, "llama-3-8b"), statistics(0), statistics(1, 20), statistics(2, 50)))
    assert "decode rate: 30 tok/s (/slots)" in words


def test_one_that_sleeps_is_asleep() -> None:
    state = state_of(served(0, "llama-3-8b"), statistics(0, state="asleep"))
    assert only_row(state).state == "asleep"


def test_all_weights_on_a_gpu_is_all_well() -> None:
    state = state_of(*here())
    found = health(state, AlertBook(Limits()).active)
    assert (found.level, found.sentence) == ("ok", "1 model on GPU")


def test_its_snapshot_claims_nothing() -> None:
    model = entry(state_of(*here(2.0)))
    assert (model.runtime, model.url, model.digest) == ("llama_server", LLAMA, None)
    assert (model.claimed_size_bytes, model.claimed_vram_bytes, model.spill_fraction) == (None, None, None)
    assert (model.measured_vram_bytes, model.weights_in_ram_estimate_bytes) == (2 * GIB, 3 * GIB)
    assert model.runner is not None
    assert model.runner.joined_by == "process"


def test_its_snapshot_far_away_has_rates_and_no_runner() -> None:
    model = entry(state_of(served(0, "llama-3-8b"), statistics(0), statistics(1, 20), statistics(2, 50)))
    assert (model.decode_tokens_per_second, model.rate_source, model.runner) == (30.0, "/slots", None)


def test_a_server_that_wants_a_key_is_called_by_its_name() -> None:
    state = state_of(served(0, state="forbidden", detail="HTTP 401: an API key is asked for"))
    [row] = source_rows(state)
    assert row.name == "llama-server at 127.0.0.1:8080"


def test_its_build_stands_in_the_verdict_line() -> None:
    monitor = Monitor(Limits())
    monitor.feed(served(0, "llama-3-8b"))
    assert "llama-server b11434" in verdict_view(monitor, 1.0).right


def test_one_that_is_asked_by_its_url_is_not_asked_on_its_port_as_well() -> None:
    looks = (processes(0, PROCESS, servers=()), READY)
    assert [target.pid for target in runner_targets(state_of(*looks))] == [500]
    assert runner_targets(state_of(*looks, served(2, "llama-3-8b"))) == []
    silent = state_of(*looks, served(2, "llama-3-8b"), served(3, state="forbidden"))
    assert [target.pid for target in runner_targets(silent)] == [500]


def test_the_cpu_of_its_process_hints_at_work() -> None:
    busy = replace(PROCESS, cpu_percent=180.0)
    state = state_of(processes(0, busy, servers=()), READY, served(2, "llama-3-8b"))
    assert served_seems_busy(state, LLAMA, "llama-3-8b") is True
    assert served_seems_busy(state, LLAMA, "other") is None
