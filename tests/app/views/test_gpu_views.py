"""What the row and the page of a GPU say of one that is not well, or of which nothing is known."""

from __future__ import annotations

import pytest
from tests.fakes.samples import nvml
from tests.scene import Gpu, Machine, after

from gpumon.app.views.gpu_page import gpu_page
from gpumon.collectors.samples import GpuReading

MISMATCH = "driver and library versions differ"
MUTE = nvml(0, GpuReading(uuid="GPU-0", index=0))


def test_a_gpu_that_tells_its_figures_is_known() -> None:
    assert Machine().look("driver").pictures.gpus()[0].is_known


@pytest.mark.parametrize(
    "machine",
    [
        after(MUTE),
        Machine(Gpu(state="failing")).look("driver"),
        Machine().look("driver").is_silent("nvml", at=3),
    ],
    ids=["it tells nothing", "it fails", "the driver is silent"],
)
def test_a_gpu_of_which_nothing_is_told_now_is_not_said_to_be_well(machine: Machine) -> None:
    assert not machine.pictures.gpus()[0].is_known


def test_the_row_of_a_lost_gpu_says_why_where_that_is_more_than_the_word() -> None:
    lost = Machine(Gpu(state="lost", detail=MISMATCH), Gpu(state="lost", detail="GPU is lost"))
    notes = [one.notes for one in lost.look("driver").pictures.gpus()]
    assert notes == [(f"lost: {MISMATCH}",), ("lost",)]


def test_the_page_of_a_gpu_names_it_once() -> None:
    machine = Machine(card := Gpu(name="RTX 4090")).look("driver")
    card.state, card.detail = "lost", "fell off the bus"
    page = gpu_page("GPU-0", machine.look("driver", at=1).pictures, 300.0)
    assert page.verdict.sentence == "GPU 0 RTX 4090 is lost: fell off the bus"
