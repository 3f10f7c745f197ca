"""Rows of loads in progress among those of the models."""

from __future__ import annotations

from tests.scene import Machine, Model

from gpumon.app.views.models import load_rows, model_rows


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


def test_a_load_that_its_server_lists_already_does_not_end_when_the_model_leaves() -> None:
    machine = Machine()
    server = machine.ollama()
    model = server.load(Model("qwen3:14b", expires_seconds=300.0, pid=100))
    model.port = "loading"
    machine.run(2)
    [row] = model_rows(machine.pictures)
    assert row.state == "loading"
    assert "from now" not in row.until
