"""What models are called, in which order they stand, and what is said of a claim that makes no sense."""

from __future__ import annotations

from msgspec.structs import replace
from tests.fakes.samples import GIB, claim, ollama
from tests.scene import Machine, Model, after

from gpumon.app.views.dashboard import ModelOrder, dashboard_view
from gpumon.app.views.models import model_rows
from gpumon.widgets.views import ModelRow

FAR = "http://box:11434"


def rows(machine: Machine) -> tuple[ModelRow, ...]:
    return model_rows(machine.pictures, "spill")


def here_and_there(here: str, there: str) -> Machine:
    """Return a machine with a model of its own, and one of another that it asks too."""
    machine = Machine()
    machine.ollama().load(Model(here))
    machine.ollama(FAR).load(Model(there))
    return machine.look("driver", "servers")


def test_a_model_of_two_servers_is_named_with_each() -> None:
    both = rows(here_and_there("qwen3:14b", "qwen3:14b"))
    assert {row.name for row in both} == {"qwen3:14b @ 127.0.0.1:11434", "qwen3:14b @ box:11434"}


def test_models_of_different_names_keep_them_bare() -> None:
    both = rows(here_and_there("qwen3:14b", "qwen3:8b"))
    assert {row.name for row in both} == {"qwen3:14b", "qwen3:8b"}


def test_the_alert_and_the_verdict_name_the_server_too() -> None:
    machine = here_and_there("qwen3:14b", "qwen3:14b")
    machine.servers[1].models[0].ram_gib = 5.0
    for at in (0.2, 1.2):
        machine.look("servers", at=at)
    view = dashboard_view(machine.monitor, ModelOrder())
    assert view.alerts[0].message.startswith("qwen3:14b @ box:11434 spill: 5.0 GiB")
    assert view.verdict.sentence.startswith("qwen3:14b @ box:11434 spills 5.0 GiB")


def test_what_spills_most_stands_first_and_equals_by_name() -> None:
    machine = Machine()
    server = machine.ollama()
    for name, ram_gib in (("b", 0.0), ("c", 1.0), ("a", 0.0), ("d", 9.0)):
        server.load(Model(name, ram_gib=ram_gib))
    assert [row.name for row in rows(machine.look("servers"))] == ["d", "c", "a", "b"]


def test_more_on_the_gpu_than_there_is_of_the_model_is_not_plausible() -> None:
    odd = replace(claim(), size_bytes=4 * GIB, size_vram_bytes=5 * GIB)
    (row,) = rows(after(ollama(0, [odd])))
    assert row.notes == ("claim not plausible: 5.0 GiB on GPU of 4.0 GiB in all",)
    assert row.gpu_bytes is None
