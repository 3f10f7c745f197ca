"""Requests that wait for a place: verdict, cause, cure, alert, and what the page says."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from msgspec.structs import replace
from tests.app.diagnosis.scenes import Scene
from tests.app.diagnosis.test_prompt_reread import Watched
from tests.fakes.samples import START
from tests.scene.engine import Engine

from gpumon.app.diagnosis.diagnosis import Diagnosis
from gpumon.app.picture.model import ModelPicture
from gpumon.app.snapshot.build import build_snapshot
from gpumon.app.views.model_page import model_page
from gpumon.collectors.samples import WorkCounters, WorkSample

ROOMY = Scene(in_ram_gib=0.0, context=8192)


class Queue(Watched):
    """One slot that is at work, and requests behind it."""

    def __init__(self, scene: Scene = ROOMY) -> None:
        super().__init__(scene)
        self.rests(1)
        self.waiting = 2

    def holds(self, seconds: int, prompt: int = 4_000, cached: int = 0, *, decodes: bool = True) -> None:
        """Have a request at work for so long, looked at every second."""
        self.talker.task += 100
        for second in range(seconds):
            done, decoded = (prompt - cached, 30 * (second + 1)) if decodes else (second * 500, 0)
            held = prompt + decoded if decodes else done + cached + 500
            said = self.talker._sample(0, held, done, cached, decoded)
            self.machine.say(self._queued(said))
            self.talker.at += 1.0
            self.machine.look(at=self.talker.at - 0.5)

    def rests(self, seconds: int) -> None:
        """Let nobody ask or wait for so long."""
        self.waiting = 0
        for _ in range(seconds):
            self.machine.say(self._queued(self.talker._sample(0, 4_000, 0, 0, None)))
            self.talker.at += 1.0
            self.machine.look(at=self.talker.at - 0.5)

    def _queued(self, said: WorkSample) -> WorkSample:
        return replace(said, counters=WorkCounters(requests_processing=1, requests_deferred=self.waiting))

    @property
    def model(self) -> ModelPicture:
        self.monitor.pictures.refresh()
        return self.monitor.pictures.models()[0]

    @property
    def found(self) -> Diagnosis:
        return self.model.diagnosis

    @property
    def is_waiting(self) -> bool:
        return any(one.kind == "waiting" for one in self.found.verdicts)

    def now(self) -> Iterator[str]:
        pictures = self.monitor.pictures
        page = model_page(self.model.id, pictures, 300.0)
        [section] = [one for one in page.sections if one.title == "NOW"]
        return (fact.value for fact in section.facts)


@pytest.fixture
def queue() -> Queue:
    """A slot that has been generating for twelve seconds while two requests wait."""
    one = Queue()
    one.holds(12)
    return one


def test_requests_that_wait_are_told_with_what_holds_the_slot(queue: Queue) -> None:
    assert (queue.found.verdict.kind, queue.found.verdict.severity) == ("waiting", "watch")
    assert queue.found.verdict.sentence == "llama3.1:8b lets 2 requests wait, for 12s now"
    assert queue.found.cause is not None
    assert queue.found.cause.kind == "slots_held"
    assert queue.found.cause.sentence == (
        "its only slot is held for 12s by a request that has generated 360 tokens"
    )


def test_the_cure_is_a_slot_more_with_what_it_takes(queue: Queue) -> None:
    [cure] = queue.found.remedies
    assert (cure.action, cure.command) == ("more_slots", "OLLAMA_NUM_PARALLEL=2")
    assert cure.arithmetic.startswith("needs ")


def test_no_slot_is_advised_for_which_there_is_no_room() -> None:
    one = Queue(Scene(in_ram_gib=0.0, on_gpu_gib=10.5, context=32768, total_gib=11.0))
    one.holds(12)
    assert one.is_waiting
    assert [cure.action for cure in one.found.remedies if cure.action == "more_slots"] == []


def test_a_prompt_that_is_being_read_holds_the_slot_too() -> None:
    one = Queue()
    one.holds(12, decodes=False)
    assert one.found.cause is not None
    assert one.found.cause.sentence == (
        "its only slot is held for 12s by a request that reads its prompt: 5.4k tokens so far"
    )


def test_it_is_an_alert(queue: Queue) -> None:
    [alert] = [one for one in queue.monitor.alerts.active if one.kind == "waiting"]
    assert (alert.severity, alert.since) == ("watch", START + 11.0)
    assert build_snapshot(queue.monitor.pictures).level == "watch"


def test_a_moment_of_waiting_is_none() -> None:
    one = Queue()
    one.holds(9)
    assert not one.is_waiting


def test_it_is_over_when_nobody_waits_any_more(queue: Queue) -> None:
    queue.rests(4)
    assert queue.is_waiting
    queue.rests(8)
    assert not queue.is_waiting


def test_the_page_says_who_waits_for_what_though_it_is_no_verdict_yet() -> None:
    one = Queue()
    one.holds(6)
    said = list(one.now())
    assert said[0].endswith("2 waiting")
    assert "its only slot is held for 6s by a request that has generated 180 tokens" in said


def test_vllm_with_room_in_its_cache_may_work_on_more_at_once() -> None:
    engine = Engine()
    engine.run(3)
    engine.set(0.4, requests_processing=8, requests_deferred=3)
    engine.run(15)
    found = engine.model.diagnosis
    assert found.verdict.kind == "waiting"
    assert found.cause is not None
    assert found.cause.sentence == "8 are at work"
    assert [one.command for one in found.remedies] == ["--max-num-seqs 16"]


def test_vllm_that_waits_for_room_needs_more_of_it() -> None:
    engine = Engine()
    engine.run(3)
    engine.set(0.9, requests_processing=8, requests_deferred=3, deferred_by_reason={"capacity": 3})
    engine.run(15)
    assert "--kv-cache-dtype fp8" in [one.command for one in engine.model.diagnosis.remedies]
    assert "more_slots" not in [one.action for one in engine.model.diagnosis.remedies]


# --- A prompt that is being read


def test_of_a_next_turn_the_page_says_of_how_much_and_how_long_still() -> None:
    one = Queue(Scene(in_ram_gib=0.0, context=65536))
    one.waiting = 0
    one.talks(turns=4)
    one.holds(5, decodes=False)
    assert "reads its prompt: 2.0k of ~19k tokens, ~35s left" in list(one.now())
    [entry] = build_snapshot(one.monitor.pictures).models
    assert (entry.prefill_tokens_done, entry.prefill_tokens_expected) == (2000, 19_739)
    assert entry.prefill_is_estimate is True
    assert entry.prefill_seconds_left == pytest.approx(35, abs=1)


def test_of_any_other_only_how_much_is_done() -> None:
    one = Queue()
    one.waiting = 0
    one.holds(5, decodes=False)
    assert "reads its prompt: 2.0k tokens so far" in list(one.now())
    [entry] = build_snapshot(one.monitor.pictures).models
    assert (entry.prefill_tokens_expected, entry.prefill_is_estimate) == (None, None)


def test_its_row_says_so_once_it_takes_a_while() -> None:
    one = Queue()
    one.waiting = 0
    one.holds(2, decodes=False)
    assert not one.model.notes
    one.holds(5, decodes=False)
    assert one.model.notes[-1] == "reads its prompt: 2.0k tokens so far"


# --- How full its context is


def test_the_context_is_a_bar_of_what_was_kept_and_what_is_new() -> None:
    one = Queue()
    one.waiting = 0
    one.holds(3, prompt=16_384, cached=8192)
    page = model_page(one.model.id, one.monitor.pictures, 300.0)
    [section] = [section for section in page.sections if section.title == "NOW"]
    (bar,) = section.bars
    assert (bar.label, bar.figure, bar.note) == ("context", "16k", "of 64k, 8k kept from before")
    assert [(part.role, part.size) for part in bar.parts] == [("model", 8192.0), ("model2", 8282.0)]
