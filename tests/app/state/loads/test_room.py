"""What room a load finds, and which models had to make it."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from tests.app.state.states import state_of
from tests.fakes.process_samples import (
    answer,
    facts,
    processes,
    runner,
)
from tests.fakes.samples import GIB, START, claim, gpu, nvml, ollama, system

from gpumon.app.state.records import Load, RunnerKey
from gpumon.app.state.state import State
from gpumon.collectors.samples import AnySample, GpuMemory, LogEvent, LogSample, SourceHealth

NEW = runner(started=START)
KEY = RunnerKey(NEW.pid, NEW.started)


def only_load(state: State) -> Load:
    assert list(state.loads) == [KEY]
    return state.loads[KEY]


def log(at: float, *events: LogEvent) -> LogSample:
    return LogSample(
        time=START + at, source="log /l", health=SourceHealth(state="serving"), events=tuple(events)
    )


def loading(at: float, *, pid: int = 100, started: float = START) -> AnySample:
    return answer(at, "loading", pid=pid, started=started)


def with_memory(memory: GpuMemory | None) -> AnySample:
    return nvml(0, replace(gpu(), memory=memory))


class TestRoom:
    @pytest.mark.parametrize(
        ("memory", "room"),
        [
            (GpuMemory(total_bytes=24 * GIB, used_bytes=4 * GIB, free_bytes=19 * GIB), 19 * GIB),
            (GpuMemory(total_bytes=24 * GIB, used_bytes=4 * GIB, reserved_bytes=GIB), 19 * GIB),
            (GpuMemory(total_bytes=24 * GIB), None),
            (None, None),
        ],
        ids=["said", "reckoned", "used unknown", "nothing known"],
    )
    def test_free_memory_that_is_not_known_is_no_free_memory_of_24_gib(
        self, memory: GpuMemory | None, room: int | None
    ) -> None:
        assert only_load(state_of(with_memory(memory), processes(0.5, NEW))).room_bytes == room

    def test_without_a_gpu_there_is_no_room_on_one(self) -> None:
        assert only_load(state_of(processes(0.5, NEW))).room_bytes == 0


class TestMakingRoom:
    BEFORE = (ollama(-5, [claim("big", digest="d1")]),)

    def test_a_model_that_leaves_before_its_time_has_made_room(self) -> None:
        state = state_of(*self.BEFORE, ollama(-1), processes(0.5, NEW))
        assert only_load(state).evicted == ("big",)

    def test_one_whose_departure_is_seen_only_later_has_too(self) -> None:
        state = state_of(*self.BEFORE, processes(0.5, NEW), ollama(4))
        assert only_load(state).evicted == ("big",)

    @pytest.mark.parametrize(
        ("available_gib", "made_room"), [(7.3, ()), (7.1, ("big",))], ids=["room beside it", "none"]
    )
    def test_one_that_left_ram_has_only_where_there_was_no_room_beside_it(
        self, available_gib: float, made_room: tuple[str, ...]
    ) -> None:
        stopped = claim("big", ram_gib=6.0, gpu_gib=0.0)
        loads = replace(NEW, model_file_bytes=GIB)
        state = state_of(
            ollama(-5, [stopped]),
            ollama(-3),
            system(0, available_gib=available_gib),
            processes(0.5, loads),
            ollama(1),
        )
        assert only_load(state).evicted == made_room

    @pytest.mark.parametrize(
        ("used_gib", "made_room"), [(12.0, ()), (12.4, ("big",))], ids=["room beside it", "none"]
    )
    def test_one_that_left_a_gpu_has_only_where_there_was_no_room_beside_it(
        self, used_gib: float, made_room: tuple[str, ...]
    ) -> None:
        loads = replace(NEW, model_file_bytes=GIB)
        state = state_of(
            *self.BEFORE,
            ollama(-3),
            nvml(0, gpu(used_gib=used_gib, reserved_gib=0.6)),
            processes(0.5, loads),
            ollama(1),
        )
        assert only_load(state).evicted == made_room

    def test_one_has_though_there_was_room_where_the_server_keeps_only_one(self) -> None:
        keeps_one = LogEvent(kind="server_config", settings={"OLLAMA_MAX_LOADED_MODELS": "1"})
        loads = replace(NEW, model_file_bytes=GIB)
        state = state_of(
            log(-9, keeps_one),
            *self.BEFORE,
            ollama(-1),
            nvml(0, gpu(used_gib=1.0)),
            processes(0.5, loads),
            ollama(1),
        )
        assert only_load(state).evicted == ("big",)

    def test_one_that_had_expired_has_not(self) -> None:
        expired = replace(claim("big", digest="d1"), expires_at=START - 2)
        assert only_load(state_of(ollama(-5, [expired]), ollama(-1), processes(0.5, NEW))).evicted == ()

    def test_one_that_left_long_before_has_not(self) -> None:
        state = state_of(ollama(-60, [claim("big", digest="d1")]), ollama(-50), processes(0.5, NEW))
        assert only_load(state).evicted == ()

    def test_the_same_model_has_not(self) -> None:
        state = state_of(facts(-9), ollama(-5, [claim()]), ollama(-1), processes(0.5, NEW))
        assert only_load(state).evicted == ()

    def test_one_on_another_machine_has_not(self) -> None:
        far = "http://192.0.2.7:11434"
        told = (ollama(-5, [claim("big")], source=far), ollama(-1, source=far))
        state = state_of(*told, processes(0.5, NEW), loading(0.6))
        assert only_load(state).evicted == ()

    def test_a_server_of_its_own_asks_nobody_to_leave(self) -> None:
        alone = replace(NEW, server_pid=None)
        state = state_of(*self.BEFORE, ollama(-1), processes(0.5, alone), loading(0.6))
        assert only_load(state).evicted == ()
