from __future__ import annotations

import pytest
from tests.fakes.samples import START
from tests.scene import BLOB, Machine, Model
from tests.scene.thrashing import again, taking_turns

from gpumon.app.state.loads.endings import WINDOW_SECONDS
from gpumon.app.state.records import SettingChange, Thrash


def only(machine: Machine) -> Thrash:
    (thrash,) = machine.state.thrash.values()
    return thrash


class TestOneModel:
    def test_three_loads_in_ten_minutes_are_thrash(self) -> None:
        thrash = only(again(3))
        assert (thrash.names, thrash.count, thrash.since) == (("a",), 3, START + 1)

    def test_two_are_none(self) -> None:
        assert not again(2).state.thrash

    def test_three_in_an_hour_are_none(self) -> None:
        assert not again(3, every=WINDOW_SECONDS / 2).state.thrash

    def test_it_is_over_when_fewer_than_three_are_in_the_last_ten_minutes(self) -> None:
        machine = again(3)
        until = only(machine).until - START
        assert machine.look("driver", at=until - 1).state.thrash
        assert not machine.look("driver", at=until).state.thrash

    def test_loads_that_fail_are_another_matter(self) -> None:
        machine = Machine()
        server = machine.ollama()
        for number in range(4):
            machine.now = 10 * number
            model = server.starts(Model(pid=200 + number))
            machine.look("processes", at=10 * number + 0.5)
            server.unload(model)
            machine.look("processes", at=10 * number + 5)
        assert not machine.state.thrash


class TestCause:
    def test_a_keep_alive_that_runs_out(self) -> None:
        assert only(again(3, expires=20)).cause == "expired"

    def test_unknown_where_the_model_left_before_its_time_for_no_visible_reason(self) -> None:
        assert only(again(3)).cause is None

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
        machine = again(3, settings=[{field: value} for value in (*values, values[0])])
        thrash = only(machine)
        assert thrash.cause == "settings"
        assert thrash.changes == (SettingChange(setting, values[1], values[0]),)  # type: ignore[arg-type]

    def test_other_models_that_need_the_memory(self) -> None:
        machine = Machine()
        server = machine.ollama()
        for number in range(3):
            machine.now = 1 + 60 * number
            server.drops(server.brings_up(Model("a", pid=1000 + number)), at=30 + 60 * number)
            machine.now = 31 + 60 * number
            other = Model(f"other {number}", blob=f"sha256-{number:064x}", pid=2000 + number)
            server.drops(server.brings_up(other), at=60 + 60 * number)
        assert machine.state.thrash[BLOB].cause == "memory"


class TestTwoModels:
    def test_two_rounds_are_one_thrash_of_both(self) -> None:
        thrash = only(taking_turns(4))
        assert (thrash.names, thrash.count, thrash.cause) == (("a", "b"), 4, "memory")

    def test_one_round_is_none(self) -> None:
        assert not taking_turns(2).state.thrash

    def test_more_rounds_stay_one_thrash(self) -> None:
        assert only(taking_turns(8)).count == 8

    def test_it_is_over_after_ten_minutes(self) -> None:
        assert not taking_turns(4).look("driver", at=1000).state.thrash
