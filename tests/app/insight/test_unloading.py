"""How an unloading ends, from the samples that follow it."""

from __future__ import annotations

from collections.abc import Mapping

from tests.fakes.samples import GIB, START
from tests.scene import Gpu, Machine, Model, Program

from gpumon.app.insight.unloading import (
    Unloading,
    UnloadKind,
    UnloadOutcome,
    unload_outcome,
    unloading_of,
)

LATE = 35.0
"""Longer than is waited for, which is 30 s."""
FAR = "http://far:11434"


class Asked:
    """A model that the user has asked to unload, and what became of that."""

    def __init__(
        self,
        measured_gib: float | Mapping[int, float] = 5.0,
        *,
        others: tuple[Program, ...] = (),
        url: str = "",
    ) -> None:
        self.machine = Machine(Gpu(), Gpu())
        self.machine.programs = list(others)
        server = self.machine.ollama(url) if url else self.machine.ollama()
        server.is_here = not url
        self.model = server.load(
            Model(gpu_gib=5.0, measured_gib=measured_gib, cpu_percent=0.0, is_described=False)
        )
        self.machine.look("processes", "servers", "driver")
        self.asked: Unloading = unloading_of(self.machine.only_model(), self.machine.state)

    def goes(self, at: float = 2.0) -> None:
        """Have server and system list it no more; the driver has not been asked since."""
        self.model.server.drops(self.model, at)

    def outcome(self) -> UnloadOutcome | None:
        return unload_outcome(self.asked, self.machine.state)

    def kind(self) -> UnloadKind | None:
        outcome = self.outcome()
        return outcome.kind if outcome else None

    def returned_bytes(self) -> int | None:
        outcome = self.outcome()
        assert outcome is not None
        return outcome.returned_bytes


def test_it_is_over_when_the_model_is_gone_and_its_memory_is_back() -> None:
    asked = Asked()
    assert asked.outcome() is None
    asked.goes()
    assert asked.outcome() is None, "the driver has not been asked since"
    asked.machine.look("driver", at=2.2)
    assert (asked.kind(), asked.returned_bytes()) == ("unloaded", 5 * GIB)
    outcome = asked.outcome()
    assert outcome is not None
    assert round(outcome.seconds, 3) == 2.2


def test_memory_on_every_gpu_must_come_back() -> None:
    asked = Asked({0: 5.0, 1: 4.0})
    asked.goes()
    asked.machine.gpus[1].unowned_gib = 4.0
    asked.machine.look("driver", at=2.2)
    assert asked.outcome() is None
    asked.machine.gpus[1].unowned_gib = 0.0
    asked.machine.look("driver", at=3.2)
    assert (asked.kind(), asked.returned_bytes()) == ("unloaded", 9 * GIB)


def test_memory_that_does_not_come_back_is_told_after_a_while() -> None:
    asked = Asked()
    asked.goes()
    asked.machine.gpus[0].unowned_gib = 5.0
    asked.machine.look("driver", at=2.2).look("servers", at=LATE - 10)
    assert asked.outcome() is None
    asked.machine.look("servers", at=LATE)
    assert (asked.kind(), asked.returned_bytes()) == ("not_returned", None)


def test_the_wait_for_the_memory_begins_when_the_model_goes() -> None:
    asked = Asked()
    asked.goes(LATE)
    asked.machine.gpus[0].unowned_gib = 5.0
    asked.machine.look("driver")
    assert asked.outcome() is None


def test_without_a_measured_process_only_the_model_is_waited_for() -> None:
    asked = Asked(url=FAR)
    asked.machine.look("servers", at=1)
    assert asked.outcome() is None
    asked.goes()
    assert asked.kind() == "unmeasured"


def test_a_model_that_comes_back_was_loaded_again() -> None:
    asked = Asked()
    asked.goes()
    asked.model.server.load(asked.model)
    asked.machine.look("servers", at=3)
    assert asked.kind() == "reloaded"


def test_a_model_in_another_process_was_loaded_again_even_where_no_poll_missed_it() -> None:
    asked = Asked()
    asked.model.pid, asked.model.started = 101, START + 1
    asked.machine.look("processes", "servers", at=2)
    assert asked.kind() == "reloaded"


def test_a_model_at_work_is_waited_for() -> None:
    asked = Asked()
    asked.model.works()
    asked.machine.look("servers", "ports", at=LATE)
    assert asked.kind() == "waiting"


def test_an_idle_model_that_stays_is_told() -> None:
    asked = Asked()
    asked.model.works(processing=False)
    asked.machine.look("servers", "ports", at=LATE)
    assert asked.kind() == "stays"


def test_a_server_that_no_longer_answers_leaves_it_unknown() -> None:
    asked = Asked()
    asked.model.server.state = "failing"
    asked.machine.look("servers", at=LATE)
    assert asked.kind() == "unknown"


def test_the_memory_of_another_process_is_not_counted() -> None:
    asked = Asked(others=(Program("blender", 3.0, pid=7),))
    asked.goes()
    asked.machine.programs.clear()
    asked.machine.look("driver", at=2.2)
    assert asked.returned_bytes() == 5 * GIB
