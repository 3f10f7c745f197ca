"""Models that have left: why, for how long they are spoken of, and that they count nowhere as loaded."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec.structs import replace
from tests.fakes.process_samples import answer, processes
from tests.fakes.samples import GIB, OLLAMA, START, claim, ollama
from tests.fakes.served_samples import alone, served
from tests.scene import Gpu, LlamaServer, Machine, Model, Server, after

from gpumon.app.insight.leaving import SHOWN_SECONDS, Left, left_models
from gpumon.app.state.records import ModelKey
from gpumon.app.views.models import all_rows
from gpumon.collectors.samples import LogEvent

NAME, OTHER = "qwen3:32b", "mistral-small:24b"
HOUR = 3600.0


@pytest.fixture
def machine() -> Machine:
    return Machine(Gpu(gib=24), Gpu(gib=24))


@pytest.fixture
def server(machine: Machine) -> Server:
    return machine.ollama()


@pytest.fixture
def model(machine: Machine, server: Server) -> Model:
    one = server.load(Model(NAME, gpu_gib=20.0, expires_seconds=HOUR, pid=100, gpu=1))
    machine.run(2)
    return one


def only_left(machine: Machine) -> Left:
    [left] = left_models(machine.state)
    return left


def goes(machine: Machine, model: Model) -> Left:
    model.server.unload(model)
    machine.goes_on(1)
    return only_left(machine)


def test_what_was_loaded_in_its_place_is_the_reason(machine: Machine, server: Server, model: Model) -> None:
    assert goes(machine, model).reason == "unloaded"
    server.starts(Model(OTHER, pid=101, blob=f"sha256-{'b' * 64}", measured_gib=12.0))
    machine.goes_on(3)
    assert only_left(machine).reason == f"made room for {OTHER}"


def test_one_that_left_before_its_time_for_no_other_was_unloaded_on_request(
    machine: Machine, model: Model
) -> None:
    assert goes(machine, model).reason == "unloaded"
    machine.goes_on(12)
    assert only_left(machine).reason == "unloaded by request"


def test_of_a_server_whose_loads_are_not_seen_it_is_not_known_what_it_made_room_for(machine: Machine) -> None:
    remote = "http://192.0.2.7:11434"
    machine.say(ollama(0, [replace(claim(NAME), expires_at=START + HOUR)], source=remote))
    for at in range(1, 30):
        machine.say(ollama(at, [], source=remote))
        assert only_left(machine).reason == "unloaded"


def test_one_that_was_seen_to_be_stopped_was_unloaded_on_request(machine: Machine, model: Model) -> None:
    model.expires_seconds = machine.now
    machine.goes_on(1)
    assert goes(machine, model).reason == "unloaded by request"


def test_one_that_the_user_has_unloaded_says_so(machine: Machine, model: Model) -> None:
    machine.monitor.note_unload(model.record.key)
    assert goes(machine, model).reason == "unloaded by you"


@pytest.mark.parametrize("is_refused", [True, False])
def test_what_the_user_asked_long_ago_or_in_vain_is_not_the_reason(
    machine: Machine, model: Model, *, is_refused: bool
) -> None:
    machine.monitor.note_unload(model.record.key)
    if is_refused:
        machine.monitor.note_unload(model.record.key, is_asked=False)
    else:
        machine.goes_on(70)
    assert goes(machine, model).reason == "unloaded"


def test_an_unload_of_what_is_not_there_is_nothing(machine: Machine) -> None:
    machine.monitor.note_unload(ModelKey(OLLAMA, "sha-x"))


def test_one_whose_time_was_over_has_expired(machine: Machine, model: Model) -> None:
    model.expires_seconds = machine.now + 5
    machine.goes_on(6)
    assert goes(machine, model).reason == "expired"


def test_one_whose_process_had_ended_before_its_server_knew_has_crashed(
    machine: Machine, model: Model
) -> None:
    model.dies()
    machine.goes_on(5)
    assert goes(machine, model).reason == "crashed"


def test_one_whose_end_stands_in_the_log_has_crashed(machine: Machine, model: Model) -> None:
    model.dies()
    machine.goes_on(1)
    machine.logs(LogEvent(kind="runner_ended", text="signal: killed"))
    assert goes(machine, model).reason == "crashed"


def test_one_that_goes_with_its_card_says_which(machine: Machine, model: Model) -> None:
    machine.gpus[1].state = "lost"
    assert goes(machine, model).reason == "GPU 1 lost"
    machine.gpus[1].state = "ok"
    machine.goes_on(5)
    assert only_left(machine).reason == "GPU 1 lost"


def test_one_that_went_with_its_card_is_spoken_of_until_that_is_back(
    machine: Machine, server: Server, model: Model
) -> None:
    machine.gpus[1].state = "lost"
    model.dies()
    server.state, server.is_here = "not_running", False
    server.unload(model)
    machine.goes_on(600)
    left = only_left(machine)
    assert (left.reason, left.is_held) == ("GPU 1 lost", False)
    assert [row.left_reason for row in all_rows(machine.pictures)] == ["GPU 1 lost"]
    machine.gpus[1].state = "ok"
    machine.goes_on(2)
    assert machine.pictures.left() == ()


def test_a_card_lost_long_before_is_not_the_reason(machine: Machine, model: Model) -> None:
    machine.gpus[1].state = "lost"
    machine.goes_on(1)
    machine.gpus[1].state = "ok"
    machine.goes_on(60)
    assert goes(machine, model).reason == "unloaded"


def test_one_whose_server_stopped_says_so(machine: Machine, server: Server, model: Model) -> None:
    server.state, server.is_here = "not_running", False
    machine.goes_on(1)
    assert only_left(machine).reason == "server stopped"
    server.state, server.is_here, server.models = None, True, []
    machine.goes_on(5)
    assert only_left(machine).reason == "server stopped"


def test_a_llama_server_that_ended_is_a_server_that_stopped(machine: Machine) -> None:
    one: LlamaServer = machine.llama_server()
    machine.run(3)
    assert machine.state.models
    one.is_here = False
    machine.goes_on(1)
    assert only_left(machine).reason == "server stopped"


def test_it_is_spoken_of_for_a_minute(machine: Machine, model: Model) -> None:
    assert goes(machine, model).seconds == pytest.approx(0.0)
    machine.goes_on(int(SHOWN_SECONDS) - 1)
    assert only_left(machine).seconds == pytest.approx(SHOWN_SECONDS - 1)
    machine.goes_on(1)
    assert not left_models(machine.state)


def orphaned(machine: Machine, server: Server, model: Model) -> None:
    """End the server, not the process of its model."""
    server.state = "not_running"
    machine.goes_on(1)


def test_one_whose_process_is_still_there_is_spoken_of_until_that_has_gone(
    machine: Machine, server: Server, model: Model
) -> None:
    orphaned(machine, server, model)
    machine.goes_on(300)
    left = only_left(machine)
    assert (left.is_held, left.vram_bytes) == (True, 20 * GIB)
    [row] = all_rows(machine.pictures)
    assert (row.name, row.left_reason) == (NAME, "server stopped")
    assert row.age_seconds == pytest.approx(301, abs=2)
    segments = [one.label for gpu in machine.pictures.gpus() for one in gpu.segments if one.kind == "model"]
    assert segments == [NAME]
    model.is_running = False
    machine.goes_on(1)
    assert not left_models(machine.state)


def test_a_process_that_only_the_driver_lists_still_has_the_name_of_its_model(
    machine: Machine, server: Server, model: Model
) -> None:
    server.unload(model)
    machine.look("processes", "servers", at=machine.now + 1)
    left = only_left(machine)
    assert (left.is_held, left.vram_bytes) == (True, 20 * GIB)
    segments = [one.label for gpu in machine.pictures.gpus() for one in gpu.segments if one.kind == "model"]
    assert segments == [NAME]


def test_one_that_is_loaded_again_has_not_left(machine: Machine, server: Server, model: Model) -> None:
    goes(machine, model)
    server.load(Model(NAME, gpu_gib=20.0, pid=102))
    machine.goes_on(1)
    assert not left_models(machine.state)


def test_one_that_loads_again_has_not_left(machine: Machine, server: Server, model: Model) -> None:
    goes(machine, model)
    server.starts(Model(NAME, pid=102))
    machine.goes_on(2)
    assert not left_models(machine.state)
    assert [row.name for row in all_rows(machine.pictures)] == [NAME]


def test_one_of_which_its_url_tells_now_has_not_left() -> None:
    """A model is known by its process first, and by its server's URL once that is asked."""
    state = after(
        processes(0, alone(), servers=()),
        answer(1, pid=500),
        replace(served(2, "llama-3-8b"), source="http://localhost:8080"),
        processes(3, alone(), servers=()),
    ).state
    assert state.departed
    assert not left_models(state)


def test_of_one_that_left_twice_the_last_time_counts(machine: Machine, server: Server, model: Model) -> None:
    goes(machine, model)
    server.load(model)
    machine.goes_on(3)
    assert goes(machine, model).seconds == pytest.approx(0.0)


def test_one_that_left_counts_nowhere_as_loaded(machine: Machine, server: Server, model: Model) -> None:
    goes(machine, model)
    pictures = machine.pictures
    assert pictures.models() == ()
    assert pictures.health().sentence == "no model loaded"
    assert pictures.key_of(pictures.left()[0].id) is None


@pytest.mark.parametrize(
    "later", [lambda machine: machine.goes_on(4), lambda machine: machine.look(at=machine.now + 50)]
)
def test_a_process_that_has_the_pid_of_one_that_ended_is_not_its(
    machine: Machine, model: Model, later: Callable[[Machine], object]
) -> None:
    goes(machine, model)
    later(machine)
    assert not only_left(machine).is_held


def test_many_that_leave_at_once_are_looked_at_in_one_go() -> None:
    machine = Machine()
    machine.say(ollama(0, [claim(f"m{at}") for at in range(200)]), ollama(1, []))
    assert len(left_models(machine.state)) == machine.state.departed.maxlen
