"""Rows of loads in progress among those of the models."""

from __future__ import annotations

from tests.app.state.states import state_of
from tests.fakes.process_samples import processes, runner
from tests.fakes.samples import START

from gpumon.app.picture.pictures import Pictures
from gpumon.app.views.models import load_rows

TWO = processes(
    0.5,
    runner(100, None, name="Llama3:8b", started=START),
    runner(101, None, name="qwen3:14b", started=START),
)


def test_each_load_has_a_row() -> None:
    assert [row.name for row in load_rows(Pictures(state_of(TWO)))] == ["Llama3:8b", "qwen3:14b"]


def test_a_filter_leaves_out_loads_of_another_name() -> None:
    assert [row.name for row in load_rows(Pictures(state_of(TWO)), "llama")] == ["Llama3:8b"]
