"""A prompt that is read again at each turn: verdict, cause, cure, alert, snapshot."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from msgspec.structs import replace
from tests.app.diagnosis.scenes import Scene
from tests.scene.turns import Talker

from gpumon.app.diagnosis.diagnosis import Remedy, Verdict
from gpumon.app.insight.rereads import STANDS_SECONDS
from gpumon.app.monitor import Monitor
from gpumon.app.snapshot.build import build_snapshot
from gpumon.app.snapshot.schema import ModelEntry
from gpumon.app.views.model_page import model_page
from gpumon.collectors.samples import LogEvent, WorkSample

WHOLE = Scene(in_ram_gib=0.0, context=65536)
TURNS = 7
ANSWER, GROWTH = 60, 500


class Watched:
    """A model that answers a client, turn after turn."""

    def __init__(self, scene: Scene = WHOLE) -> None:
        self.machine = scene.machine()
        self.talker = Talker()
        self.machine.run(3)

    def plays(self, samples: Iterator[WorkSample]) -> None:
        self.machine.say(*samples)
        self.machine.look(at=self.talker.at - 1.0)

    def talks(self, turns: int = TURNS, first: int = 18_000, *, kept: int | None = 31) -> None:
        """Have a client take turns; of each prompt so much is ``kept``, all of it for ``None``."""
        held = 0
        for number in range(turns):
            prompt = first + number * (ANSWER + GROWTH)
            cached = 0 if number == 0 else held if kept is None else kept
            self.plays(self.talker.request(prompt, cached, ANSWER))
            held = prompt + ANSWER - 1

    def two_talk(self, turns: int = TURNS, second: int = 9_000) -> None:
        """Have two clients take turns in one slot."""
        for number in range(turns):
            for first in (18_000, second):
                self.plays(self.talker.request(first + number * (ANSWER + GROWTH), 0, ANSWER))

    @property
    def monitor(self) -> Monitor:
        return self.machine.monitor

    @property
    def verdict(self) -> Verdict | None:
        pictures = self.monitor.pictures
        pictures.refresh()
        verdicts = pictures.models()[0].diagnosis.verdicts
        return next((one for one in verdicts if one.kind == "prompt_reread"), None)

    @property
    def why(self) -> str:
        pictures = self.monitor.pictures
        pictures.refresh()
        cause = pictures.models()[0].diagnosis.cause
        return cause.sentence if cause else ""

    @property
    def cures(self) -> list[Remedy]:
        pictures = self.monitor.pictures
        pictures.refresh()
        return list(pictures.models()[0].diagnosis.remedies)

    @property
    def entry(self) -> ModelEntry:
        return build_snapshot(self.monitor.pictures).models[0]

    @property
    def alerts(self) -> list[str]:
        return [alert.message for alert in self.monitor.alerts.active if alert.kind == "prompt_reread"]


@pytest.fixture
def agent() -> Watched:
    """An agent whose first message differs at each turn."""
    one = Watched()
    one.talks()
    return one


def test_a_head_that_changes_is_told_with_what_it_costs(agent: Watched) -> None:
    assert agent.verdict is not None
    assert agent.verdict.severity == "watch"
    assert agent.verdict.sentence == (
        "llama3.1:8b reads 19k tokens again at each turn, 39s each, 82% of its time"
    )
    assert agent.why == "the head of the prompt changes: 31 tokens are the same"


def test_its_cure_is_the_line_for_the_client_that_is_known_for_it(agent: Watched) -> None:
    cure = agent.cures[0]
    assert cure.action == "steady_prompt"
    assert cure.command == "CLAUDE_CODE_ATTRIBUTION_HEADER=0"
    assert cure.arithmetic == "saves about 39s at each turn"


def test_it_is_an_alert_and_the_headline(agent: Watched) -> None:
    assert agent.alerts == ["llama3.1:8b reads 19k tokens again at each turn, 39s each, 82% of its time"]
    assert build_snapshot(agent.monitor.pictures).level == "watch"


def test_the_snapshot_has_the_requests_and_the_loss(agent: Watched) -> None:
    found, latest = agent.entry.prompt_reread, agent.entry.requests[0]
    assert found is not None
    assert (found.cause, found.turns, found.kept_tokens) == ("head", 6, 31)
    assert (latest.prompt_tokens, latest.cached_tokens, latest.generated_tokens) == (21_360, 31, 60)
    assert latest.prefill_tokens_per_second == pytest.approx(500, rel=0.01)


def test_the_page_shows_what_was_kept_of_each_prompt(agent: Watched) -> None:
    pictures = agent.monitor.pictures
    page = model_page(pictures.models()[0].id, pictures, 300.0)
    [section] = [one for one in page.beside if one.title == "LAST REQUESTS"]
    assert [(row.prompt, row.kept) for row in section.requests[:2]] == [("21k", "31"), ("20k", "31")]


def test_a_prompt_that_grows_at_its_end_is_well() -> None:
    one = Watched()
    one.talks(kept=None)
    assert one.verdict is None
    assert one.alerts == []
    assert one.entry.prompt_reread is None


def test_before_it_is_sure_nothing_is_said() -> None:
    one = Watched()
    one.talks(turns=6)
    assert one.verdict is None


def test_two_clients_in_one_slot_are_told_as_such_and_a_slot_more_is_advised() -> None:
    one = Watched()
    one.two_talk()
    assert one.why == "other requests take its slot between two turns"
    assert one.entry.prompt_reread is not None
    assert one.entry.prompt_reread.turns == 12, "those of both"
    assert [cure.command for cure in one.cures] == ["OLLAMA_NUM_PARALLEL=2"]


def test_a_prompt_that_changes_further_on_says_where() -> None:
    one = Watched()
    one.talks(kept=9_000)
    assert one.why == "the prompt changes after 8.8k of 21k tokens"
    assert one.cures[0].command is None


def test_where_the_model_cannot_go_back_in_its_context_that_may_be_the_cause_too() -> None:
    one = Watched()
    [record] = one.monitor.state.models.values()
    assert record.facts is not None
    geometry = {**record.facts.geometry, "llama.attention.sliding_window": 512}
    record.facts = replace(record.facts, geometry=geometry)
    one.talks()
    assert one.why.endswith("or its sliding window keeps too little to go back to")


def test_when_it_is_mended_it_is_over_at_once(agent: Watched) -> None:
    agent.talks(turns=3, first=23_000, kept=None)
    assert agent.verdict is None


def test_when_nobody_asks_any_more_it_is_over_after_a_while(agent: Watched) -> None:
    ended = agent.talker.at
    agent.machine.look(at=ended + STANDS_SECONDS - 60)
    assert agent.verdict is not None
    agent.machine.look(at=ended + STANDS_SECONDS + 60)
    assert agent.verdict is None


def test_a_fast_machine_is_not_blamed_for_what_costs_next_to_nothing() -> None:
    one = Watched()
    one.talker.rate = 100_000.0
    one.talks()
    assert one.verdict is None


# --- What the server's log says besides


def logged(common: int, turns: int, kept: int = 31) -> Watched:
    """Have the log say of each turn how many of its first tokens the slot holds too."""
    one, held = Watched(), 0
    one.machine.logs(LogEvent(kind="default_context", count=4096))
    for number in range(turns):
        prompt = 18_000 + number * (ANSWER + GROWTH)
        if number:
            said = LogEvent(kind="prompt_compared", slot=0, task=-1, count=min(common, held), total=prompt)
            one.machine.now = one.talker.at
            one.machine.logs(said)
        one.plays(one.talker.request(prompt, kept if number else 0, ANSWER))
        held = prompt + ANSWER - 1
    return one


def test_where_the_log_says_that_the_prompt_is_the_same_three_turns_are_enough() -> None:
    assert logged(common=100_000, turns=3).verdict is None
    one = logged(common=100_000, turns=4)
    assert one.verdict is not None
    assert one.why == "18k tokens are the same, and its sliding window keeps too little to go back to them"
    assert one.entry.prompt_reread is not None
    assert one.entry.prompt_reread.cause == "window"


def test_where_it_says_that_they_have_a_few_tokens_in_common_chance_counts_as_before() -> None:
    assert logged(common=40, turns=5).verdict is None
    one = logged(common=40, turns=7, kept=0)
    assert one.why == "the head of the prompt changes: 40 tokens are the same"


def test_where_it_says_which_token_changes_the_sliding_window_is_not_to_blame() -> None:
    one = logged(common=9_000, turns=7, kept=9_000)
    assert one.why == "the prompt changes after 8.8k of 21k tokens"
