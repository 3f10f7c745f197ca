"""What came back while a model spilled, and how fast it is when it is whole again."""

from __future__ import annotations

from tests.fakes.samples import GIB, START
from tests.scene import Gpu, LlamaServer, Machine, Model, Program, Server, Weights

from gpumon.app.events.event import LoggedEvent

NAME = "qwen3:8b"


def model(gpu_gib: float, pid: int, started: float) -> Model:
    settings = {"model_path": "/m/q", "context_length": 8192, "parallel": 1, "micro_batch_size": 512}
    return Model(
        NAME,
        gpu_gib=gpu_gib,
        ram_gib=6.0 - gpu_gib,
        pid=pid,
        started=START + started,
        context=8192,
        weights=Weights(),
        settings=settings,
    )


def crowded(gib: float = 9.0) -> tuple[Server, Program, Model]:
    """Return a model that spills, because a program has taken its card."""
    machine = Machine(Gpu(gib=12, reserved_gib=0.25))
    server = machine.ollama()
    machine.goes_on(3)
    program = machine.starts(Program("blender", gib, 300))
    machine.goes_on(20)
    spilled = server.load(model(2.0, 100, machine.now))
    machine.run(5)
    for _ in range(3):
        spilled.request(7.0)
    machine.look()
    return server, program, spilled


def told(machine: Machine, kind: str = "gave_back") -> list[LoggedEvent]:
    return [event for event in machine.monitor.events.latest(100) if event.kind == kind]


def test_what_came_back_is_told_with_the_line_that_loads_the_model_again() -> None:
    server, program, _ = crowded()
    program.gib = 0.5
    server.machine.goes_on(3)
    [event] = told(server.machine)
    assert event.words == (
        f"blender gave back 8.5 GiB; {NAME} still spills, as it stays where it was loaded: ollama stop {NAME}"
    )
    assert event.said.ways[-1] == f"blender gave back 8.5 GiB; {NAME} still spills"
    assert (event.subject, event.about) == (NAME, "model")


def test_so_is_what_a_process_held_that_has_ended() -> None:
    server, _, _ = crowded()
    server.machine.programs.clear()
    server.machine.goes_on(3)
    [event] = told(server.machine)
    assert event.words.startswith("blender gave back 9.0 GiB; ")


def test_what_is_not_enough_says_what_is_missing() -> None:
    server, program, _ = crowded()
    program.gib = 6.5
    server.machine.goes_on(3)
    [event] = told(server.machine)
    assert event.words == f"blender gave back 2.5 GiB; {NAME} still spills: 1.6 GiB are missing"


def test_a_little_that_changes_nothing_is_not_told() -> None:
    server, program, _ = crowded()
    program.gib = 8.2
    server.machine.goes_on(3)
    assert told(server.machine) == []


def test_nothing_is_told_where_no_model_spills() -> None:
    machine = Machine(Gpu(gib=24))
    machine.ollama().load(model(6.0, 100, -60))
    program = machine.starts(Program("blender", 9.0, 300))
    machine.goes_on(5)
    program.gib = 0.5
    machine.goes_on(3)
    assert machine.state.given_back[-1].vram_bytes == int(8.5 * GIB)
    assert told(machine) == []


def test_a_model_that_is_loaded_again_does_not_tell_of_its_own_memory() -> None:
    server, _, spilled = crowded()
    server.unload(spilled)
    server.load(model(2.0, 101, server.machine.now))
    server.machine.goes_on(5)
    assert told(server.machine) == []


def test_a_model_that_nobody_can_unload_is_to_be_started_again() -> None:
    machine = Machine(Gpu(gib=12, reserved_gib=0.25))
    machine.ollama()
    machine.alone.append(LlamaServer(machine, measured_gib=2.0))
    program = machine.starts(Program("blender", 9.0, 300))
    machine.goes_on(10)
    program.gib = 0.5
    machine.goes_on(3)
    assert [event.words for event in told(machine) if "ollama" in event.words] == []


def test_once_it_is_whole_it_is_told_what_became_of_its_rate() -> None:
    server, program, spilled = crowded()
    program.gib = 0.5
    server.machine.goes_on(3)
    server.unload(spilled)
    server.machine.goes_on(3)
    whole = server.load(model(6.0, 102, server.machine.now))
    server.machine.run(5)
    for _ in range(3):
        whole.request(46.0)
    [*_, ready] = told(server.machine, "ready")
    assert ready.words.endswith("wholly on GPU again: 7.0 → 46 tok/s")
    assert ready.said.ways[-1] == f"{NAME} ready after 2s"
