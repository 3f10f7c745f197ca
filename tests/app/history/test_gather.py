"""What a monitor knows, as rows of the history: minutes, requests, loads, events, troubles."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.app.history.rows import ALL, run
from tests.fakes import samples as fakes
from tests.fakes.samples import START
from tests.scene import Gpu, Loading, Machine, Model

from gpumon.app.history.file import HistoryFile, NewRow
from gpumon.app.history.gather import Clocks, Gatherer
from gpumon.app.history.reader import History
from gpumon.app.history.tallies import TokenCount, server_name
from gpumon.app.state.rates.figures import RunnerRates


class Watch:
    """A machine that is watched, and its history; the wall clock may be set."""

    def __init__(self, path: Path, machine: Machine | None = None) -> None:
        self.machine = machine or Machine(Gpu(gib=12))
        self.path = path
        self.step = 0.0
        """By how much the wall clock was set on."""
        self.put: list[Sequence[NewRow]] = []
        clocks = Clocks(lambda: self.now + self.step, lambda: self.now - START + 1000.0)
        self._gatherer = Gatherer(self.machine.monitor, self.put.append, clocks)
        self.machine.monitor.listen(self._gatherer.on_sample)

    @property
    def now(self) -> float:
        return max(self.machine.state.now, START)

    def history(self) -> History:
        """Write what came together, and read it."""
        self._gatherer.close()
        with contextlib.closing(HistoryFile(self.path, run())) as file:
            for rows in self.put:
                file.write(rows, self.now)
        return History.open(self.path)


@pytest.fixture
def watch(tmp_path: Path) -> Watch:
    return Watch(tmp_path / "history.db")


def loaded(watch: Watch, **more: object) -> Model:
    """Load a model, seen from before its first second on."""
    return watch.machine.ollama().load(Model("llama3:8b", gpu_gib=6, port="ready", **more))  # type: ignore[arg-type]


class TestMinutes:
    def test_one_for_each_minute_and_model(self, watch: Watch) -> None:
        loaded(watch)
        watch.machine.run(150)
        with watch.history() as history:
            minutes = history.model_minutes(ALL)
        assert [one.minute % 60 for one in minutes] == [0] * len(minutes)
        assert sum(one.watched_seconds for one in minutes) == pytest.approx(150, abs=1)
        assert {one.name for one in minutes} == {"llama3:8b"}

    def test_memory_and_level_are_those_of_its_end(self, watch: Watch) -> None:
        loaded(watch, ram_gib=2.0)
        watch.machine.run(70)
        with watch.history() as history:
            one = history.model_minutes(ALL)[0]
        assert (one.vram_bytes, one.ram_bytes) == (6 * 2**30, 2 * 2**30)
        assert one.spill_fraction == 0.25
        assert (one.level, one.trouble) == ("bad", "spilled")

    def test_tokens_and_rates_of_requests(self, watch: Watch) -> None:
        model = loaded(watch)
        watch.machine.run(5)
        model.request(40.0, seconds=10)
        watch.machine.run(70)
        with watch.history() as history:
            minutes, [request] = history.model_minutes(ALL), history.requests(ALL)
        assert sum(one.decoded_tokens or 0 for one in minutes) == pytest.approx(request.decoded_tokens, abs=1)
        assert request.decoded_tokens == pytest.approx(400, rel=0.1)
        assert max(one.decode_tokens_per_second or 0 for one in minutes) == pytest.approx(40, abs=1)
        assert sum(one.busy_seconds for one in minutes) == pytest.approx(10, abs=2)
        assert sum(one.requests for one in minutes) == 1

    def test_a_minute_without_work_has_no_rate(self, watch: Watch) -> None:
        loaded(watch)
        watch.machine.run(70)
        with watch.history() as history:
            assert {one.decode_tokens_per_second for one in history.model_minutes(ALL)} == {None}

    def test_a_model_that_leaves_keeps_its_part_of_the_minute(self, watch: Watch) -> None:
        model = loaded(watch)
        watch.machine.run(20)
        model.server.drops(model, at=watch.machine.now + 1)
        watch.machine.run(100)
        with watch.history() as history:
            assert sum(one.watched_seconds for one in history.model_minutes(ALL)) == pytest.approx(20, abs=2)

    def test_of_a_gpu_means_and_peaks(self, watch: Watch) -> None:
        loaded(watch)
        watch.machine.run(130)
        with watch.history() as history:
            one = history.gpu_minutes(ALL)[1]
        assert (one.gpu_index, one.total_bytes) == (0, 12 * 2**30)
        assert one.used_bytes == one.used_bytes_peak
        assert one.watched_seconds == pytest.approx(60, abs=1)

    def test_what_slows_a_gpu_down_is_named_and_timed(self, watch: Watch) -> None:
        machine = watch.machine
        machine.retouch = lambda reading: replace(reading, throttle_reasons=("thermal slowdown", "idle"))
        machine.run(130)
        with watch.history() as history:
            one = history.gpu_minutes(ALL)[1]
        assert one.throttle_reasons == "thermal slowdown"
        assert one.throttled_seconds == pytest.approx(60, abs=1)

    def test_energy_is_power_over_time(self, watch: Watch) -> None:
        watch.machine.retouch = lambda reading: replace(reading, power_watts=100.0)
        watch.machine.run(130)
        with watch.history() as history:
            assert history.gpu_minutes(ALL)[1].energy_joules == pytest.approx(6000, abs=100)

    def test_time_in_which_the_machine_slept_is_not_watched(self, watch: Watch) -> None:
        loaded(watch)
        watch.machine.run(30)
        watch.machine.now += 3600
        watch.machine.run(30)
        with watch.history() as history:
            assert sum(one.watched_seconds for one in history.machine_minutes(ALL)) < 90
            assert sum(one.watched_seconds for one in history.model_minutes(ALL)) < 90


class TestClocks:
    def test_a_clock_that_is_set_back_keeps_rows_in_order(self, watch: Watch) -> None:
        loaded(watch)
        watch.machine.run(125)
        watch.step = -3600.0
        watch.machine.run(125)
        with watch.history() as history:
            minutes = sorted(history.model_minutes(ALL), key=lambda one: one.number)
        assert min(one.minute for one in minutes) < START - 3000
        monotonic = [one.monotonic_seconds for one in minutes]
        assert monotonic == sorted(monotonic)
        assert sum(one.watched_seconds for one in minutes) == pytest.approx(250, abs=3)

    def test_a_clock_that_is_set_on_moves_what_comes_after(self, watch: Watch) -> None:
        model = loaded(watch)
        watch.machine.run(5)
        watch.step = 7200.0
        model.request(40.0)
        watch.machine.run(5)
        with watch.history() as history:
            [request] = history.requests(ALL)
        assert request.ended == pytest.approx(watch.now + 7200, abs=15)
        assert request.monotonic_seconds == pytest.approx(watch.now - START + 1000, abs=15)


class TestRequests:
    def test_figures_of_one(self, watch: Watch) -> None:
        model = loaded(watch)
        watch.machine.run(2)
        model.request(40.0, seconds=6, prompt=700)
        watch.machine.run(20)
        with watch.history() as history:
            [one] = history.requests(ALL)
        assert (one.name, one.source, one.prompt_tokens) == ("llama3:8b", "/slots", 700)
        assert one.decode_tokens_per_second == pytest.approx(40, abs=1)
        assert one.seconds == pytest.approx(6, abs=1)

    def test_each_counts_once_however_often_it_is_looked(self, watch: Watch) -> None:
        model = loaded(watch)
        watch.machine.run(2)
        for _ in range(3):
            model.request(40.0)
            watch.machine.run(10)
        with watch.history() as history:
            assert len(history.requests(ALL)) == 3


class TestLoadsEventsTroubles:
    def test_a_load_with_its_phases(self, watch: Watch) -> None:
        server = watch.machine.ollama()
        watch.machine.run(2)
        server.starts(Model("llama3:8b", loading=Loading()))
        watch.machine.run(60)
        with watch.history() as history:
            [one] = history.loads(ALL)
        assert one.outcome == "loaded"
        assert "weights" in json.loads(one.phases)
        assert one.seconds == pytest.approx(one.ended - one.started, abs=0.1)

    def test_an_alert_is_there_while_it_goes_on_and_with_its_end(self, watch: Watch) -> None:
        model = loaded(watch, ram_gib=2.0)
        watch.machine.run(70)
        spills = [row for rows in watch.put for row in rows if row.values.get("kind") == "spill"]
        assert [row.values["until"] for row in spills] == [None]
        model.ram_gib = 0.0
        watch.machine.run(40)
        with watch.history() as history:
            [spill] = [one for one in history.events(ALL) if one.kind == "spill"]
        assert spill.level == "bad"
        assert spill.until is not None
        assert spill.until - spill.time == pytest.approx(70, abs=5)

    def test_figures_of_an_alert_that_goes_on_are_not_written_each_time(self, watch: Watch) -> None:
        model = loaded(watch, ram_gib=2.0)
        for tenth in range(20):
            model.ram_gib = 2.0 + tenth / 10
            watch.machine.run(20)
        spills = [row for rows in watch.put for row in rows if row.values.get("kind") == "spill"]
        assert len(spills) == 1

    def test_a_spill_is_told_with_its_words_and_how_long_it_lasted(self, watch: Watch) -> None:
        model = loaded(watch, ram_gib=2.0)
        watch.machine.run(90)
        model.ram_gib = 0.0
        watch.machine.run(60)
        with watch.history() as history:
            [one] = history.troubles(ALL)
        assert (one.trouble, one.level) == ("spilled", "bad")
        assert one.sentence.startswith("llama3:8b spills 2.0 GiB (25%) to RAM")
        assert one.until - one.started == pytest.approx(75, abs=20)


class TestTokens:
    def test_a_count_that_starts_again_loses_nothing(self) -> None:
        count = TokenCount()
        grown = [
            count.grown(RunnerRates(decoded_total=total), "process 1", from_start=False)
            for total in (1000, 1010, 5, 8)
        ]
        assert grown == [0, 10, 5, 3]

    @pytest.mark.parametrize(("from_start", "expected"), [(True, 40), (False, 0)])
    def test_of_a_new_process_all_counts_that_was_watched(self, from_start: bool, expected: int) -> None:
        count = TokenCount()
        count.grown(RunnerRates(decoded_total=1000), "process 1", from_start=False)
        assert count.grown(RunnerRates(decoded_total=40), "process 2", from_start=from_start) == expected

    def test_no_count_is_unknown(self) -> None:
        assert TokenCount().grown(RunnerRates(), "x", from_start=True) is None


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("http://localhost:11434", "http://127.0.0.1:11434"),
        ("http://127.0.0.1:11434", "http://127.0.0.1:11434"),
        ("http://[::1]:8080", "http://127.0.0.1:8080"),
        ("https://box:443/ollama", "https://box:443/ollama"),
        ("process 4711", "process"),
    ],
)
def test_a_server_has_one_name(source: str, name: str) -> None:
    assert server_name(source) == name


def test_rows_are_handed_on_once_a_minute(watch: Watch) -> None:
    model = loaded(watch, ram_gib=2.0)
    watch.machine.run(2)
    for _ in range(20):
        model.request(40.0)
    watch.machine.run(60)
    assert len(watch.put) == pytest.approx(watch.machine.now / 60, abs=1)


def test_a_driver_that_says_nothing_leaves_figures_unknown(watch: Watch) -> None:
    watch.machine.say(fakes.nvml(0.0))
    watch.machine.run(5)
    with watch.history() as history:
        assert history.machine_minutes(ALL)
