from __future__ import annotations

from collections.abc import Iterator

import pytest
from msgspec.structs import replace
from tests.app.state.loading import Machine, Scenario, identity_samples
from tests.app.state.states import state_of
from tests.fakes.process_samples import (
    BLOB,
    OTHER_BLOB,
    answer,
    blob_names,
    facts,
    holding,
    processes,
    runner,
    server,
)
from tests.fakes.samples import GIB, START, claim, gpu, nvml, ollama

from gpumon.app.monitor import Store
from gpumon.app.state.loads.endings import FAILURE_KEPT_SECONDS
from gpumon.app.state.loads.progress import LESSONS_KEPT
from gpumon.app.state.records import FinishedLoad, Load, RunnerKey
from gpumon.app.state.state import FINISHED_LOADS_KEPT, State
from gpumon.collectors.samples import AnySample, LogEvent, LogSample, RunnerProcess, SourceHealth

NEW = runner(started=START)
KEY = RunnerKey(NEW.pid, NEW.started)


def only_load(state: State) -> Load:
    assert list(state.loads) == [KEY]
    return state.loads[KEY]


def only_finished(state: State) -> FinishedLoad:
    assert not state.loads
    (finished,) = state.finished_loads
    return finished


def with_context(process: RunnerProcess, tokens: int) -> RunnerProcess:
    return replace(process, settings=replace(process.settings, context_length=tokens))


def log(at: float, *events: LogEvent) -> LogSample:
    return LogSample(
        time=START + at, source="log /l", health=SourceHealth(state="serving"), events=tuple(events)
    )


def loading(at: float, *, pid: int = 100, started: float = START) -> AnySample:
    return answer(at, "loading", pid=pid, started=started)


class TestBeginning:
    def test_a_new_runner_is_a_load_at_its_first_look(self) -> None:
        assert only_load(state_of(processes(0.5, NEW))).phase == "starting"

    def test_its_port_says_when_it_is_past_its_start(self) -> None:
        assert only_load(state_of(processes(0.5, NEW), loading(1))).phase == "fitting"

    def test_a_runner_that_was_there_before_is_none(self) -> None:
        state = state_of(processes(0, runner()), ollama(0, [claim()]), answer(1))
        assert (state.loads, list(state.finished_loads)) == ({}, [])

    def test_a_runner_that_was_there_before_is_one_if_its_port_says_so(self) -> None:
        state = state_of(processes(0, runner()), answer(1, "loading"))
        assert list(state.loads) == [RunnerKey(100, runner().started)]

    def test_one_that_was_ready_at_the_first_look_leaves_nothing(self) -> None:
        young = runner(started=START - 5)
        state = state_of(processes(0, young), answer(0.1, started=START - 5), processes(4, young))
        assert (state.loads, list(state.finished_loads)) == ({}, [])

    def test_an_old_claim_of_the_same_model_is_none_of_the_new_process(self) -> None:
        state = state_of(facts(-9), ollama(-1, [claim()]), processes(0.5, NEW), loading(0.6))
        assert only_load(state).phase == "fitting"

    @pytest.mark.parametrize("order", [(0, 1), (1, 0)])
    def test_of_a_container_whose_server_is_not_asked_nothing_would_say_when_it_is_ready(
        self, order: tuple[int, int]
    ) -> None:
        url = "http://127.0.0.1:11500"
        contained = server(10, other_namespace=True)
        samples = (processes(1, NEW, servers=[server(11), contained]), ollama(1))
        asked = ollama(2, source=url)
        mute = answer(1.5, "unreachable", started=START)
        assert not state_of(*(samples[at] for at in order), mute).loads
        assert only_load(state_of(*samples, mute, asked)).phase == "starting"

    def test_the_port_says_it_of_a_server_that_is_not_asked(self) -> None:
        elsewhere = processes(0.5, NEW, servers=[server(10, "http://127.0.0.1:11500")])
        state = state_of(ollama(0), elsewhere)
        assert not state.loads
        assert only_load(state_of(ollama(0), elsewhere, loading(1))).phase == "fitting"


