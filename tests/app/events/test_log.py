"""Each kind of event, told of a machine to which it happens."""

from __future__ import annotations

import pytest
from tests.fakes.samples import claim, ollama
from tests.scene import Gpu, Loading, Machine, Model, Server

from gpumon.app.events.entries import KEPT
from gpumon.app.events.event import LoggedEvent, joined
from gpumon.app.insight.wording import model_id
from gpumon.collectors.samples import Slot

REMOTE = "http://box:11434"


def past(machine: Machine) -> list[str]:
    """Return what has happened, the newest first."""
    return [event.words for event in machine.monitor.events.feed.past]


def ongoing(machine: Machine) -> list[str]:
    return [event.words for event in machine.monitor.events.feed.ongoing]


def kinds(machine: Machine) -> list[str]:
    return [event.kind for event in machine.monitor.events.latest(100)]


def only(machine: Machine) -> LoggedEvent:
    [event] = machine.monitor.events.feed.past
    return event


def served(*models: Model, gpus: int = 1) -> Server:
    """Return a server that had these models when it was first seen, 5 s ago."""
    machine = Machine(*(Gpu() for _ in range(gpus)))
    server = machine.ollama()
    for model in models:
        server.load(model)
    machine.run(5)
    return server


def test_what_is_loaded_when_it_is_first_seen_is_no_event() -> None:
    assert past(served(Model("a")).machine) == []


class TestLoads:
    """How models come."""

    def begun(self) -> Server:
        server = served()
        model = Model("a", gpu_gib=6.4, blob=None, settings={"model_name": "a", "context_length": 4096})
        model.loading = Loading(weights_gib=4.0)
        server.starts(model)
        server.machine.goes_on(3)
        return server

    def test_a_load_is_told_while_it_goes_on(self) -> None:
        server = self.begun()
        assert past(server.machine) == ["a loads, context 4096"]
        assert only(server.machine).lasts

    def test_one_that_is_over_is_told_by_when_it_was_ready(self) -> None:
        server = self.begun()
        server.models[0].is_claimed = True
        server.machine.goes_on(12)
        [line] = past(server.machine)
        assert line.startswith("a ready after ")
        assert line.endswith("s, context 4096")
        assert kinds(server.machine) == ["load", "ready"]

    def test_both_are_about_the_model_once_it_is_claimed(self) -> None:
        server = self.begun()
        server.models[0].is_claimed = True
        server.machine.goes_on(12)
        ids = {event.subject_id for event in server.machine.monitor.events.latest(9)}
        assert ids == {model_id(server.models[0].record.key)}

    def test_a_model_whose_load_nobody_saw_is_said_to_be_loaded(self) -> None:
        machine = Machine()
        machine.ollama(REMOTE, pid=900).is_here = False
        machine.run(3)
        machine.servers[0].load(Model("a", is_running=False))
        machine.goes_on(6)
        assert past(machine) == ["a loaded, context 8192"]

    def test_a_reload_says_what_was_asked_for_and_what_was_before(self) -> None:
        server = served(Model("a", blob="sha256-aa", context=4096, settings={"context_length": 4096}))
        machine = server.machine
        server.drops(server.models[0], at=machine.now + 1)
        settings = {"context_length": 32768}
        server.starts(Model("a", blob="sha256-aa", pid=101, context=32768, settings=settings), after=0.5)
        machine.now += 1
        server.models[0].port = "loading"
        machine.goes_on(2)
        server.models[0].port, server.models[0].is_claimed = "ready", True
        machine.goes_on(12)
        assert past(machine)[-1] == "a reloads: a request asked for context 32768 (was 4096)"
        assert past(machine)[0].endswith(", context 32768")
        assert len(past(machine)) == 2  # that it left for a moment is no event
        marks = machine.monitor.events.marks(model_id(server.models[0].record.key))
        assert [mark.word for mark in marks] == ["reload"]


