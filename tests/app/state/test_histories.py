"""The series of a model go on over its reloads, with a gap and marks, and are bounded."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from tests.fakes.process_samples import answer, processes
from tests.fakes.samples import START, claim, ollama
from tests.fakes.served_samples import alone
from tests.scene import Machine, Model, Server, after

from gpumon.app.state.histories import LEFT_KEPT, LEFT_KEPT_SECONDS
from gpumon.app.state.rates.figures import RunnerRates, SlotRates
from gpumon.app.state.records import History, Mark, ModelRecord
from gpumon.app.state.series import Series

NAME = "qwen3:14b"


def worked(machine: Machine, server: Server, rate: float, **more: object) -> Model:
    """Load the model, and let it answer one request."""
    model = server.load(Model(NAME, **more))  # type: ignore[arg-type]
    model.request(rate, seconds=8)
    return model


def values(series: Series, until: float, seconds: int) -> list[float | None]:
    return [None if one is None else round(one.mean) for one in series.window(until, seconds, seconds)]


def kinds(marks: Sequence[Mark]) -> list[str]:
    return [mark.kind for mark in marks]


@pytest.fixture
def machine() -> Machine:
    return Machine()


def test_a_reload_with_another_context_in_another_process_goes_on_with_the_series(machine: Machine) -> None:
    server = machine.ollama()
    first = worked(machine, server, 47.0)
    server.unload(first)
    machine.run(3)
    worked(machine, server, 7.0, pid=101, context=32768, ram_gib=4.0, started=START + machine.now)
    record = machine.only_model()
    assert record.claim.context_length == 32768
    seen = [one for one in values(record.history.decode, machine.state.now, 60) if one is not None]
    assert 46 <= seen[0] <= 48
    assert seen[-1] == 7
    filled = [one for one in values(record.history.context, machine.state.now, 60) if one is not None]
    assert len(filled) > 10


def test_while_it_is_not_loaded_there_is_a_gap_however_short(machine: Machine) -> None:
    server = machine.ollama()
    model = server.load(Model(NAME))
    machine.run(5)
    server.unload(model)
    machine.goes_on(3)
    server.load(Model(NAME, pid=101))
    machine.goes_on(3)
    history = machine.only_model().history
    for series in (history.vram, history.ram):
        seen = values(series, machine.state.now, 8)
        assert [one is None for one in seen] == [False, False, True, True, True, False, False, False]
    assert history.marks[0] == Mark(START + 6, "left", "left")
    assert kinds(history.marks) == ["left", "reload"]


def test_one_that_expires_and_comes_back_hours_later_is_the_same(machine: Machine) -> None:
    server = machine.ollama()
    model = worked(machine, server, 40.0)
    server.unload(model)
    machine.look()
    machine.now += 6 * 3600
    worked(machine, server, 41.0, pid=102)
    seen = machine.only_model().history.decode.window(machine.state.now, 12 * 3600, 12)
    assert [one is not None for one in seen[-7:]] == [True, False, False, False, False, False, True]


def test_a_load_that_is_seen_is_marked_at_its_start_and_when_it_is_ready(machine: Machine) -> None:
    server = machine.ollama()
    model = server.brings_up(Model(NAME, pid=101))
    assert kinds(machine.only_model().history.marks) == ["ready"]
    server.drops(model, at=machine.now + 10)
    began = machine.now + 5
    machine.now = began
    server.brings_up(Model(NAME, pid=102))
    marks = machine.only_model().history.marks
    assert kinds(marks) == ["ready", "left", "reload", "ready"]
    assert marks[2].time == pytest.approx(START + began, abs=1.0)
    assert marks[3].time == pytest.approx(START + began + 3, abs=1.5)


def test_memory_is_seen_to_fill_while_it_loads(machine: Machine) -> None:
    server = machine.ollama()
    first = server.brings_up(Model(NAME, pid=101))
    server.drops(first, at=machine.now + 10)
    machine.now += 1
    server.starts(Model(NAME, pid=102, measured_gib=5.0))
    machine.look("driver", "processes")
    machine.goes_on(2)
    assert not machine.state.models
    [history] = machine.state.histories.values()
    assert history.measured_vram.last == 5 * 1024**3


def test_two_servers_with_one_model_are_two_models(machine: Machine) -> None:
    one, other = machine.ollama(), machine.ollama("http://127.0.0.1:11500", pid=11)
    for server in (one, other):
        server.load(Model(NAME, pid=100 if server is one else 101))
    machine.run(2)
    first, second = machine.state.models.values()
    assert first.history is not second.history


def test_a_llama_server_restarted_on_its_port_is_the_same_model() -> None:
    state = after(
        processes(0, alone(), servers=()),
        answer(1, pid=500),
        processes(2, servers=()),
        processes(5, alone(501), servers=()),
        answer(6, pid=501),
    ).state
    [record] = state.models.values()
    assert record.history is state.departed[0].history
    assert kinds(record.history.marks)[:2] == ["left", "reload"]


def test_a_process_without_an_address_that_makes_way_for_another_is_the_same_model() -> None:
    first, second = alone(500, contained=True), alone(501, contained=True)
    state = after(
        processes(0, first, servers=()),
        answer(1, pid=500),
        processes(2, servers=()),
        processes(3, second, servers=()),
        answer(4, pid=501),
    ).state
    [record] = state.models.values()
    assert record.history is state.departed[0].history


def test_what_left_is_kept_in_number_and_in_time() -> None:
    machine = Machine()
    for at in range(3 * LEFT_KEPT):
        machine.say(ollama(at, [claim(f"m{at}")]))
    assert len(machine.state.histories) == LEFT_KEPT + 1
    machine.say(ollama(LEFT_KEPT_SECONDS + 200, [claim("last")]))
    assert len(machine.state.histories) == 2
    kept = {id(history) for history in machine.state.histories.values()}
    gone = [one.history for one in machine.state.departed if id(one.history) not in kept]
    assert gone
    assert not any(series.last_time for history in gone for series in (history.vram, history.ram))


def test_marks_are_bounded() -> None:
    machine = Machine()
    for at in range(500):
        machine.say(ollama(at, [claim(NAME)] if at % 2 else []))
    [history] = machine.state.histories.values()
    assert len(history.marks) == history.marks.maxlen


def test_the_peak_is_a_rate_that_holds_for_some_seconds(machine: Machine) -> None:
    server = machine.ollama()
    model = worked(machine, server, 30.0)
    model.request(60.0, seconds=12)
    model.request(90.0, seconds=2)
    model.request(20.0, seconds=12)
    history = machine.only_model().history
    assert history.peak.tokens_per_second == pytest.approx(60.0, rel=0.05)
    assert history.peak_on_gpu.tokens_per_second == pytest.approx(60.0, rel=0.05)


def test_a_spilled_model_has_a_peak_and_none_on_the_gpu(machine: Machine) -> None:
    worked(machine, machine.ollama(), 9.0, ram_gib=5.0)
    history = machine.only_model().history
    assert history.peak.tokens_per_second == pytest.approx(9.0, rel=0.1)
    assert history.peak_on_gpu.tokens_per_second is None


def test_requests_side_by_side_are_the_peak_of_all_and_not_of_one() -> None:
    history = History()
    slots = tuple(SlotRates(one, one, "decode") for one in range(2))
    for at in range(20):
        history.take_rates(float(at), RunnerRates(decode_tokens_per_second=80.0, slots=slots), on_gpu=True)
    assert history.peak.tokens_per_second == pytest.approx(80.0)
    assert history.peak_on_gpu.tokens_per_second is None


def test_an_estimated_rate_is_no_peak() -> None:
    history = History()
    for at in range(20):
        history.take_rates(float(at), RunnerRates(decode_tokens_per_second=80.0, is_estimate=True))
    assert history.peak.tokens_per_second is None
    assert history.decode.last == 80.0


def test_requests_shorter_than_the_peak_s_time_count_together() -> None:
    history = History()
    for at in range(40):
        rate = 50.0 if at % 4 < 2 else None
        history.take_rates(float(at), RunnerRates(decode_tokens_per_second=rate))
    assert history.peak.tokens_per_second == pytest.approx(50.0)


def test_a_model_keeps_its_history_when_it_stays(machine: Machine) -> None:
    record: ModelRecord = worked(machine, machine.ollama(), 40.0).record
    history = record.history
    machine.goes_on(5)
    assert machine.only_model().history is history
    assert not history.marks
