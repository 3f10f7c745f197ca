from __future__ import annotations

import pytest
from msgspec.structs import replace
from tests.fakes.process_samples import BLOB, answer, facts, holding, processes, runner
from tests.fakes.samples import GIB, START, claim, gpu, nvml, ollama
from tests.scene import after

from gpumon.app.state.holders.others import GroupHolding, Holding, holders_by_group
from gpumon.app.state.state import RETURNED_KEPT
from gpumon.collectors.samples import AnySample, GpuProcess, HolderProcess

MIB = 1024**2
DESKTOP = HolderProcess(pid=1, name="Xorg", group="desktop")
BROWSER = HolderProcess(pid=2, name="firefox", group="browser")


def test_foreign_processes_are_grouped_on_each_gpu_the_largest_first() -> None:
    state = after(
        processes(0, runner(), holders=[DESKTOP, replace(DESKTOP, pid=3, name="kwin"), BROWSER]),
        nvml(1, holding(gpu(0), {100: 9.0, 1: 0.25, 2: 2.0, 3: 0.5}), holding(gpu(1), {1: 0.25})),
    ).state
    found = holders_by_group(state)
    assert [(one.group, one.vram_bytes) for one in found["GPU-0"]] == [
        ("browser", 2 * GIB),
        ("desktop", GIB * 3 // 4),
    ]
    assert [one.name for one in found["GPU-0"][1].processes] == ["kwin", "Xorg"]
    assert found["GPU-1"] == (GroupHolding("desktop", GIB // 4, (Holding(1, "Xorg", "desktop", GIB // 4),)),)


def test_a_process_of_another_namespace_is_a_containers_and_any_other_is_just_other() -> None:
    stranger, known = GpuProcess(pid=5, vram_bytes=GIB), GpuProcess(pid=6, vram_bytes=MIB, name="blender")
    state = after(nvml(0, replace(gpu(), processes=(stranger, known)))).state
    assert [(one.group, one.processes[0].name) for one in holders_by_group(state)["GPU-0"]] == [
        ("container", None),
        ("other", "blender"),
    ]


def test_a_size_that_is_not_said_makes_its_group_unknown() -> None:
    state = after(
        processes(0, holders=[DESKTOP, replace(DESKTOP, pid=3)]),
        nvml(1, holding(gpu(), {1: 1.0, 3: None})),
    ).state
    assert [one.vram_bytes for one in holders_by_group(state)["GPU-0"]] == [None]


def test_a_gpu_without_list_is_left_out() -> None:
    assert holders_by_group(after(nvml(0, gpu(0), holding(gpu(1), {}))).state) == {"GPU-1": ()}


def returned(*samples: AnySample) -> list[tuple[str | None, float, float]]:
    return [(one.name, one.vram_bytes / GIB, one.time - START) for one in after(*samples).state.returned]


WITH = nvml(0, holding(gpu(used_gib=6.0), {2: 2.0, 3: 3.0}))


class TestReturned:
    def test_memory_that_falls_when_a_process_ends_came_back(self) -> None:
        ended = nvml(1, holding(gpu(used_gib=3.0), {2: 2.0}))
        assert returned(WITH, ended) == [("p3", 3.0, 1.0)]

    def test_it_came_back_though_another_process_took_it_at_once(self) -> None:
        swapped = nvml(1, holding(gpu(used_gib=6.0), {2: 2.0, 4: 3.0}))
        assert returned(WITH, swapped) == [("p3", 3.0, 1.0)]

    def test_memory_that_stays_has_not_come_back_yet(self) -> None:
        lagging = nvml(1, holding(gpu(used_gib=6.0), {2: 2.0}))
        assert returned(WITH, lagging) == []
        assert [left.name for left in after(WITH, lagging).state.gpus["GPU-0"].leftovers] == ["p3"]

    def test_it_may_come_back_later(self) -> None:
        late = (nvml(1, holding(gpu(used_gib=6.0), {2: 2.0})), nvml(2, holding(gpu(used_gib=3.0), {2: 2.0})))
        assert returned(WITH, *late) == [("p3", 3.0, 2.0)]
        assert not after(WITH, *late).state.gpus["GPU-0"].leftovers

    def test_a_process_that_is_listed_again_had_not_ended(self) -> None:
        assert (
            returned(WITH, nvml(1, holding(gpu(used_gib=6.0), {2: 2.0})), replace(WITH, time=START + 2)) == []
        )

    def test_a_small_process_is_not_worth_telling(self) -> None:
        before, later = holding(gpu(used_gib=1.05), {2: 0.05}), holding(gpu(used_gib=1.0), {})
        assert returned(nvml(0, before), nvml(1, later)) == []

    def test_a_list_that_is_refused_tells_of_no_end(self) -> None:
        assert returned(WITH, nvml(1, gpu(used_gib=1.0))) == []
        assert returned(WITH, nvml(1, gpu(state="lost"))) == []

    def test_a_process_that_loses_its_name_while_it_ends_is_still_there(self) -> None:
        zombie = replace(gpu(used_gib=6.0), processes=(GpuProcess(pid=3, vram_bytes=3 * GIB),))
        assert returned(nvml(0, holding(gpu(used_gib=6.0), {3: 3.0})), nvml(1, zombie)) == []

    @pytest.mark.parametrize("goes_first", [True, False])
    def test_a_runner_is_named_by_its_model(self, goes_first: bool) -> None:
        gone = (ollama(1), nvml(1, holding(gpu(used_gib=1.0), {})))
        joined = (processes(0, runner()), ollama(0, [claim()]), facts(0))
        loaded = nvml(0, holding(gpu(used_gib=11.0), {100: 10.0}))
        assert returned(*joined, loaded, *(gone if goes_first else reversed(gone)))[0][0] == "llama3:70b"

    def test_a_runner_that_another_has_replaced_is_named_by_the_model_that_it_had_loaded(self) -> None:
        first = (facts(0, "llama3:70b", BLOB), processes(0, runner()), answer(0.1, "loading"), answer(1))
        held = (ollama(1.1, [claim()]), nvml(1.2, holding(gpu(used_gib=11.0), {100: 10.0})))
        again = (processes(2, runner(101, started=START + 1.5)), ollama(2.1, [claim()]))
        later = nvml(3, holding(gpu(used_gib=4.0), {101: 3.0}))
        assert returned(*first, *held, *again, later) == [("llama3:70b", 10.0, 3.0)]

    def test_a_holder_is_named_as_such(self) -> None:
        before, after = holding(gpu(used_gib=3.0), {2: 2.0}), holding(gpu(used_gib=1.0), {})
        assert returned(processes(0, holders=[BROWSER]), nvml(0, before), nvml(1, after))[0][0] == "firefox"

    def test_what_is_kept_is_bounded(self) -> None:
        polls = [
            nvml(at, holding(gpu(used_gib=3.0 if at % 2 else 1.0), {at: 2.0} if at % 2 else {}))
            for at in range(3 * RETURNED_KEPT)
        ]
        assert len(returned(*polls)) == RETURNED_KEPT
