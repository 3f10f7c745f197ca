"""Weights that cannot be on a GPU, of a server that claims nothing."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace
from tests.app.alerts.watching import active, raised, watch
from tests.fakes.process_samples import answer, holding, processes
from tests.fakes.samples import gpu, nvml
from tests.fakes.served_samples import FACTS, alone

from gpumon.app.monitor import Monitor
from gpumon.collectors.samples import AnySample


def rounds(measured_gib: float | None, gpu_layers: int | None, unowned_gib: float) -> Iterator[AnySample]:
    """Yield looks at a llama-server with 5 GiB of weights, of which the driver sees so much."""
    process = alone(gpu_layers=gpu_layers)
    held = {} if measured_gib is None else {process.pid: measured_gib}
    for second in range(12):
        yield processes(second, process, servers=())
        yield replace(answer(second, pid=process.pid, processing=False), facts=FACTS)
        yield nvml(second, holding(gpu(used_gib=(measured_gib or 0.0) + unowned_gib), held))


def watched(
    measured_gib: float | None, *, gpu_layers: int | None = None, unowned_gib: float = 0.3
) -> Monitor:
    return watch(*rounds(measured_gib, gpu_layers, unowned_gib))


def test_less_vram_than_weights_is_a_likely_spill_and_says_that_it_is_an_estimate() -> None:
    alert = raised(watched(2.0), "likely_spill")
    assert alert.severity == "watch"
    assert "3.0 GiB of 5.0 GiB" in alert.message
    assert "estimate" in alert.message


def test_a_model_that_no_gpu_holds_is_a_likely_spill() -> None:
    assert raised(watched(None), "likely_spill")


def test_room_for_all_weights_is_none() -> None:
    assert active(watched(5.8), "likely_spill") is None


def test_the_token_embedding_in_ram_is_none() -> None:
    assert active(watched(4.7), "likely_spill") is None


def test_the_cpu_by_choice_is_none() -> None:
    assert active(watched(None, gpu_layers=0), "likely_spill") is None


def test_memory_without_an_owner_may_be_the_models() -> None:
    assert active(watched(None, unowned_gib=6.0), "likely_spill") is None