class TestNames:
    def test_without_any_name_the_blob_stands_in(self) -> None:
        assert only_load(state_of(processes(0.5, NEW))).name == 12 * "a"

    @pytest.mark.parametrize("told", [facts(0, "qwen:8b"), blob_names(0, {BLOB: ["qwen:8b"]})])
    def test_the_name_comes_from_the_server_or_the_disk(self, told: AnySample) -> None:
        assert only_load(state_of(told, processes(0.5, NEW))).name == "qwen:8b"

    def test_a_name_that_comes_late_is_taken(self) -> None:
        assert only_load(state_of(processes(0.5, NEW), facts(1, "qwen:8b"), loading(2))).name == "qwen:8b"
        assert only_load(state_of(processes(0.5, NEW), facts(1, "qwen:8b"))).name == "qwen:8b", "at once"

    def test_a_runner_that_names_its_model_is_called_so(self) -> None:
        process = replace(runner(blob=None, name="mlx:8b", started=START), kind="mlx_runner")
        assert only_load(state_of(processes(0.5, process))).name == "mlx:8b"

    def test_a_file_is_called_by_its_name(self) -> None:
        settings = replace(NEW.settings, blob=None, model_path="/m/tiny.gguf")
        assert only_load(state_of(processes(0.5, replace(NEW, settings=settings)))).name == "tiny.gguf"


class TestTarget:
    def test_it_is_the_installed_size(self) -> None:
        load = only_load(state_of(*identity_samples(20.0), processes(0.5, NEW)))
        assert (load.target_bytes, load.target_origin) == (20 * GIB, "installed")

    def test_it_is_the_size_of_the_file_where_that_can_be_seen(self) -> None:
        """Unlike the installed size it counts no projector."""
        seen = replace(NEW, model_file_bytes=19 * GIB)
        load = only_load(state_of(*identity_samples(20.0), processes(0.5, seen)))
        assert (load.target_bytes, load.target_origin) == (19 * GIB, "file")

    def test_it_is_what_the_log_names_where_nothing_else_is_known(self) -> None:
        started = LogEvent(kind="load_started", at=START, blob=BLOB)
        weights = LogEvent(kind="buffer", device="CUDA0", component="model", size_bytes=5 * GIB)
        load = only_load(state_of(processes(0.5, NEW), log(1, started, weights)))
        assert (load.target_bytes, load.target_origin) == (5 * GIB, "log")

    def test_it_is_what_an_earlier_load_has_mapped(self) -> None:
        machine = Machine()
        machine.load(Scenario(weights_gib=20.0))
        machine.feed(processes(200, runner(started=START + 200)))
        (load,) = machine.store.state.loads.values()
        assert (round((load.target_bytes or 0) / GIB, 1), load.target_origin) == (20.0, "learned")

    def test_it_is_unknown_where_nobody_says(self) -> None:
        load = only_load(state_of(processes(0.5, NEW)))
        assert (load.target_bytes, load.target_origin, load.fraction) == (None, None, None)


class TestMemory:
    def test_what_it_takes_is_shown_by_gpu(self) -> None:
        state = state_of(
            processes(0.5, NEW), nvml(1, holding(gpu(0), {100: 3.0}), holding(gpu(1), {100: 2.0}))
        )
        assert only_load(state).vram_by_gpu == {"GPU-0": 3 * GIB, "GPU-1": 2 * GIB}
        assert only_load(state).peak_vram_bytes == 5 * GIB


