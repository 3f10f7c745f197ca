"""Rows of loads in progress among those of the models."""

from __future__ import annotations

from tests.scene import Machine, Model

from gpumon.app.views.models import load_rows


def two() -> Machine:
    machine = Machine()
    server = machine.ollama()
    for pid, name in ((100, "Llama3:8b"), (101, "qwen3:14b")):
        server.starts(Model(pid=pid, blob=None, settings={"model_name": name}))
    return machine.look("processes", at=0.5)


def test_each_load_has_a_row() -> None:
    assert [row.name for row in load_rows(two().pictures)] == ["Llama3:8b", "qwen3:14b"]


def test_a_filter_leaves_out_loads_of_another_name() -> None:
    assert [row.name for row in load_rows(two().pictures, "llama")] == ["Llama3:8b"]
