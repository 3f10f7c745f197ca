"""Weights that cannot be on a GPU, of a server that claims nothing."""

from __future__ import annotations

from tests.scene import Gpu, Machine


def watched(
    measured_gib: float | None, *, gpu_layers: int | None = None, unowned_gib: float = 0.3
) -> Machine:
    """Look at a llama-server with 5 GiB of weights, of which the driver sees so much."""
    machine = Machine(Gpu(unowned_gib=unowned_gib))
    machine.llama_server(measured_gib or 0.0, gpu_layers=gpu_layers)
    return machine.run(11)


def test_less_vram_than_weights_is_a_likely_spill_and_says_that_it_is_an_estimate() -> None:
    alert = watched(2.0).raised("likely_spill")
    assert alert.severity == "watch"
    assert "3.0 GiB of 5.0 GiB" in alert.message
    assert "estimate" in alert.message


def test_a_model_that_no_gpu_holds_is_a_likely_spill() -> None:
    assert watched(None).raised("likely_spill")


def test_room_for_all_weights_is_none() -> None:
    assert watched(5.8).alert("likely_spill") is None


def test_the_token_embedding_in_ram_is_none() -> None:
    assert watched(4.7).alert("likely_spill") is None


def test_the_cpu_by_choice_is_none() -> None:
    assert watched(None, gpu_layers=0).alert("likely_spill") is None


def test_memory_without_an_owner_may_be_the_models() -> None:
    assert watched(None, unowned_gib=6.0).alert("likely_spill") is None
