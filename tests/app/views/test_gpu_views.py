"""What the row and the page of a GPU say of one that is not well, or of which nothing is known."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from tests.app.alerts.watching import watch
from tests.app.state.states import state_of
from tests.fakes.samples import gpu, nvml, silent

from gpumon.app.picture.pictures import Pictures
from gpumon.app.state.state import State
from gpumon.app.views.gpus import gpu_page
from gpumon.collectors.samples import AnySample, GpuReading

MISMATCH = "driver and library versions differ"
MUTE = GpuReading(uuid="GPU-0", index=0)


def known(state: State) -> bool:
    return Pictures(state).gpus()[0].is_known


def test_a_gpu_that_tells_its_figures_is_known() -> None:
    assert known(state_of(nvml(0, gpu())))


@pytest.mark.parametrize(
    "samples",
    [
        [nvml(0, MUTE)],
        [nvml(0, gpu(state="failing"))],
        [nvml(0, gpu()), silent(3, "nvml")],
    ],
    ids=["it tells nothing", "it fails", "the driver is silent"],
)
def test_a_gpu_of_which_nothing_is_told_now_is_not_said_to_be_well(samples: list[AnySample]) -> None:
    assert not known(state_of(*samples))


def test_the_row_of_a_lost_gpu_says_why_where_that_is_more_than_the_word() -> None:
    lost = state_of(
        nvml(0, gpu(0, state="lost", detail=MISMATCH), gpu(1, state="lost", detail="GPU is lost"))
    )
    assert [one.notes for one in Pictures(lost).gpus()] == [(f"lost: {MISMATCH}",), ("lost",)]


def test_the_page_of_a_gpu_names_it_once() -> None:
    lost = replace(gpu(state="lost", detail="fell off the bus"), name="RTX 4090")
    monitor = watch(nvml(0, gpu()), nvml(1, lost))
    page = gpu_page("GPU-0", monitor.pictures, 300.0)
    assert page.verdict.sentence == "GPU 0 RTX 4090 is lost: fell off the bus"
