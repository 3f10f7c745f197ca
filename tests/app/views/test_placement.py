"""Where a model lies by the server's log, as its page and its row say it."""

from __future__ import annotations

from tests.fakes.samples import START
from tests.scene import BLOB, Machine, Model

from gpumon.app.state.records import BufferKey, Placement
from gpumon.app.views.model_process import placement_facts
from gpumon.app.views.models import model_rows
from gpumon.collectors.samples import LogEvent

MIB = 1024**2
SPLIT = {
    BufferKey("model", "CUDA0"): 8192 * MIB,
    BufferKey("kv_cache", "CUDA0"): 512 * MIB,
    BufferKey("compute", "CUDA0"): 256 * MIB,
    BufferKey("model", "CPU_Mapped"): 2048 * MIB,
}


def page(placement: Placement | None) -> list[tuple[str, str, str | None]]:
    return [(fact.label, fact.value, fact.level) for fact in placement_facts(placement)]


def test_a_log_that_says_nothing_of_a_load_adds_nothing() -> None:
    assert page(None) == page(Placement(since=0.0)) == []


def test_layers_and_buffers_are_told_per_device_those_of_gpus_first() -> None:
    placement = Placement(since=0.0, layers_offloaded=20, layer_count=25, buffers=SPLIT)
    assert page(placement) == [
        ("layers on GPU", "20 of 25", "watch"),
        ("buffers on CUDA0", "weights 8.0 GiB, KV cache 512 MiB, compute 256 MiB", None),
        ("buffers on CPU_Mapped (RAM)", "weights 2.0 GiB", None),
    ]


def test_all_layers_on_gpus_are_no_news_but_experts_in_ram_are() -> None:
    placement = Placement(since=0.0, layers_offloaded=25, layer_count=25, buffers=SPLIT)
    assert page(placement)[0] == ("layers on GPU", "25 of 25", None)
    placement.overflowing_by_device["CUDA0"] = 5
    assert page(placement)[1] == ("layers with experts in RAM", "5", "watch")


def test_tries_that_ran_out_of_memory_are_counted() -> None:
    assert page(Placement(since=0.0, retries=1)) == [("tries before that ran out of memory", "1", "watch")]


def notes(device: str) -> str:
    events = (
        LogEvent(kind="load_started", blob=BLOB, at=START - 60),
        LogEvent(kind="buffer", component="model", device=device, size_bytes=200 * MIB),
    )
    machine = Machine()
    machine.ollama().load(Model(gpu_gib=0.2))
    machine.look("processes", "servers").logs(*events)
    (row,) = model_rows(machine.pictures)
    return "; ".join(row.notes)


def test_a_claim_on_gpu_that_the_log_places_in_ram_is_noted_on_the_row() -> None:
    assert notes("AMX") == "all of it in RAM by the server's log"
    assert notes("CUDA0") == ""