class TestDepartures:
    """Why models go."""

    def left(self, model: Model, seconds: int = 12) -> Machine:
        """Unload a model and look for so long."""
        server = model.server
        server.unload(model)
        return server.machine.goes_on(seconds)

    def test_one_that_made_room_says_for_whom(self) -> None:
        server = served(old := Model("old", gpu_gib=20.0, expires_seconds=300.0))
        machine = server.machine
        server.drops(old, at=machine.now + 1)
        new = server.starts(Model("new", pid=101, gpu_gib=20.0, file_gib=19.0, blob="sha256-bb"), after=0.5)
        new.settings = {"model_name": "new"}
        machine.now += 1
        new.port = "loading"
        machine.goes_on(2)
        assert "old left: made room for new" in past(machine)

    def test_one_that_nobody_used_has_expired(self) -> None:
        server = served(Model("a", expires_seconds=7.0))
        machine = server.machine.goes_on(3)
        assert past(self.left(server.models[0], 1)) == ["a left: expired"]
        assert kinds(machine) == ["expired"]

    def test_one_that_the_user_unloads_here_is_told_so(self) -> None:
        server = served(Model("a", expires_seconds=300.0))
        server.machine.monitor.events.note_unload(server.models[0].record.key)
        assert past(self.left(server.models[0], 1)) == ["a unloaded by you"]

    def test_one_that_was_asked_to_stop_is_unloaded_on_request(self) -> None:
        server = served(model := Model("a", expires_seconds=300.0))
        model.expires_seconds = server.machine.now
        server.machine.goes_on(1)
        assert past(self.left(model, 1)) == ["a unloaded on request"]

    def test_for_a_moment_nothing_is_said_of_one_that_may_be_loaded_again(self) -> None:
        server = served(Model("a", expires_seconds=300.0))
        machine = self.left(server.models[0], 1)
        assert past(machine) == []
        assert past(machine.goes_on(3)) == ["a left"]
        assert past(machine.goes_on(9)) == ["a unloaded on request"]

    def test_of_a_server_elsewhere_it_is_not_known_why(self) -> None:
        machine = Machine()
        machine.say(ollama(0, [claim("a")], source=REMOTE))
        for at in range(1, 30):
            machine.say(ollama(at, [], source=REMOTE))
        assert past(machine) == ["a left"]

    def test_models_that_stop_with_their_server_are_in_its_line(self) -> None:
        server = served(Model("a"), Model("b", pid=101, blob="sha256-bb"))
        server.state, server.is_here = "not_running", False
        machine = server.machine.goes_on(6)
        assert past(machine) == []
        assert ongoing(machine) == ["Ollama stopped; a and b went with it"]
        server.models.clear()
        server.state, server.is_here = None, True
        machine.goes_on(20)
        assert kinds(machine) == ["source", "answers"]

    def test_a_process_of_its_own_that_ends_is_told_once(self) -> None:
        machine = Machine()
        one = machine.llama_server()
        machine.run(5)
        machine.alone.remove(one)
        machine.goes_on(20)
        assert past(machine) == ["llama-3-8b: its llama-server, process 500, has ended"]


class TestCost:
    """What alerts cost in tokens per second."""

    def test_a_spill_says_from_which_rate_to_which(self) -> None:
        server = served(model := Model("a", gpu_gib=10.0))
        model.request(40.0, seconds=12)
        model.gpu_gib, model.ram_gib = 6.0, 4.0
        model.request(8.0, seconds=14)
        assert ongoing(server.machine) == ["a spilled: 4.0 GiB (40%) in RAM; 40 → 8.0 tok/s"]

    def test_while_the_rate_is_not_known_it_says_what_is(self) -> None:
        server = served(model := Model("a", gpu_gib=10.0))
        model.gpu_gib, model.ram_gib = 6.0, 4.0
        assert ongoing(server.machine.goes_on(3)) == ["a spilled: 4.0 GiB (40%) in RAM"]

    def test_when_it_is_over_the_line_keeps_what_it_cost(self) -> None:
        server = served(model := Model("a", gpu_gib=10.0))
        model.request(40.0, seconds=12)
        model.gpu_gib, model.ram_gib = 6.0, 4.0
        model.request(8.0, seconds=14)
        model.gpu_gib, model.ram_gib = 10.0, 0.0
        server.machine.goes_on(6)
        assert past(server.machine) == [
            "a is wholly on GPU again",
            "a spilled: 4.0 GiB (40%) in RAM; 40 → 8.0 tok/s",
        ]

    def test_a_card_that_slows_down_says_which_model_pays(self) -> None:
        server = served(model := Model("a", gpu_gib=10.0))
        model.request(40.0, seconds=12)
        server.machine.gpus[0].throttle = ("thermal slowdown (software)",)
        model.request(30.0, seconds=20)
        [line] = ongoing(server.machine)
        assert line == "GPU 0 is slowed down: thermal slowdown (software); a 40 → 30 tok/s"

    def test_other_numbers_of_requests_are_not_compared(self) -> None:
        server = served(model := Model("a", gpu_gib=10.0))
        model.request(40.0, seconds=12)
        server.machine.gpus[0].throttle = ("thermal slowdown (software)",)
        model.request(10.0, seconds=20, parallel=4)
        assert ongoing(server.machine) == ["GPU 0 is slowed down: thermal slowdown (software)"]


