from __future__ import annotations

import pytest
from msgspec.structs import replace
from tests.fakes.process_samples import BLOB, OTHER_BLOB, blob_names, facts, processes
from tests.fakes.samples import GIB, START
from tests.scene import Loading, Machine, Model, Server
from tests.scene.machine import Voice

from gpumon.app.state.loads.endings import FAILURE_KEPT_SECONDS
from gpumon.app.state.loads.progress import LESSONS_KEPT
from gpumon.app.state.records import FinishedLoad, RunnerKey
from gpumon.app.state.state import FINISHED_LOADS_KEPT
from gpumon.collectors.samples import AnySample, LogEvent, SourceHealth

SECOND = "http://127.0.0.1:11500"
STARTED = LogEvent(kind="load_started", at=START, blob=BLOB)


@pytest.fixture
def machine() -> Machine:
    return Machine()


@pytest.fixture
def server(machine: Machine) -> Server:
    return machine.ollama()


@pytest.fixture
def new(server: Server) -> Model:
    """Its process starts at 0 and is seen half a second later."""
    model = server.starts(Model(is_described=False))
    server.machine.look("processes", at=0.5)
    return model


def says(model: Model, at: float, port: str) -> None:
    """Have its port say this from then on."""
    model.port = port  # type: ignore[assignment]
    model.machine.look("ports", at=at)


def claimed(model: Model, at: float) -> None:
    """Have the server claim it from then on."""
    model.is_claimed = True
    model.machine.look("servers", at=at)


def gone(model: Model, at: float) -> None:
    """End its process before it is looked at."""
    model.server.unload(model)
    model.machine.look("processes", at=at)


def finished(machine: Machine) -> FinishedLoad:
    """Return the only load, which is over."""
    assert not machine.state.loads
    (found,) = machine.state.finished_loads
    return found


class TestBeginning:
    def test_a_new_runner_is_a_load_at_its_first_look(self, machine: Machine, new: Model) -> None:
        load = machine.only_load()
        assert (load.key, load.phase) == (RunnerKey(new.pid, START), "starting")

    def test_its_port_says_when_it_is_past_its_start(self, machine: Machine, new: Model) -> None:
        says(new, 1, "loading")
        assert machine.only_load().phase == "fitting"

    def test_a_runner_that_was_there_before_is_none(self, machine: Machine, server: Server) -> None:
        server.load(Model(is_described=False, port="ready"))
        machine.look("processes", "servers").look("ports", at=1)
        assert (machine.state.loads, list(machine.state.finished_loads)) == ({}, [])

    def test_a_runner_that_was_there_before_is_one_if_its_port_says_so(
        self, machine: Machine, server: Server
    ) -> None:
        model = server.load(Model(port="loading"))
        machine.look("processes").look("ports", at=1)
        assert list(machine.state.loads) == [RunnerKey(100, model.started)]

    def test_one_that_was_ready_at_the_first_look_leaves_nothing(
        self, machine: Machine, server: Server
    ) -> None:
        server.load(Model(started=START - 5, port="ready"))
        machine.look("processes").look("ports", at=0.1).look("processes", at=4)
        assert (machine.state.loads, list(machine.state.finished_loads)) == ({}, [])

    def test_an_old_claim_of_the_same_model_is_none_of_the_new_process(
        self, machine: Machine, server: Server
    ) -> None:
        server.load(Model(started=START, port="loading"))
        machine.look("servers", at=-1).look("processes", at=0.5).look("ports", at=0.6)
        assert machine.only_load().phase == "fitting"

    @pytest.mark.parametrize("order", [("processes", "servers"), ("servers", "processes")])
    def test_of_a_container_whose_server_is_not_asked_nothing_would_say_when_it_is_ready(
        self, machine: Machine, order: tuple[Voice, Voice]
    ) -> None:
        machine.ollama(pid=11)
        contained = machine.ollama(SECOND)
        contained.is_contained, contained.is_asked = True, False
        contained.starts(Model(port="unreachable"))
        machine.look(*order, at=1).look("ports", at=1.5)
        assert not machine.state.loads
        contained.is_asked = True
        machine.look("servers", at=2)
        assert machine.only_load().phase == "starting"

    def test_the_port_says_it_of_a_server_that_is_not_asked(self, machine: Machine) -> None:
        machine.ollama().is_here = False
        other = machine.ollama(SECOND)
        other.is_asked = False
        model = other.starts(Model())
        machine.look("servers").look("processes", at=0.5)
        assert not machine.state.loads
        says(model, 1, "loading")
        assert machine.only_load().phase == "fitting"


