"""A context that requests fill: an answer ends in the middle, or messages are dropped in silence."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from msgspec.structs import replace
from tests.app.diagnosis.scenes import Scene
from tests.fakes.samples import START
from tests.scene.turns import Talker

from gpumon.app.diagnosis.diagnosis import Diagnosis
from gpumon.app.insight.full_context import STANDS_SECONDS
from gpumon.app.snapshot.build import build_snapshot
from gpumon.collectors.samples import WorkSample

LENGTH = 4096


class Chat:
    """A model with a short context, and a client."""

    def __init__(self, **scene: object) -> None:
        self.machine = Scene(in_ram_gib=0.0, context=LENGTH, **scene).machine()  # type: ignore[arg-type]
        self.talker = Talker()
        self.machine.run(3)

    def plays(self, samples: Iterator[WorkSample]) -> None:
        self.machine.say(*samples)
        self.machine.look(at=self.talker.at - 1.0)

    @property
    def found(self) -> Diagnosis:
        pictures = self.machine.monitor.pictures
        pictures.refresh()
        return pictures.models()[0].diagnosis


@pytest.fixture
def full() -> Chat:
    one = Chat()
    one.plays(one.talker.request(1000, answer=100))
    one.plays(one.talker.request(LENGTH - 100, answer=100))
    return one


def test_an_answer_that_fills_it_is_told_with_what_becomes_of_it(full: Chat) -> None:
    assert full.found.verdict.kind == "context_full"
    assert full.found.verdict.sentence == (
        "llama3.1:8b fills its context of 4k tokens, 1 of 2 requests: "
        "what came first is dropped without a word"
    )
    assert build_snapshot(full.machine.monitor.pictures).level == "watch"


def test_a_context_four_times_as_long_is_advised_where_it_fits(full: Chat) -> None:
    [cure] = full.found.remedies
    assert (cure.action, cure.command) == ("raise_context", "/set parameter num_ctx 16384")


def test_less_is_advised_where_that_would_not_fit() -> None:
    one = Chat(total_gib=7.0, on_gpu_gib=5.6)
    one.plays(one.talker.request(LENGTH - 100, answer=100))
    cures = [cure.context_tokens for cure in one.found.remedies if cure.action == "raise_context"]
    assert all(tokens is not None and LENGTH < tokens < 4 * LENGTH for tokens in cures)


def test_a_request_that_leaves_room_is_well() -> None:
    one = Chat()
    one.plays(one.talker.request(LENGTH - 103, answer=100))
    assert one.found.verdict.kind == "healthy"


def test_it_is_over_after_a_while(full: Chat) -> None:
    full.machine.look(at=full.talker.at + STANDS_SECONDS + 10)
    assert full.found.verdict.kind == "healthy"


def test_a_slot_that_drops_its_oldest_tokens_to_go_on_has_been_full() -> None:
    one = Chat()
    *begun, last = one.talker.request(LENGTH - 200, answer=100)
    [slot] = begun[-1].slots or ()
    shifted = replace(slot, prompt_tokens=LENGTH // 2, decoded_tokens=150)
    goes_on = replace(begun[-1], time=begun[-1].time + 0.2, slots=(shifted,))
    one.machine.say(*begun, goes_on, last)
    one.machine.look(at=last.time - START)
    assert one.found.verdict.kind == "context_full"
