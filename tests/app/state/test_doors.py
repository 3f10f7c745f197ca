"""One model that is reached through several servers is one row, whichever of them answers first.

Every order in which they may answer gives the same: the name that clients use, the figures of its process.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations

import pytest
from msgspec.structs import replace
from tests.fakes import process_samples as fakes
from tests.fakes.samples import START, claim
from tests.fakes.served_samples import FACTS, alone

from gpumon.app.alerts.limits import Limits
from gpumon.app.monitor import Monitor
from gpumon.app.session.whom import runner_targets
from gpumon.app.snapshot.build import build_snapshot
from gpumon.app.state.work import answer_of, rates_of
from gpumon.collectors.samples import (
    AnySample,
    MeterSample,
    ModelClaim,
    ProcessSample,
    RunnerProcess,
    RunnerSettings,
    ServerProcess,
    ServerSample,
    Slot,
    SourceHealth,
    WorkCounters,
    WorkSample,
)

FRONT, BEHIND = "http://127.0.0.1:8080", "http://127.0.0.1:5801"
NAME = "gem-a"
WELL = SourceHealth(state="serving")
TOLD = RunnerSettings(port=5801)


def _said(*samples: AnySample) -> list[AnySample]:
    return [*samples]


def listed(source: str, kind: str, *claims: ModelClaim) -> ServerSample:
    return ServerSample(time=START, source=source, kind=kind, health=WELL, models=claims)


def working(tokens: int, source: str = BEHIND, name: str = "llama-3-8b.gguf") -> WorkSample:
    """Return a look at the process of the model by its own URL, or by that of the router before it."""
    slots = (Slot(slot_id=0, processing=True, task_id=1, decoded_tokens=tokens, context_length=4096),)
    return WorkSample("ready", facts=FACTS, slots=slots, time=START, source=source, model=name)


def ended(tokens: float) -> WorkSample:
    """Return what the server in front tells of requests that have ended."""
    counters = WorkCounters(decoded_tokens_total=tokens, decoded_seconds_total=tokens / 5)
    return WorkSample("ready", counters=counters, origin="/x", time=START, source=FRONT, model=NAME)


@dataclass(frozen=True)
class Doors:
    """A model, and the servers before it."""

    kind: str
    """Of the server in front."""
    claim: ModelClaim
    """How that names the model."""
    server: ServerProcess
    child: RunnerProcess
    source: str = FRONT

    @property
    def front(self) -> ServerSample:
        return listed(self.source, self.kind, self.claim)

    @property
    def seen(self) -> ProcessSample:
        return fakes.processes(0, self.child, servers=[self.server])


def doors(kind: str, name: str = NAME, **claimed: object) -> Doors:
    told = ModelClaim(name=name, state="ready", settings=TOLD)
    server = replace(fakes.server(20, FRONT), kind=kind)
    return Doors(kind, replace(told, **claimed), server, alone(31, port=5801, alias=None, server_pid=20))


def _ollama() -> Doors:
    server = fakes.server(20, FRONT)
    held = fakes.runner(31, server_pid=20)
    return Doors(
        "ollama",
        claim("llama3.1:8b"),
        server,
        replace(held, settings=replace(held.settings, port=5801)),
    )


SET_UPS = {
    "llama-swap": doors("llama_swap"),
    "router": doors("llama_server"),
    "Lemonade": doors("lemonade"),
}
BACK = listed(BEHIND, "llama_server", ModelClaim(name="llama-3-8b.gguf", state="ready"))


def fed(samples: Sequence[AnySample]) -> Monitor:
    """Take in the samples one second apart, and then twice more what is said again and again."""
    monitor = Monitor(Limits())
    for second, sample in enumerate(samples):
        monitor.feed(replace(sample, time=START + second))
    return monitor


def rows(monitor: Monitor) -> list[tuple[str, str, str]]:
    document = build_snapshot(monitor.pictures)
    assert not document.left, "nothing has left"
    return [(one.name, str(one.url), str(one.runtime)) for one in document.models]


ORDERS = [*permutations(["front", "behind", "seen", "work"])]


@pytest.mark.parametrize("order", ORDERS, ids=" ".join)
@pytest.mark.parametrize("name", SET_UPS)
def test_found_or_named_and_in_every_order_it_is_one_row(name: str, order: tuple[str, ...]) -> None:
    one = SET_UPS[name]
    samples: dict[str, AnySample] = {
        "front": one.front,
        "behind": BACK,
        "seen": one.seen,
        "work": working(10),
    }
    said = [samples[what] for what in order]
    told = (FRONT, NAME) if name == "router" else (BEHIND, "llama-3-8b.gguf")
    again = [
        step for tokens in (40, 80, 120) for step in _said(one.front, BACK, working(tokens, *told), one.seen)
    ]
    monitor = fed([*said, *again])
    assert rows(monitor) == [(NAME, FRONT, one.kind)]
    [model] = monitor.state.models.values()
    assert model.runner is not None
    assert model.runner.pid == 31
    answer = answer_of(model, monitor.state)
    assert answer is not None
    assert answer.slots, "the figures are those of the process"
    assert rates_of(model, monitor.state).decode_tokens_per_second == pytest.approx(10, rel=0.1)


@pytest.mark.parametrize("order", [*permutations(["front", "behind", "work", "ended"])], ids=" ".join)
def test_where_no_process_is_seen_it_is_one_row_too(order: tuple[str, ...]) -> None:
    """On another machine the port that its server names tells."""
    front, behind = FRONT.replace("127.0.0.1", "box"), BEHIND.replace("127.0.0.1", "box")
    one = replace_source(SET_UPS["llama-swap"], front)
    back = replace(BACK, source=behind)
    samples: dict[str, AnySample] = {
        "front": one.front,
        "behind": back,
        "work": working(10, behind),
        "ended": replace(ended(100), source=front),
    }
    again = [
        step
        for tokens in (40, 80, 120)
        for step in _said(
            one.front, back, working(tokens, behind), replace(ended(100 + tokens), source=front)
        )
    ]
    monitor = fed([*(samples[what] for what in order), *again])
    assert rows(monitor) == [(NAME, front, "llama_swap")]
    [model] = monitor.state.models.values()
    rates = rates_of(model, monitor.state)
    assert rates.sources == ("/slots",)
    assert rates.decode_tokens_per_second == pytest.approx(10, rel=0.1)


def replace_source(one: Doors, source: str) -> Doors:
    return Doors(one.kind, one.claim, one.server, one.child, source)


def test_where_the_one_behind_falls_silent_the_one_in_front_is_heard_again() -> None:
    front, behind = "http://box:8080", "http://box:5801"
    one = replace_source(SET_UPS["llama-swap"], front)
    lost = replace(BACK, source=behind, models=None, health=SourceHealth(state="hanging"))
    said = _said(one.front, replace(BACK, source=behind), working(10, behind), lost)
    later = [replace(ended(tokens), source=front) for tokens in (100, 140, 180)]
    monitor = fed([*said, *later])
    [model] = monitor.state.models.values()
    assert rates_of(model, monitor.state).sources == ("/x",)


def test_a_process_is_not_asked_on_its_port_where_its_url_is_asked() -> None:
    one = SET_UPS["llama-swap"]
    assert [target.pid for target in runner_targets(fed([one.seen, one.front]).state)] == [31]
    assert runner_targets(fed([one.seen, one.front, BACK]).state) == []


@pytest.mark.parametrize("order", [*permutations(["behind", "seen", "work"])], ids=" ".join)
@pytest.mark.parametrize("name", SET_UPS)
def test_where_the_one_in_front_is_not_asked_the_one_behind_is_the_row_of_the_process(
    name: str, order: tuple[str, ...]
) -> None:
    one = SET_UPS[name]
    samples: dict[str, AnySample] = {"behind": BACK, "seen": one.seen, "work": working(10)}
    monitor = fed([*(samples[what] for what in order), BACK, working(40), one.seen])
    assert rows(monitor) == [("llama-3-8b.gguf", BEHIND, "llama_server")]
    [model] = monitor.state.models.values()
    assert model.runner is not None


def test_a_server_whose_port_is_that_of_anothers_child_in_a_container_is_its_own() -> None:
    inside = replace(fakes.server(20, FRONT), kind="llama_swap", other_namespace=True, published=(FRONT,))
    one = SET_UPS["llama-swap"]
    monitor = fed([one.front, BACK, fakes.processes(0, servers=[inside]), one.front, BACK])
    assert sorted(rows(monitor)) == [(NAME, FRONT, "llama_swap"), ("llama-3-8b.gguf", BEHIND, "llama_server")]


def test_a_server_at_the_port_of_a_child_that_is_another_process_is_its_own() -> None:
    one = SET_UPS["llama-swap"]
    stranger = alone(77, port=5801, alias=None)
    monitor = fed([one.front, BACK, fakes.processes(0, stranger, servers=[one.server]), one.front, BACK])
    assert sorted(rows(monitor)) == [(NAME, FRONT, "llama_swap"), ("llama-3-8b.gguf", BEHIND, "llama_server")]


@pytest.mark.parametrize("order", [*permutations(["front", "behind", "meter"])], ids=" ".join)
def test_a_server_behind_a_meter_that_is_named_too_is_one_row(order: tuple[str, ...]) -> None:
    """The meter has counted the requests, so its row it is."""
    meter = listed(FRONT, "ollama", claim("llama3.1:8b"))
    behind = listed(BEHIND, "ollama", claim("llama3.1:8b"))
    word = MeterSample(time=START, source=f"meter {FRONT}", server=FRONT, upstream=BEHIND, models=())
    samples: dict[str, AnySample] = {"front": meter, "behind": behind, "meter": word}
    monitor = fed([*(samples[what] for what in order), meter, behind, word])
    assert rows(monitor) == [("llama3.1:8b", FRONT, "ollama")]


def test_the_process_of_an_ollamas_model_that_is_named_by_its_port_is_that_model() -> None:
    one = _ollama()
    for said in permutations(_said(one.seen, one.front, BACK)):
        monitor = fed([*said, one.front, BACK, working(40), one.seen, one.front])
        assert rows(monitor) == [("llama3.1:8b", FRONT, "ollama")]
        assert [model.runner and model.runner.pid for model in monitor.state.models.values()] == [31]


def test_what_has_gone_in_front_is_shown_by_the_one_behind() -> None:
    one = SET_UPS["llama-swap"]
    monitor = fed([one.front, BACK, replace(one.front, models=()), BACK])
    assert [model.claim.name for model in monitor.state.models.values()] == ["llama-3-8b.gguf"]
