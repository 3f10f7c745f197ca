"""Rows, page and snapshot of a llama-server: nothing is said that only Ollama says."""

from __future__ import annotations

from tests.fakes.samples import GIB
from tests.fakes.served_samples import LLAMA
from tests.scene import Gpu, LlamaServer, Machine

from gpumon.app.insight.health import health
from gpumon.app.session.whom import runner_targets, served_seems_busy
from gpumon.app.snapshot.build import build_snapshot
from gpumon.app.snapshot.schema import ModelEntry
from gpumon.app.views.band import source_rows, watched_words
from gpumon.app.views.model_page import model_page
from gpumon.app.views.models import model_rows
from gpumon.widgets.views import ModelRow


def here(measured_gib: float = 6.0) -> Machine:
    """Return a machine with a llama-server, of which its driver was asked three times."""
    machine = found(measured_gib).machine.look("processes")
    for at in (2, 3, 4):
        machine.look("driver", at=at)
    return machine


def found(measured_gib: float = 6.0) -> LlamaServer:
    """Return one that was found here and asked on its port."""
    machine = Machine(Gpu(unowned_gib=0.3))
    server = machine.llama_server(measured_gib)
    machine.look("processes").look("ports", at=1)
    return server


def far_away() -> Machine:
    """Return a machine that asks one elsewhere while it generates 30 tokens a second."""
    machine = Machine()
    server = machine.llama_server(is_asked=True, is_here=False)
    for at, server.decoded in enumerate((None, 20, 50)):
        machine.look("servers", at=at)
    return machine


def only_row(machine: Machine) -> ModelRow:
    [row] = model_rows(machine.pictures)
    return row


def entry(machine: Machine) -> ModelEntry:
    [model] = build_snapshot(machine.pictures).models
    return model


def page_words(machine: Machine) -> str:
    [key] = machine.state.models
    page = model_page(" ".join(key), machine.pictures, 300.0)
    return "\n".join(f"{fact.label}: {fact.value} ({fact.origin})" for fact in page.facts)


def test_its_row_shows_what_the_driver_measures() -> None:
    row = only_row(here())
    assert (row.name, row.runtime) == ("llama-3-8b", "llama-server")
    assert (row.gpu_bytes, row.ram_bytes) == (6 * GIB, None)
    assert (row.quantization, row.context_length, row.state) == ("Q4_K_M", 4096, "idle")
    assert row.notes == ()


def test_its_row_marks_a_spill_as_an_estimate() -> None:
    row = only_row(here(2.0))
    assert row.notes == ("about 3.0 GiB of its 5.0 GiB in RAM (estimate)",)


def test_its_page_never_speaks_of_ollama() -> None:
    words = page_words(here())
    assert "ollama" not in words.lower()
    assert "/api/" not in words
    assert "file: /models/llama-3-8b.gguf (/props)" in words
    assert "weights: 5.0 GiB (/v1/models)" in words


def test_the_page_of_one_far_away_shows_its_rates() -> None:
    words = page_words(far_away())
    assert "decode rate: 30 tok/s (/slots)" in words


def test_one_that_sleeps_is_asleep() -> None:
    machine = Machine()
    machine.llama_server(is_asked=True, is_here=False).port = "asleep"
    assert only_row(machine.look("servers")).state == "asleep"


def test_all_weights_on_a_gpu_is_all_well() -> None:
    machine = here()
    told = health(machine.state, machine.monitor.alerts.active)
    assert (told.level, told.sentence) == ("ok", "1 model on GPU")


def test_its_snapshot_claims_nothing() -> None:
    model = entry(here(2.0))
    assert (model.runtime, model.url, model.digest) == ("llama_server", LLAMA, None)
    assert (model.claimed_size_bytes, model.claimed_vram_bytes, model.spill_fraction) == (None, None, None)
    assert (model.measured_vram_bytes, model.weights_in_ram_estimate_bytes) == (2 * GIB, 3 * GIB)
    assert model.runner is not None
    assert model.runner.joined_by == "process"


def test_its_snapshot_far_away_has_rates_and_no_runner() -> None:
    model = entry(far_away())
    assert (model.decode_tokens_per_second, model.rate_source, model.runner) == (30.0, "/slots", None)


def test_a_server_that_wants_a_key_is_called_by_its_name() -> None:
    machine = Machine()
    server = machine.llama_server(is_asked=True, is_here=False)
    server.state, server.detail = "forbidden", "HTTP 401: an API key is asked for"
    [row] = source_rows(machine.look("servers").state)
    assert row.name == "llama-server at 127.0.0.1:8080"


def test_its_build_is_told() -> None:
    assert "llama-server b11434" in watched_words(far_away().monitor, 1.0)


def test_one_that_is_asked_by_its_url_is_not_asked_on_its_port_as_well() -> None:
    server = found()
    machine = server.machine
    assert [target.pid for target in runner_targets(machine.state)] == [500]
    server.is_asked = True
    assert runner_targets(machine.look("servers", at=2).state) == []
    server.state = "forbidden"
    assert [target.pid for target in runner_targets(machine.look("servers", at=3).state)] == [500]


def test_the_cpu_of_its_process_hints_at_work() -> None:
    server = found()
    server.cpu_percent, server.is_asked = 180.0, True
    state = server.machine.look("processes", "servers", at=2).state
    assert served_seems_busy(state, LLAMA, "llama-3-8b") is True
    assert served_seems_busy(state, LLAMA, "other") is None
