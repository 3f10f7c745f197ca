"""Who holds a GPU's memory, as its page says it."""

from __future__ import annotations

from msgspec.structs import replace
from tests.app.state.states import state_of
from tests.fakes.process_samples import BLOB, facts, holding, processes, runner
from tests.fakes.samples import claim, gpu, nvml, ollama

from gpumon.app.picture.pictures import Pictures
from gpumon.app.views.gpus import holder_facts
from gpumon.collectors.samples import AnySample, HolderProcess

DESKTOP = HolderProcess(pid=1, name="Xorg", group="desktop")
BROWSER = HolderProcess(pid=2, name="firefox", group="browser")
MODEL: tuple[AnySample, ...] = (
    processes(0, runner(), holders=[DESKTOP, BROWSER]),
    ollama(0.1, [claim("qwen3:14b", gpu_gib=9.0)]),
    facts(0.2, "qwen3:14b", BLOB),
)


def page(*samples: AnySample) -> list[tuple[str, str]]:
    [gpu_here] = Pictures(state_of(*samples)).gpus()
    return [(fact.label, fact.value) for fact in holder_facts(gpu_here)]


def test_models_come_first_and_then_the_others_by_what_they_are() -> None:
    held = nvml(1, holding(gpu(used_gib=12.0), {100: 9.0, 1: 0.5, 2: 2.0}))
    assert page(*MODEL, held) == [
        ("held by a model", "9.0 GiB  qwen3:14b, pid 100"),
        ("held by browsers", "2.0 GiB  firefox 2.0 GiB (pid 2)"),
        ("held by the desktop", "512 MiB  Xorg 512 MiB (pid 1)"),
    ]


def test_memory_that_came_back_is_told_with_who_held_it() -> None:
    before = nvml(1, holding(gpu(used_gib=12.0), {100: 9.0, 1: 0.5}))
    after = nvml(2, holding(gpu(used_gib=3.0), {1: 0.5}))
    (label, value) = page(*MODEL, before, after)[-1]
    assert label == "came back"
    assert value.startswith("9.0 GiB at ")
    assert value.endswith(": qwen3:14b ended")


def test_a_driver_that_lists_no_processes_says_so() -> None:
    assert page(nvml(0, replace(gpu(), processes=None))) == [("processes", "the driver does not list them")]