class TestReady:
    def test_its_port_ends_it(self) -> None:
        load = only_load(state_of(processes(0.5, NEW), loading(1), answer(4, started=START)))
        assert (load.phase, load.fraction, load.seconds_left) == ("ready", 1.0, 0.0)

    def test_a_claim_ends_it_where_the_port_cannot_be_asked(self) -> None:
        finished = only_finished(state_of(facts(0), processes(0.5, NEW), ollama(6, [claim()])))
        assert (finished.outcome, finished.total_seconds) == ("loaded", 6.0)

    def test_a_claim_does_not_end_it_while_its_port_says_that_it_loads(self) -> None:
        """Up to 0.24 a model is claimed while it loads."""
        state = state_of(facts(0), processes(0.5, NEW), loading(2), ollama(3, [claim()]), loading(4))
        assert only_load(state).phase == "fitting"

    def test_it_waits_a_moment_for_its_claim(self) -> None:
        ready: list[AnySample] = [processes(0.5, NEW), loading(1), answer(4, started=START)]
        waiting = only_load(state_of(*ready, processes(5, NEW)))
        assert (waiting.phase, waiting.seconds_left) == ("ready", 0.0)
        assert only_finished(state_of(*ready, processes(8, NEW))).outcome == "loaded"

    def test_its_duration_is_that_until_it_was_ready(self) -> None:
        state = state_of(processes(0.5, NEW), loading(1), answer(4, started=START), processes(8, NEW))
        assert only_finished(state).total_seconds == 4.0

    def test_it_is_not_followed_again(self) -> None:
        state = state_of(
            facts(0),
            processes(0.5, NEW),
            ollama(6, [claim()]),
            processes(7, NEW),
            loading(8),
            processes(9, NEW),
        )
        assert only_finished(state).outcome == "loaded"


class TestFailing:
    def test_a_process_that_goes_before_it_was_ready_has_failed(self) -> None:
        finished = only_finished(state_of(processes(0.5, NEW), loading(1), processes(3)))
        assert (finished.outcome, finished.total_seconds) == ("failed", 3.0)

    def test_one_whose_server_went_too_was_aborted(self) -> None:
        state = state_of(processes(0.5, NEW), loading(1), processes(3, servers=[]))
        assert only_finished(state).outcome == "aborted"
        assert not state.failed_loads

    @pytest.mark.parametrize("late", [False, True])
    def test_one_that_nobody_waited_for_was_aborted(self, late: bool) -> None:
        started = LogEvent(kind="load_started", at=START, blob=BLOB)
        text = "client connection closed before llama-server finished loading"
        hung_up = log(3.5 if late else 2.5, LogEvent(kind="load_failed", text=text))
        ends: list[AnySample] = [processes(3), hung_up] if late else [hung_up, processes(3)]
        state = state_of(processes(0.5, NEW), log(1, started), *ends)
        assert only_finished(state).outcome == "aborted"
        assert not state.failed_loads

    def test_the_log_says_why(self) -> None:
        started = LogEvent(kind="load_started", at=START, blob=BLOB)
        failed = LogEvent(kind="load_failed", text="exiting due to model loading error")
        state = state_of(processes(0.5, NEW), log(1, started), log(2, failed), processes(3))
        assert only_finished(state).reason == "exiting due to model loading error"

    def test_less_context_at_once_is_a_retry(self) -> None:
        big, small = with_context(NEW, 32768), with_context(runner(101, started=START + 4), 4096)
        state = state_of(processes(0.5, big), processes(3), processes(4, small))
        assert [load.outcome for load in state.finished_loads] == ["retried_smaller_context"]
        assert not state.failed_loads

    def test_the_log_names_a_retry_with_less_context(self) -> None:
        started = LogEvent(kind="load_started", at=START, blob=BLOB)
        reduced = LogEvent(kind="context_reduced", old_context=32768, new_context=4096)
        state = state_of(processes(0.5, NEW), log(1, started), log(2, reduced), processes(3))
        finished = only_finished(state)
        assert finished.outcome == "retried_smaller_context"
        assert finished.placement is not None
        assert (finished.placement.old_context, finished.placement.new_context) == (32768, 4096)

    def test_the_same_context_again_is_no_retry_with_less(self) -> None:
        again = runner(101, started=START + 4)
        state = state_of(processes(0.5, NEW), processes(3), processes(4, again))
        assert [load.outcome for load in state.finished_loads] == ["failed"]
        assert state.failed_loads[BLOB].retrying

    def test_a_success_makes_up_for_it(self) -> None:
        again = runner(101, started=START + 4)
        state = state_of(
            facts(0), processes(0.5, NEW), processes(3), processes(4, again), ollama(9, [claim()])
        )
        assert [load.outcome for load in state.finished_loads] == ["failed", "loaded"]
        assert not state.failed_loads

    def test_a_look_that_fails_ends_nothing(self) -> None:
        blind = replace(processes(2), servers=(), health=SourceHealth(state="forbidden"))
        state = state_of(processes(0.5, NEW), loading(1), blind, processes(3, NEW), loading(4))
        assert only_load(state).phase == "fitting"
        assert not state.finished_loads

    def test_it_is_forgotten_after_a_while(self) -> None:
        state = state_of(processes(0.5, NEW), processes(3), nvml(3 + FAILURE_KEPT_SECONDS))
        assert not state.failed_loads


