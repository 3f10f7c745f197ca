from __future__ import annotations

from collections.abc import Iterator

import pytest
from msgspec.structs import replace
from tests.app.state.states import state_of
from tests.fakes.process_samples import BLOB, OTHER_BLOB, answer, facts, processes, runner
from tests.fakes.samples import START, claim, nvml, ollama

from gpumon.app.state.loads.endings import WINDOW_SECONDS
from gpumon.app.state.records import SettingChange, Thrash
from gpumon.app.state.state import State
from gpumon.collectors.samples import AnySample, RunnerSettings

LATER = 3600.0


def loaded(
    at: float,
    name: str = "a",
    *,
    pid: int | None = None,
    settings: RunnerSettings | None = None,
    blob: str = BLOB,
    expires: float = LATER,
) -> Iterator[AnySample]:
    """A runner starts at ``at``, is ready after 3 s and claimed after 4."""
    pid = pid if pid is not None else 1000 + int(at)
    process = runner(pid, blob, started=START + at)
    if settings is not None:
        process = replace(process, settings=settings)
    yield processes(at + 0.5, process)
    yield answer(at + 1, "loading", pid=pid, started=START + at)
    yield answer(at + 3, pid=pid, started=START + at)
    yield ollama(at + 4, [replace(claim(name), expires_at=START + expires)])


def gone(at: float) -> Iterator[AnySample]:
    yield ollama(at)
    yield processes(at)


def again(times: int, *, every: float = 60.0, expires: float = LATER) -> Iterator[AnySample]:
    """Loads of one model that leaves half-way between."""
    yield facts(0, "a", BLOB)
    for number in range(times):
        at = 1 + every * number
        yield from loaded(at, expires=expires if expires == LATER else at + expires)
        yield from gone(at + every / 2)


def taking_turns(loads: int) -> Iterator[AnySample]:
    yield facts(0, "a", BLOB)
    yield facts(0, "b", OTHER_BLOB)
    for number in range(loads):
        at = 1 + 30 * number
        yield from gone(at - 0.5)
        yield from loaded(at, "ab"[number % 2], blob=(BLOB, OTHER_BLOB)[number % 2])


def only(state: State) -> Thrash:
    (thrash,) = state.thrash.values()
    return thrash


class TestOneModel:
    def test_three_loads_in_ten_minutes_are_thrash(self) -> None:
        thrash = only(state_of(*again(3)))
        assert (thrash.names, thrash.count, thrash.since) == (("a",), 3, START + 1)

    def test_two_are_none(self) -> None:
        assert not state_of(*again(2)).thrash

    def test_three_in_an_hour_are_none(self) -> None:
        assert not state_of(*again(3, every=WINDOW_SECONDS / 2)).thrash

    def test_it_is_over_when_fewer_than_three_are_in_the_last_ten_minutes(self) -> None:
        state = state_of(*again(3))
        until = only(state).until - START
        assert state_of(*again(3), nvml(until - 1)).thrash
        assert not state_of(*again(3), nvml(until)).thrash

    def test_loads_that_fail_are_another_matter(self) -> None:
        def failing() -> Iterator[AnySample]:
            for number in range(4):
                yield processes(10 * number + 0.5, runner(200 + number, started=START + 10 * number))
                yield processes(10 * number + 5)

        assert not state_of(*failing()).thrash


class TestCause:
    def test_a_keep_alive_that_runs_out(self) -> None:
        assert only(state_of(*again(3, expires=20))).cause == "expired"

    def test_unknown_where_the_model_left_before_its_time_for_no_visible_reason(self) -> None:
        assert only(state_of(*again(3))).cause is None

    @pytest.mark.parametrize(
        ("setting", "field", "values"),
        [
            ("context", "context_length", (4096, 8192)),
            ("parallel", "parallel", (1, 4)),
            ("GPU layers", "gpu_layers", (None, 20)),
            ("cache type", "cache_type_k", ("f16", "q8_0")),
        ],
    )
    def test_settings_that_change_are_named(
        self, setting: str, field: str, values: tuple[int | str | None, int | str | None]
    ) -> None:
        def changing() -> Iterator[AnySample]:
            for number in range(3):
                settings = replace(RunnerSettings(blob=BLOB), **{field: values[number % 2]})
                yield from loaded(1 + 60 * number, settings=settings)
                yield from gone(40 + 60 * number)

        thrash = only(state_of(facts(0, "a", BLOB), *changing()))
        assert thrash.cause == "settings"
        assert thrash.changes == (SettingChange(setting, values[1], values[0]),)  # type: ignore[arg-type]

    def test_other_models_that_need_the_memory(self) -> None:
        def crowded() -> Iterator[AnySample]:
            for number in range(3):
                other = f"sha256-{number:064x}"
                yield from loaded(1 + 60 * number)
                yield from gone(30 + 60 * number)
                yield from loaded(31 + 60 * number, f"other {number}", blob=other)
                yield from gone(60 + 60 * number)

        state = state_of(facts(0, "a", BLOB), *crowded())
        assert state.thrash[BLOB].cause == "memory"


class TestTwoModels:
    def test_two_rounds_are_one_thrash_of_both(self) -> None:
        thrash = only(state_of(*taking_turns(4)))
        assert (thrash.names, thrash.count, thrash.cause) == (("a", "b"), 4, "memory")

    def test_one_round_is_none(self) -> None:
        assert not state_of(*taking_turns(2)).thrash

    def test_more_rounds_stay_one_thrash(self) -> None:
        assert only(state_of(*taking_turns(8))).count == 8

    def test_it_is_over_after_ten_minutes(self) -> None:
        assert not state_of(*taking_turns(4), nvml(1000)).thrash
