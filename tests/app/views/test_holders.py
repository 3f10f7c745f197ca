"""Who holds a GPU's memory, as its page says it."""

from __future__ import annotations

from tests.scene import Gpu, Machine, Model, Program

from gpumon.app.views.gpus import holder_facts


def page(machine: Machine) -> list[tuple[str, str]]:
    [gpu_here] = machine.pictures.gpus()
    return [(fact.label, fact.value) for fact in holder_facts(gpu_here)]


def shared(*others: Program) -> Model:
    """Return a model that shares its GPU with others, as everybody has told it."""
    machine = Machine(Gpu())
    for one in others:
        machine.starts(one)
    model = machine.ollama().load(Model("qwen3:14b", gpu_gib=9.0))
    machine.look("processes", "servers").look("driver", at=1)
    return model


DESKTOP = Program("Xorg", 0.5, pid=1, group="desktop")
BROWSER = Program("firefox", 2.0, pid=2, group="browser")


def test_models_come_first_and_then_the_others_by_what_they_are() -> None:
    assert page(shared(DESKTOP, BROWSER).machine) == [
        ("held by a model", "9.0 GiB  qwen3:14b, pid 100"),
        ("held by browsers", "2.0 GiB  firefox 2.0 GiB (pid 2)"),
        ("held by the desktop", "512 MiB  Xorg 512 MiB (pid 1)"),
    ]


def test_memory_that_came_back_is_told_with_who_held_it() -> None:
    model = shared(DESKTOP)
    model.server.unload(model)
    (label, value) = page(model.machine.look("driver", at=2))[-1]
    assert label == "came back"
    assert value.startswith("9.0 GiB at ")
    assert value.endswith(": qwen3:14b ended")


def test_a_driver_that_lists_no_processes_says_so() -> None:
    machine = Machine(Gpu(lists_processes=False)).look("driver")
    assert page(machine) == [("processes", "the driver does not list them")]