class TestNames:
    def test_without_any_name_the_blob_stands_in(self, machine: Machine, new: Model) -> None:
        assert machine.only_load().name == 12 * "a"

    @pytest.mark.parametrize("told", [facts(0, "qwen:8b"), blob_names(0, {BLOB: ["qwen:8b"]})])
    def test_the_name_comes_from_the_server_or_the_disk(self, server: Server, told: AnySample) -> None:
        server.starts(Model())
        assert server.machine.say(told).look("processes", at=0.5).only_load().name == "qwen:8b"

    def test_a_name_that_comes_late_is_taken(self, machine: Machine, new: Model) -> None:
        assert machine.say(facts(1, "qwen:8b")).only_load().name == "qwen:8b", "at once"
        says(new, 2, "loading")
        assert machine.only_load().name == "qwen:8b"

    def test_a_runner_that_names_its_model_is_called_so(self, server: Server) -> None:
        server.starts(Model(blob=None, settings={"model_name": "mlx:8b"}, kind="mlx_runner"))
        assert server.machine.look("processes", at=0.5).only_load().name == "mlx:8b"

    def test_a_file_is_called_by_its_name(self, server: Server) -> None:
        server.starts(Model(blob=None, settings={"model_path": "/m/tiny.gguf"}))
        assert server.machine.look("processes", at=0.5).only_load().name == "tiny.gguf"


class TestTarget:
    def test_it_is_the_installed_size(self, server: Server) -> None:
        server.starts(Model(file_gib=20.0))
        load = server.machine.look("servers").look("processes", at=0.5).only_load()
        assert (load.target_bytes, load.target_origin) == (20 * GIB, "installed")

    def test_it_is_the_size_of_the_file_where_that_can_be_seen(self, server: Server) -> None:
        """Unlike the installed size it counts no projector."""
        server.starts(Model(file_gib=20.0, figures={"model_file_bytes": 19 * GIB}))
        load = server.machine.look("servers").look("processes", at=0.5).only_load()
        assert (load.target_bytes, load.target_origin) == (19 * GIB, "file")

    def test_it_is_what_the_log_names_where_nothing_else_is_known(self, machine: Machine, new: Model) -> None:
        machine.logs(STARTED, LogEvent(kind="buffer", device="CUDA0", component="model", size_bytes=5 * GIB))
        load = machine.only_load()
        assert (load.target_bytes, load.target_origin) == (5 * GIB, "log")

    def test_it_is_what_an_earlier_load_has_mapped(self, machine: Machine, server: Server) -> None:
        first = server.starts(Model(loading=Loading(weights_gib=20.0), file_gib=20.0), after=0.6)
        machine.run(30)
        claimed(first, 31)
        server.unload(first)
        machine.look(at=90)
        server.starts(Model(pid=101), after=110)
        load = machine.look("processes", at=200).only_load()
        assert (round((load.target_bytes or 0) / GIB, 1), load.target_origin) == (20.0, "learned")

    def test_it_is_unknown_where_nobody_says(self, machine: Machine, new: Model) -> None:
        load = machine.only_load()
        assert (load.target_bytes, load.target_origin, load.fraction) == (None, None, None)


class TestMemory:
    def test_what_it_takes_is_shown_by_gpu(self, new: Model) -> None:
        new.measured_gib = {0: 3.0, 1: 2.0}
        new.machine.gpus *= 2
        load = new.machine.look("driver", at=1).only_load()
        assert load.vram_by_gpu == {"GPU-0": 3 * GIB, "GPU-1": 2 * GIB}
        assert load.peak_vram_bytes == 5 * GIB


