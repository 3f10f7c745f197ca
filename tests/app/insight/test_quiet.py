"""Whether anything happens at all."""

from __future__ import annotations

import pytest
from tests.scene import Gpu, Machine, Model

from gpumon.app.insight.activity import QUIET_SECONDS, Quiet

LATER = QUIET_SECONDS + 5


class Watched:
    """A machine, and whether it is quiet after its last sample."""

    def __init__(self) -> None:
        self.card = Gpu(utilization=0)
        self.machine, self.quiet = Machine(self.card), Quiet()
        self.lasts = False
        self.machine.monitor.listen(self._ask)

    def _ask(self, _: object) -> None:
        self.lasts = self.quiet.lasts(self.machine.state)


@pytest.fixture
def watched() -> Watched:
    return Watched()


def test_a_machine_on_which_nothing_happens_is_quiet_after_a_while(watched: Watched) -> None:
    watched.machine.look("driver").look("driver", at=LATER)
    assert watched.lasts


def test_it_is_not_quiet_right_after_the_start(watched: Watched) -> None:
    watched.machine.look("driver").look("driver", at=5)
    assert not watched.lasts


def test_a_busy_gpu_is_not_quiet(watched: Watched) -> None:
    watched.machine.look("driver")
    watched.card.utilization = 90
    watched.machine.look("driver", at=LATER)
    assert not watched.lasts


def test_a_model_that_appears_ends_the_quiet_at_once(watched: Watched) -> None:
    watched.machine.ollama().load(Model(is_described=False))
    watched.machine.look("driver").look("driver", at=LATER)
    assert watched.lasts
    watched.machine.look("servers", at=LATER + 1)
    assert not watched.lasts


def test_a_loaded_model_without_requests_is_quiet(watched: Watched) -> None:
    watched.machine.ollama().load(Model(is_described=False))
    watched.machine.look("servers").look("servers", at=LATER)
    assert watched.lasts


def test_a_source_that_hangs_is_not_quiet(watched: Watched) -> None:
    watched.machine.look("driver").is_silent("nvml", at=LATER)
    assert not watched.lasts


def test_while_something_happens_it_looks_once_a_second(watched: Watched) -> None:
    looked: set[float] = set()
    for tenth in range(100):
        watched.machine.look("system", at=tenth / 10)
        looked.add(watched.quiet._looked)
    assert len(looked) <= 11