class TestLostCards:
    """A card that falls off the bus, and what was on it."""

    def lost(self) -> Server:
        server = served(Model("a", gpu=1), Model("b", pid=101, blob="sha256-bb"), gpus=2)
        card = server.machine.gpus[1]
        card.state, card.detail = "lost", "fell off the bus (Xid 79)"
        server.machine.goes_on(1)
        return server

    def test_the_models_on_it_are_named_with_it(self) -> None:
        machine = self.lost().machine
        assert ongoing(machine) == ["GPU 1 is lost: fell off the bus (Xid 79); a went with it"]

    def test_that_they_are_no_longer_listed_is_no_event_of_its_own(self) -> None:
        server = self.lost()
        server.unload(server.models[0])
        machine = server.machine.goes_on(20)
        assert past(machine) == []
        assert len(ongoing(machine)) == 1

    def test_a_chart_of_the_card_is_marked(self) -> None:
        machine = self.lost().machine
        [uuid] = [gpu.reading.uuid for gpu in machine.state.gpus.values() if gpu.reading.index == 1]
        assert [mark.word for mark in machine.monitor.events.marks(uuid)] == ["lost"]


class TestContext:
    """A request that fills its context."""

    def full(self, tokens: int) -> Machine:
        server = served(model := Model("a"))
        slot = Slot(
            slot_id=0,
            context_length=8192,
            processing=True,
            task_id=7,
            prompt_tokens=tokens,
            prompt_tokens_processed=100,
            decoded_tokens=50,
        )
        for _ in range(3):
            model.polled([slot])
            server.machine.now += 1
        return server.machine

    def test_it_is_told_once(self) -> None:
        assert past(self.full(8192)) == ["a has filled its context of 8192 with a request"]

    def test_one_that_has_room_is_no_event(self) -> None:
        assert past(self.full(8000)) == []


class TestLog:
    """What is kept, and how it is handed out."""

    def test_an_alert_that_was_acknowledged_is_marked_at_once(self) -> None:
        server = served(Model("a", ram_gib=5.0))
        server.machine.monitor.alerts.acknowledge_all()
        assert [event.acknowledged for event in server.machine.monitor.events.feed.ongoing] == [True]

    def test_alerts_that_go_on_stand_first_the_worst_on_top(self) -> None:
        machine = Machine(Gpu(gib=11.0, reserved_gib=0.4))
        machine.ollama().load(Model("a", gpu_gib=10.5, ram_gib=5.0))
        machine.run(9)
        assert [event.level for event in machine.monitor.events.feed.ongoing] == ["bad", "watch"]

    def test_it_is_bounded(self) -> None:
        machine = Machine()
        for at in range(KEPT + 100):
            claims = [claim("a")] if at % 2 else [claim("b")]
            machine.say(ollama(at * 20, claims, source=REMOTE))
            machine.say(ollama(at * 20 + 10, claims, source=REMOTE))
        assert len(machine.monitor.events.latest(10_000)) == KEPT

    def test_the_past_is_the_same_object_while_nothing_happens(self) -> None:
        server = served(Model("a"))
        server.unload(server.models[0])
        machine = server.machine.goes_on(30)
        before = machine.monitor.events.feed.past
        assert before
        assert machine.goes_on(5).monitor.events.feed.past is before

    def test_a_reset_forgets_all(self) -> None:
        server = served(Model("a"))
        server.unload(server.models[0])
        server.machine.goes_on(30)
        server.machine.monitor.reset()
        assert server.machine.monitor.events.latest(9) == ()

    def test_the_same_samples_give_the_same_events(self) -> None:
        server = served(model := Model("a", gpu_gib=10.0))
        model.request(40.0, seconds=12)
        model.gpu_gib, model.ram_gib = 6.0, 4.0
        model.request(8.0, seconds=14)
        again = Machine().say(*server.machine.sent)
        assert again.monitor.events.latest(99) == server.machine.monitor.events.latest(99)

    def test_names_from_outside_are_harmless(self) -> None:
        machine = Machine()
        for claims in ([claim("a\x1b[31m")], [], [], [], []):
            machine.say(ollama(machine.now, claims, source=REMOTE))
            machine.now += 5
        assert past(machine) == ["a␛[31m left"]


@pytest.mark.parametrize(
    ("names", "words"),
    [(["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c"), ([*"abcde"], "a, b and 3 more")],
)
def test_names_are_joined_and_counted(names: list[str], words: str) -> None:
    assert joined(names) == words