class TestReady:
    def test_its_port_ends_it(self, machine: Machine, new: Model) -> None:
        says(new, 1, "loading")
        says(new, 4, "ready")
        load = machine.only_load()
        assert (load.phase, load.fraction, load.seconds_left) == ("ready", 1.0, 0.0)

    def test_a_claim_ends_it_where_the_port_cannot_be_asked(self, machine: Machine, new: Model) -> None:
        new.is_described = True
        claimed(new, 6)
        assert (finished(machine).outcome, finished(machine).total_seconds) == ("loaded", 6.0)

    def test_a_claim_does_not_end_it_while_its_port_says_that_it_loads(
        self, machine: Machine, new: Model
    ) -> None:
        """Up to 0.24 a model is claimed while it loads."""
        new.is_described = True
        says(new, 2, "loading")
        claimed(new, 3)
        machine.look("ports", at=4)
        assert machine.only_load().phase == "fitting"

    def test_it_waits_a_moment_for_its_claim(self, machine: Machine, new: Model) -> None:
        says(new, 1, "loading")
        says(new, 4, "ready")
        waiting = machine.look("processes", at=5).only_load()
        assert (waiting.phase, waiting.seconds_left) == ("ready", 0.0)
        machine.look("processes", at=8)
        assert finished(machine).outcome == "loaded"

    def test_its_duration_is_that_until_it_was_ready(self, machine: Machine, new: Model) -> None:
        says(new, 1, "loading")
        says(new, 4, "ready")
        machine.look("processes", at=8)
        assert finished(machine).total_seconds == 4.0

    def test_it_is_not_followed_again(self, machine: Machine, new: Model) -> None:
        new.is_described = True
        claimed(new, 6)
        machine.look("processes", at=7)
        says(new, 8, "loading")
        machine.look("processes", at=9)
        assert finished(machine).outcome == "loaded"


class TestFailing:
    def test_a_process_that_goes_before_it_was_ready_has_failed(self, machine: Machine, new: Model) -> None:
        says(new, 1, "loading")
        gone(new, 3)
        assert (finished(machine).outcome, finished(machine).total_seconds) == ("failed", 3.0)

    def test_one_whose_server_went_too_was_aborted(self, machine: Machine, new: Model) -> None:
        says(new, 1, "loading")
        machine.servers.clear()
        machine.look("processes", at=3)
        assert finished(machine).outcome == "aborted"
        assert not machine.state.failed_loads

    @pytest.mark.parametrize("hung_up_at", [2.5, 3.5], ids=["before", "after"])
    def test_one_that_nobody_waited_for_was_aborted(
        self, machine: Machine, new: Model, hung_up_at: float
    ) -> None:
        machine.logs(STARTED)
        text = "client connection closed before llama-server finished loading"
        for at in sorted((3.0, hung_up_at)):
            machine.now = at
            if at == hung_up_at:
                machine.logs(LogEvent(kind="load_failed", text=text))
            else:
                gone(new, 3)
        assert finished(machine).outcome == "aborted"
        assert not machine.state.failed_loads

    def test_the_log_says_why(self, machine: Machine, new: Model) -> None:
        machine.logs(STARTED)
        machine.logs(LogEvent(kind="load_failed", text="exiting due to model loading error"))
        gone(new, 3)
        assert finished(machine).reason == "exiting due to model loading error"

    @staticmethod
    def again(first: Model, **settings: int) -> Model:
        """Have the process go, and another come at once; return what it loads."""
        gone(first, 3)
        server = first.server
        server.machine.now = 4
        again = server.starts(Model(pid=101, is_described=False, settings=settings))
        server.machine.look("processes")
        return again

    def test_less_context_at_once_is_a_retry(self, machine: Machine, server: Server) -> None:
        big = server.starts(Model(settings={"context_length": 32768}))
        machine.look("processes", at=0.5)
        self.again(big, context_length=4096)
        assert [load.outcome for load in machine.state.finished_loads] == ["retried_smaller_context"]
        assert not machine.state.failed_loads

    def test_the_log_names_a_retry_with_less_context(self, machine: Machine, new: Model) -> None:
        machine.logs(STARTED, LogEvent(kind="context_reduced", old_context=32768, new_context=4096))
        gone(new, 3)
        placement = finished(machine).placement
        assert finished(machine).outcome == "retried_smaller_context"
        assert placement is not None
        assert (placement.old_context, placement.new_context) == (32768, 4096)

    def test_the_same_context_again_is_no_retry_with_less(self, machine: Machine, new: Model) -> None:
        self.again(new)
        assert [load.outcome for load in machine.state.finished_loads] == ["failed"]
        assert machine.state.failed_loads[BLOB].retrying

    def test_a_success_makes_up_for_it(self, machine: Machine, new: Model) -> None:
        again = self.again(new)
        again.is_described = True
        claimed(again, 9)
        assert [load.outcome for load in machine.state.finished_loads] == ["failed", "loaded"]
        assert not machine.state.failed_loads

    def test_a_look_that_fails_ends_nothing(self, machine: Machine, new: Model) -> None:
        says(new, 1, "loading")
        machine.say(replace(processes(2), servers=(), health=SourceHealth(state="forbidden")))
        machine.look("processes", at=3).look("ports", at=4)
        assert machine.only_load().phase == "fitting"
        assert not machine.state.finished_loads

    def test_it_is_forgotten_after_a_while(self, machine: Machine, new: Model) -> None:
        gone(new, 3)
        assert machine.state.failed_loads
        assert not machine.look("driver", at=3 + FAILURE_KEPT_SECONDS).state.failed_loads


