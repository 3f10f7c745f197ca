"""The limits of what a model does, of quiet, of faults and of words: just below, at, and just above."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from tests.fakes.process_samples import BLOB, answer, facts, processes, runner
from tests.fakes.samples import GIB, START, claim, gpu, nvml, ollama, silent, system
from tests.scene import Gpu, Machine, Model, after, loaded

from gpumon.app.insight.activity import (
    QUIET_SECONDS,
    Quiet,
    activity,
    from_now_words,
    seconds_left,
    until_words,
)
from gpumon.app.insight.health import (
    has_trouble,
    loading_words,
    missing,
    source_fault,
    spill_fault,
    spilled_models,
    unclaimed_loads,
)
from gpumon.app.insight.wording import amount, model_label, placement_words, shared_names, spill_words
from gpumon.app.state.records import SourceRecord
from gpumon.app.state.records.model import Split, split_of
from gpumon.app.state.state import State
from gpumon.collectors.samples import AnySample, SourceHealth, SourceState

HOUR, DAY = 3600.0, 86400.0
FAR = "http://box:11434"


def only(state: State) -> str | None:
    [model] = state.models.values()
    return activity(model, state)


class TestWork:
    @pytest.mark.parametrize(("percent", "doing"), [(9, "idle"), (10, "busy")])
    def test_a_gpu_works_from_a_tenth_of_its_time(self, percent: int, doing: str) -> None:
        model = loaded(Model(cpu_percent=0.0), Machine(Gpu(utilization=percent)))
        model.machine.look()
        assert only(model.machine.state) == doing

    def test_a_gpu_whose_work_is_not_known_tells_nothing(self) -> None:
        model = loaded(Model(cpu_percent=0.0), Machine(Gpu(utilization=None)))
        model.machine.look()
        assert only(model.machine.state) == "idle"

    def test_the_work_of_a_gpu_that_it_is_not_on_is_not_its_own(self) -> None:
        model = loaded(Model(cpu_percent=0.0), Machine(Gpu(utilization=0), Gpu(utilization=90)))
        model.machine.look()
        assert only(model.machine.state) == "idle"

    @pytest.mark.parametrize(("seconds", "doing"), [(0.0, "idle"), (-0.1, "stopping")])
    def test_it_stops_when_its_time_is_past(self, seconds: float, doing: str) -> None:
        model = loaded(Model(cpu_percent=0.0, expires_seconds=seconds))
        model.machine.gpus[0].utilization = 0
        model.machine.look()
        assert only(model.machine.state) == doing

    def test_its_time_is_over_at_none_left(self) -> None:
        model = loaded(Model(cpu_percent=0.0, expires_seconds=0.0))
        model.machine.gpus[0].utilization = 0
        model.machine.look()
        assert until_words(model.record, model.machine.state, "idle") == "Less than a second from now"

    @pytest.mark.parametrize(("age", "doing"), [(10.0, "busy"), (10.1, "idle")])
    def test_what_its_port_said_counts_for_ten_seconds(self, age: float, doing: str) -> None:
        asleep = processes(0, runner(cpu_percent=0.0)), ollama(0, [claim()])
        said = answer(0, processing=True)
        assert only(after(*asleep, said, system(age)).state) == doing

    @pytest.mark.parametrize(("age", "doing"), [(2.0, "busy"), (2.1, None)])
    def test_an_expiry_that_was_put_off_tells_of_work_for_two_seconds(
        self, age: float, doing: str | None
    ) -> None:
        polls = [ollama(at, [replace(claim(), expires_at=START + at + 300)]) for at in (0, 1, 2)]
        assert only(after(*polls, system(2 + age)).state) == doing

    @pytest.mark.parametrize(("later", "doing"), [(2.9, None), (3.0, "gone")])
    def test_a_model_without_its_process_is_gone_after_three_seconds(
        self, later: float, doing: str | None
    ) -> None:
        held = processes(0, runner(cpu_percent=0.0)), ollama(0, [claim()]), processes(1)
        assert only(after(*held, ollama(1 + later, [claim()])).state) == doing


class TestQuiet:
    @staticmethod
    def lasts(*samples: AnySample, then: float = QUIET_SECONDS) -> bool:
        """Tell whether it is quiet so many seconds after the first of two looks."""
        quiet = Quiet()
        quiet.lasts(after(*samples).state)
        return quiet.lasts(after(*samples, system(then)).state)

    def test_it_is_quiet_after_half_a_minute(self) -> None:
        assert not self.lasts(system(0), then=29.9)
        assert self.lasts(system(0), then=30.0)

    @pytest.mark.parametrize(("percent", "quiet"), [(9, True), (10, False)])
    def test_a_gpu_stirs_from_a_tenth_of_its_time(self, percent: int, quiet: bool) -> None:
        assert self.lasts(nvml(0, gpu(utilization=percent))) is quiet

    @pytest.mark.parametrize(("state", "quiet"), [("asleep", True), ("lost", False), ("failing", False)])
    def test_a_gpu_that_is_not_well_stirs_unless_it_sleeps(self, state: str, quiet: bool) -> None:
        assert self.lasts(nvml(0, gpu(state=state))) is quiet  # type: ignore[arg-type]

    @pytest.mark.parametrize(("percent", "quiet"), [(None, True), (0.0, True), (100.0, False)])
    def test_a_runner_that_computes_stirs(self, percent: float | None, quiet: bool) -> None:
        assert self.lasts(processes(0, runner(cpu_percent=percent)), ollama(0, [claim()])) is quiet

    def test_a_model_that_is_loading_stirs(self) -> None:
        loads = processes(0, runner(started=START)), answer(0, "loading", started=START)
        state = after(*loads).state
        assert state.loads
        quiet = Quiet()
        quiet.lasts(state)
        assert not quiet.lasts(after(*loads, system(0.5)).state)

    def test_a_source_that_is_silent_stirs(self) -> None:
        assert not self.lasts(ollama(0, []), silent(0))

    @pytest.mark.parametrize("gone", [True, False])
    def test_what_comes_or_goes_begins_the_wait_anew(self, gone: bool) -> None:
        quiet = Quiet()
        first, second = [claim()], [] if gone else [claim(), claim("qwen3:8b")]
        quiet.lasts(after(ollama(0, first)).state)
        assert not quiet.lasts(after(ollama(0, first), ollama(40, second)).state)
        assert not quiet.lasts(after(ollama(40, second), system(69.9)).state)
        assert quiet.lasts(after(ollama(40, second), system(70.0)).state)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.99, "Less than a second"),
        (1.0, "1 second"),
        (59.99, "59 seconds"),
        (60.0, "About a minute"),
        (119.0, "About a minute"),
        (120.0, "2 minutes"),
        (HOUR - 1, "59 minutes"),
        (HOUR, "About an hour"),
        (1.49 * HOUR, "About an hour"),
        (47.4 * HOUR, "47 hours"),
        (48 * HOUR, "2 days"),
        (71 * HOUR, "2 days"),
        (14 * DAY - HOUR, "13 days"),
        (14 * DAY, "2 weeks"),
        (60 * DAY - HOUR, "8 weeks"),
        (60 * DAY, "2 months"),
        (2 * 365 * DAY - HOUR, "24 months"),
        (2 * 365 * DAY, "2 years"),
        (21 * 365 * DAY - HOUR, "20 years"),
    ],
)
def test_each_unit_of_time_begins_where_ollama_begins_it(seconds: float, words: str) -> None:
    assert from_now_words(seconds) == f"{words} from now"


def test_one_of_a_unit_has_no_plural() -> None:
    assert from_now_words(1.5) == "1 second from now"
    assert seconds_left(*_expiring(61.0)) == 61.0


def _expiring(seconds: float):  # type: ignore[no-untyped-def]  # noqa: ANN202
    state = after(ollama(0, [replace(claim(), expires_at=START + seconds)])).state
    [model] = state.models.values()
    return model, state


class TestFaults:
    @pytest.mark.parametrize(("ram_gib", "fault"), [(0.0, None), (0.49, "watch"), (0.5, "bad"), (5.0, "bad")])
    def test_a_spill_of_five_percent_is_bad(self, ram_gib: float, fault: str | None) -> None:
        [model] = after(ollama(0, [claim(gpu_gib=10 - ram_gib, ram_gib=ram_gib)])).state.models.values()
        assert spill_fault(model) == fault

    def test_the_limit_can_be_given(self) -> None:
        [model] = after(ollama(0, [claim(gpu_gib=8.0, ram_gib=2.0)])).state.models.values()
        assert [spill_fault(model, limit) for limit in (19.9, 20.0, 20.1)] == ["bad", "bad", "watch"]

    def test_the_worst_spill_stands_first_equals_by_name_and_a_choice_is_none(self) -> None:
        claims = [
            claim("b", gpu_gib=5.0, ram_gib=5.0),
            claim("a", gpu_gib=5.0, ram_gib=5.0),
            claim("c", gpu_gib=1.0, ram_gib=9.0),
            claim("chosen", gpu_gib=0.0, ram_gib=10.0),
            claim("well", gpu_gib=10.0),
        ]
        state = after(
            nvml(0, gpu()),
            processes(0, runner(gpu_layers=0)),
            facts(0, "chosen", BLOB),
            ollama(0, claims),
            processes(1, runner(gpu_layers=0)),
        ).state
        assert [model.claim.name for model in spilled_models(state)] == ["c", "a", "b"]

    def test_without_a_gpu_nothing_spills(self) -> None:
        assert spilled_models(after(ollama(0, [claim(gpu_gib=0.0, ram_gib=5.0)])).state) == []

    @pytest.mark.parametrize(
        ("name", "state", "answered", "fault"),
        [
            ("nvml", "hanging", 1.0, "bad"),
            ("nvml", "absent", None, None),
            ("nvml", "absent", 1.0, "bad"),
            ("nvml", "failing", None, "bad"),
            (FAR, "hanging", None, "watch"),
            (FAR, "not_running", None, None),
            (FAR, "not_running", 1.0, "watch"),
            (FAR, "refused", 1.0, "bad"),
            ("learned", "failing", 1.0, None),
            ("system", "serving", 1.0, None),
        ],
    )
    def test_each_source_is_graded_by_what_rests_on_it(
        self, name: str, state: SourceState, answered: float | None, fault: str | None
    ) -> None:
        record = SourceRecord(name, SourceHealth(state=state), since=0.0, answered=answered)
        assert source_fault(record) == fault

    def test_a_driver_that_names_a_gpu_that_it_cannot_show_is_in_trouble(self) -> None:
        health = SourceHealth(state="serving", detail="GPU 1 is lost")
        record = SourceRecord("nvml", health, since=0.0, answered=1.0)
        assert (has_trouble(record), source_fault(record)) == (True, "bad")
        assert not has_trouble(SourceRecord("system", health, since=0.0, answered=1.0))
        assert not has_trouble(SourceRecord("nvml", SourceHealth(state="serving"), since=0.0))

    def test_a_source_that_is_asked_and_silent_is_not_merely_missing(self) -> None:
        record = SourceRecord("nvml", SourceHealth(state="absent"), since=0.0)
        assert missing(record)
        record.silent_seconds = 3.0
        assert not missing(record)


class TestWords:
    def test_a_trace_is_written_as_one_below_a_twentieth_of_a_gib(self) -> None:
        assert (amount(0), amount(int(0.0499 * GIB)), amount(int(0.0501 * GIB))) == (
            "0.0 GiB",
            "<0.1 GiB",
            "0.1 GiB",
        )

    def test_where_a_model_is_names_ram_and_gpu_with_their_shares(self) -> None:
        assert placement_words(split_of(8 * GIB, 6 * GIB)) == "2.0 GiB (25%) in RAM, 6.0 GiB (75%) on GPU"
        assert placement_words(split_of(8 * GIB, 0)) == (
            "runs wholly on the CPU, 8.0 GiB (100%) in RAM, 0.0 GiB (0%) on GPU"
        )

    @pytest.mark.parametrize("split", [Split(None, GIB, None), Split(GIB, None, None)])
    def test_a_split_of_which_a_part_is_not_known_is_unknown(self, split: Split) -> None:
        assert placement_words(split) == "placement unknown"

    def test_a_spill_tells_its_size_and_share(self) -> None:
        assert spill_words(split_of(8 * GIB, 6 * GIB)) == "spills 2.0 GiB (25%) to RAM"
        assert spill_words(split_of(8 * GIB, 0)) == "runs wholly on the CPU, 8.0 GiB in RAM"

    def test_a_name_that_two_servers_have_is_followed_by_its_server(self) -> None:
        state = after(ollama(0, [claim("a"), claim("b")]), ollama(1, [claim("a")], source=FAR)).state
        shared = shared_names(state.models.values())
        assert shared == {"a"}
        labels = {model_label(model, shared) for model in state.models.values()}
        assert labels == {"a @ 127.0.0.1:11434", "a @ box:11434", "b"}


class TestLoading:
    @staticmethod
    def begins(*pids: int) -> State:
        running = [
            runner(pid, blob=f"sha256-{pid:064d}", started=START + index) for index, pid in enumerate(pids)
        ]
        states = [answer(2, "loading", pid=one.pid, started=one.started) for one in running]
        return after(processes(2, *running), *states).state

    def test_one_load_is_named_and_several_are_counted(self) -> None:
        assert loading_words(self.begins()) == ""
        assert loading_words(self.begins(300)).endswith(" is loading")
        assert loading_words(self.begins(300, 200)) == "2 models are loading"

    def test_the_oldest_stands_first(self) -> None:
        loads = unclaimed_loads(self.begins(300, 200))
        assert [load.key.pid for load in loads] == [300, 200]

    def test_what_a_server_claims_is_no_load(self) -> None:
        claimed = facts(3, "llama3:70b", f"sha256-{300:064d}"), ollama(3, [claim()])
        state = self.begins(300)
        assert len(unclaimed_loads(state)) == 1
        process = runner(300, blob=f"sha256-{300:064d}", started=START)
        again = after(processes(2, process), *claimed, processes(4, process)).state
        assert unclaimed_loads(again) == []