class TestBounds:
    def test_what_is_kept_is_bounded(self) -> None:
        store = Store()
        for number in range(FINISHED_LOADS_KEPT + LESSONS_KEPT):
            at = 10.0 * number
            process = runner(100 + number, f"sha256-{number:064x}", started=START + at)
            store.apply(processes(at + 0.5, process))
            store.apply(answer(at + 1, pid=process.pid, started=process.started))
            store.apply(processes(at + 9, process))
        assert len(store.state.finished_loads) == FINISHED_LOADS_KEPT
        assert len(store.state.lessons) == LESSONS_KEPT

    def test_two_loads_at_once_are_kept_apart(self) -> None:
        other = runner(101, OTHER_BLOB, started=START + 0.1, server_pid=11)
        state = state_of(
            processes(0.5, NEW, other, servers=[server(), server(11, "http://127.0.0.1:11500")]),
            loading(1),
            answer(1.5, pid=101, started=START + 0.1),
        )
        assert {load.settings.blob: load.phase for load in state.loads.values()} == {
            BLOB: "fitting",
            OTHER_BLOB: "ready",
        }


class TestPhasesOfTheLog:
    """The log tells context and warm-up where device memory does not."""

    STARTED = LogEvent(kind="load_started", at=START, blob=BLOB)
    CACHE = LogEvent(kind="buffer", device="CUDA0", component="kv_cache", size_bytes=GIB)
    COMPUTE = LogEvent(kind="buffer", device="CUDA0", component="compute", size_bytes=GIB // 4)

    def arriving(self, *between: AnySample) -> Iterator[AnySample]:
        """All pages of 5 GiB are there after 4 s, and device memory after 5."""
        yield from identity_samples(5.0)
        for at, pages in ((0.5, 0.0), (2, 1.0), (3, 3.0), (4, 5.2)):
            size_bytes = int(pages * GIB)
            yield processes(at, replace(NEW, rss_bytes=size_bytes, file_bytes=size_bytes))
            yield from (sample for sample in between if at < sample.time - START < at + 1)
        yield nvml(5, holding(gpu(0), {100: 5.4}))

    def test_a_cache_after_the_weights_is_the_context(self) -> None:
        state = state_of(*self.arriving(), log(6, self.STARTED, self.CACHE))
        assert only_load(state).phase == "context"

    def test_compute_buffers_are_the_last(self) -> None:
        later = replace(NEW, rss_bytes=5 * GIB, file_bytes=5 * GIB)
        state = state_of(
            *self.arriving(), log(6, self.STARTED, self.CACHE, self.COMPUTE), processes(7, later)
        )
        assert only_load(state).phase == "warm_up"

    def test_a_cache_while_arrangements_are_tried_is_not(self) -> None:
        state = state_of(*self.arriving(log(2.5, self.STARTED, self.CACHE, self.COMPUTE)))
        assert only_load(state).phase == "weights"