class TestBounds:
    def test_what_is_kept_is_bounded(self, machine: Machine, server: Server) -> None:
        for number in range(FINISHED_LOADS_KEPT + LESSONS_KEPT):
            machine.now = 10.0 * number
            model = server.starts(Model(pid=100 + number, blob=f"sha256-{number:064x}"))
            machine.look("processes", at=machine.now + 0.5)
            says(model, machine.now + 0.5, "ready")
            machine.look("processes", at=machine.now + 8)
            server.unload(model)
        assert len(machine.state.finished_loads) == FINISHED_LOADS_KEPT
        assert len(machine.state.lessons) == LESSONS_KEPT

    def test_two_loads_at_once_are_kept_apart(self, machine: Machine, server: Server) -> None:
        one = server.starts(Model())
        other = machine.ollama(SECOND, 11).starts(Model("b", pid=101, blob=OTHER_BLOB), after=0.1)
        machine.look("processes", at=0.5)
        one.port, other.port = "loading", "ready"
        machine.look("ports", at=1.5)
        assert {load.settings.blob: load.phase for load in machine.state.loads.values()} == {
            BLOB: "fitting",
            OTHER_BLOB: "ready",
        }


class TestPhasesOfTheLog:
    """The log tells context and warm-up where device memory does not."""

    CACHE = LogEvent(kind="buffer", device="CUDA0", component="kv_cache", size_bytes=GIB)
    COMPUTE = LogEvent(kind="buffer", device="CUDA0", component="compute", size_bytes=GIB // 4)

    @staticmethod
    def arriving(server: Server, *said_at_2_5: LogEvent) -> Machine:
        """All pages of 5 GiB are there after 4 s, and device memory after 5."""
        machine, model = server.machine, server.starts(Model(file_gib=5.0, measured_gib=5.4))
        machine.look("servers")
        for at, pages in ((0.5, 0.0), (2, 1.0), (3, 3.0), (4, 5.2)):
            model.figures = {"rss_bytes": int(pages * GIB), "file_bytes": int(pages * GIB)}
            machine.look("processes", at=at)
            if at == 2 and said_at_2_5:
                machine.now = 2.5
                machine.logs(*said_at_2_5)
        return machine.look("driver", at=5)

    def test_a_cache_after_the_weights_is_the_context(self, server: Server) -> None:
        machine = self.arriving(server)
        machine.logs(STARTED, self.CACHE)
        assert machine.only_load().phase == "context"

    def test_compute_buffers_are_the_last(self, server: Server) -> None:
        machine = self.arriving(server)
        machine.logs(STARTED, self.CACHE, self.COMPUTE)
        server.models[0].figures = {"rss_bytes": 5 * GIB, "file_bytes": 5 * GIB}
        assert machine.look("processes", at=7).only_load().phase == "warm_up"

    def test_a_cache_while_arrangements_are_tried_is_not(self, server: Server) -> None:
        machine = self.arriving(server, STARTED, self.CACHE, self.COMPUTE)
        assert machine.only_load().phase == "weights"
