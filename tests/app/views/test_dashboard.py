"""The panels of the dashboard: what each is wired to, and what stands in for one that fails."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from msgspec.structs import replace
from tests.fakes.samples import GIB, log, system
from tests.scene import Machine, Model, Server, after

from gpumon.app.events.event import LoggedEvent
from gpumon.app.monitor import Monitor
from gpumon.app.views import dashboard
from gpumon.app.views.band import source_rows, watched_words
from gpumon.app.views.dashboard import (
    DashboardView,
    ModelOrder,
    dashboard_view,
    event_row,
    memory_row,
    spilled_bytes,
)
from gpumon.app.views.models import SortKey, model_rows
from gpumon.collectors.samples import MemoryPressure, SourceState
from gpumon.text import units

PANELS = {
    "gpu_rows": "panel gpus",
    "all_rows": "panel models",
    "memory_row": "panel memory",
    "band_view": "verdict",
    "event_rows": "panel events",
    "source_rows": "panel sources",
}


def view(monitor: Monitor, before: DashboardView = dashboard.NOTHING) -> DashboardView:
    return dashboard_view(monitor, ModelOrder(), before)


def spilling(seconds: int = 1) -> Machine:
    """Return a machine on which a model spills, after so many looks."""
    machine = Machine()
    machine.ollama().load(Model("a", ram_gib=1.0))
    for at in range(seconds):
        machine.look("driver", "servers", "system", at=at)
    return machine


def in_state(*states: SourceState | None, url: str | None = None, every: float = 5.0) -> Server:
    """Return a server that was seen in these states, so many seconds apart."""
    machine = Machine()
    server = machine.ollama(url) if url else machine.ollama()
    for number, server.state in enumerate(states):
        machine.look("servers", at=number * every)
    return server


class TestMemory:
    """RAM, swap and CPU."""

    def test_before_the_first_sample_everything_is_unknown(self) -> None:
        row = memory_row(Machine().pictures)
        assert (row.level, row.total_bytes, row.age_seconds) == ("unknown", None, None)

    def test_it_has_the_figures_of_the_machine(self) -> None:
        sample = replace(
            system(0, swap_in=7.0, swap_out=8.0),
            swap_total_bytes=4 * GIB,
            swap_used_bytes=GIB,
            cpu_percent=33.0,
            pressure=MemoryPressure(some_percent=9.0, full_percent=1.0),
        )
        row = memory_row(after(sample).pictures)
        assert (row.level, row.total_bytes, row.used_bytes, row.available_bytes) == (
            "ok",
            64 * GIB,
            32 * GIB,
            32 * GIB,
        )
        assert (row.swap_total_bytes, row.swap_used_bytes) == (4 * GIB, GIB)
        assert (row.swap_in_bytes_per_second, row.swap_out_bytes_per_second) == (7.0, 8.0)
        assert (row.cpu_percent, row.pressure_percent) == (33.0, 9.0)

    def test_its_age_is_told_where_it_is_old(self) -> None:
        machine = Machine().look("system").is_silent("system", 40, at=40)
        assert memory_row(machine.pictures).age_seconds == 40.0

    def test_what_models_claim_in_ram_is_added_up(self) -> None:
        assert self.in_ram(1.0, 2.0, None) == 3 * GIB

    def test_where_no_model_says_it_is_unknown_and_where_one_says_none_it_is_none(self) -> None:
        assert self.in_ram(None) is None
        assert self.in_ram(0.0) == 0

    def in_ram(self, *sizes_gib: float | None) -> int | None:
        machine = Machine()
        server = machine.ollama()
        for name, ram_gib in zip("abc", sizes_gib, strict=False):
            server.load(Model(name, ram_gib=ram_gib))
        return spilled_bytes(machine.look("servers").pictures)


class TestSources:
    """Sources that do not deliver."""

    def words(self, machine: Machine) -> dict[str, str]:
        return {row.name: row.words for row in source_rows(machine.state)}

    def log(self, state: SourceState) -> Machine:
        return after(log(0, source="log x", state=state))

    def test_one_that_is_well_is_not_spoken_of(self) -> None:
        assert source_rows(spilling().state) == ()

    @pytest.mark.parametrize("state", ["absent", "forbidden", "unreachable"])
    def test_one_that_only_adds_detail_may_be_missing_without_a_word(self, state: SourceState) -> None:
        assert self.words(self.log(state)) == {}

    def test_of_one_that_adds_detail_its_faults_are_told(self) -> None:
        assert len(self.words(self.log("failing"))) == 1

    def test_a_wait_names_its_seconds_from_the_last_answer(self) -> None:
        server = in_state(None)
        server.state = "hanging"
        server.machine.look("servers", at=2).look("servers", at=7)
        assert list(self.words(server.machine).values()) == ["not answering for 7s"]

    def test_one_that_never_answered_waits_since_it_was_first_asked(self) -> None:
        server = in_state("hanging", "hanging")
        assert list(self.words(server.machine).values()) == ["not answering for 5s"]

    def test_faults_stand_first_and_then_by_name(self) -> None:
        machine = in_state("not_running").machine
        machine.ollama("http://a:11434").state = "foreign"
        rows = source_rows(machine.look("driver", "servers").is_silent("nvml", 9, at=9).state)
        assert [row.level for row in rows] == ["bad", "bad", "watch"]
        assert [row.name for row in rows[1:]] == ["Ollama at a:11434", "Ollama at 127.0.0.1:11434"]

    def test_what_to_do_stands_beside_it(self) -> None:
        server = in_state("not_running")
        [bare] = source_rows(server.machine.state)
        assert bare.hint == ""
        server.hint = "start it"
        [row] = source_rows(server.machine.look("servers").state)
        assert row.hint == "start it"


class TestEvents:
    """Lines of the feed."""

    def event(self) -> LoggedEvent:
        [event] = spilling(3).monitor.events.feed.ongoing
        return event

    def test_a_line_is_wired_to_its_event(self) -> None:
        event = self.event()
        row = event_row(event, event.time + 42.0)
        assert row.key == f"event {event.number}"
        assert (row.level, row.ways, row.bare) == (event.level, event.said.ways, event.said.bare)
        assert (row.model, row.names) == ("a", ("a",))
        assert (row.time, row.lasting, row.at) == (units.clock(event.time), "42s", event.time)
        assert row.opens == ("models", event.subject_id)
        assert (row.ongoing, row.acknowledged) == (True, False)

    def test_one_that_the_user_has_seen_is_marked_so(self) -> None:
        assert event_row(replace(self.event(), acknowledged=True), 0.0).acknowledged

    def test_one_of_the_machine_opens_nothing(self) -> None:
        assert event_row(replace(self.event(), about="machine"), 0.0).opens is None

    def test_what_lasts_long_is_told_in_minutes(self) -> None:
        event = self.event()
        assert event_row(event, event.time + 200.0).lasting == "3m"
        assert event_row(event, event.time + 7300.0).lasting == "2h 01m"

    def test_what_happened_before_is_not_drawn_up_again(self) -> None:
        machine = spilling(3)
        machine.servers[0].models[0].ram_gib = 0.0
        for at in range(3, 10):
            machine.look("driver", "servers", at=at)
        first = view(machine.monitor)
        second = view(machine.look("system", at=11).monitor, first)
        assert len(first.events) == 2
        assert all(one is other for one, other in zip(first.events, second.events, strict=True))


class TestVerdict:
    """The first line."""

    def test_versions_and_interval_are_told(self) -> None:
        machine = Machine()
        machine.driver_version, machine.ollama().version = "570.1", "0.12.3"
        found = watched_words(machine.look("driver").look("servers", at=1).monitor, 0.5)
        assert found == ("driver 570.1", "Ollama 0.12.3", "every 0.5 s")

    def test_servers_that_run_the_same_are_named_once_and_one_without_a_version_by_its_kind(self) -> None:
        machine = Machine()
        for number, version in enumerate(("0.12.3", "0.12.3", None)):
            machine.ollama(f"http://127.0.0.1:{11434 + number}").version = version
        found = watched_words(machine.look("servers").monitor, 1.0)
        assert found == ("Ollama 0.12.3", "Ollama", "every 1 s")

    def test_what_is_not_known_is_left_out(self) -> None:
        assert watched_words(Machine().monitor, 2.0) == ("every 2 s",)


@pytest.mark.internal_errors
class TestFailures:
    """A panel that fails shows what it showed, as old; the others go on."""

    def failed(self, monkeypatch: pytest.MonkeyPatch, function: str) -> tuple[DashboardView, DashboardView]:
        machine = spilling()
        monitor = machine.monitor
        before = view(monitor)
        machine.look("driver", "servers", "system", at=5)

        def fail(*_: object) -> None:
            raise ZeroDivisionError

        monkeypatch.setattr(dashboard, function, fail)
        return before, view(monitor, before)

    @pytest.mark.parametrize("function", PANELS)
    def test_it_is_named_among_the_sources(self, monkeypatch: pytest.MonkeyPatch, function: str) -> None:
        _, after = self.failed(monkeypatch, function)
        assert any(PANELS[function] in row.words for row in after.sources)

    @pytest.mark.parametrize(("function", "panel"), [("gpu_rows", "gpus"), ("all_rows", "models")])
    def test_rows_are_kept_with_their_age(
        self, monkeypatch: pytest.MonkeyPatch, function: str, panel: str
    ) -> None:
        before, after = self.failed(monkeypatch, function)
        assert [row.age_seconds for row in getattr(after, panel)] == [5.0]
        assert [row.key for row in getattr(after, panel)] == [row.key for row in getattr(before, panel)]

    def test_so_is_memory(self, monkeypatch: pytest.MonkeyPatch) -> None:
        before, after = self.failed(monkeypatch, "memory_row")
        assert after.memory == replace(before.memory, age_seconds=5.0)

    def test_the_verdict_says_that_nothing_can_be_told(self, monkeypatch: pytest.MonkeyPatch) -> None:
        _, after = self.failed(monkeypatch, "band_view")
        assert after.verdict.level == "unknown"
        assert "cannot be told" in after.verdict.sentence

    def test_sources_that_fail_leave_one_line(self, monkeypatch: pytest.MonkeyPatch) -> None:
        _, after = self.failed(monkeypatch, "source_rows")
        [row] = after.sources
        assert (row.level, row.name, row.words) == ("watch", "gpumon", "internal error in panel sources")

    def test_pictures_of_gpus_are_handed_on_only_where_their_rows_were_made(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before, after = self.failed(monkeypatch, "gpu_rows")
        assert before.gpu_pictures is not None
        assert after.gpu_pictures is None


def models() -> tuple[Model, ...]:
    return Model("A", gpu_gib=5.0), Model("b", gpu_gib=2.0, ram_gib=2.0), Model("c", gpu_gib=9.0)


def order(machine: Machine, sort: SortKey, *, descending: bool = False) -> Sequence[str]:
    return [row.name for row in model_rows(machine.pictures, sort, descending)]


@pytest.mark.parametrize(
    ("sort", "names"),
    [
        ("name", ["A", "b", "c"]),
        ("vram", ["c", "A", "b"]),
        ("spill", ["b", "A", "c"]),
        ("loaded", ["c", "b", "A"]),
    ],
)
def test_each_order_begins_with_what_matters_most(sort: SortKey, names: list[str]) -> None:
    machine = Machine()
    server = machine.ollama()
    for at, model in enumerate(models()):
        server.load(model)
        machine.look("servers", at=at)
    assert order(machine, sort) == names


def test_an_order_can_be_turned_round() -> None:
    machine = Machine()
    server = machine.ollama()
    for model in models():
        server.load(model)
    assert order(machine.look("servers"), "vram", descending=True) == ["b", "A", "c"]
