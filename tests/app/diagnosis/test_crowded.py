"""An image generator that a language model slows down, and whoever else may take a card in any order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.app.diagnosis.desk import CARD, NEEDED_GIB, QWEN, Desk, at, desk
from tests.fakes.samples import GIB, START
from tests.fakes.toy_painter import PainterKind
from tests.scene import Gpu, Model, Painter, Program

from gpumon.app.diagnosis.diagnose import diagnose
from gpumon.collectors.servers.registry import REGISTRY


@pytest.fixture(autouse=True)
def painter_kind() -> Iterator[None]:
    REGISTRY.reset()
    REGISTRY.add(PainterKind())
    yield
    REGISTRY.reset()


STOP = f"ollama stop {QWEN}"


def painted(**claims: float) -> Desk:
    """Return an image generator that worked quickly, before a language model came."""
    one = desk()
    painter = one.machine.painter(Painter(**claims))  # type: ignore[arg-type]
    one.machine.goes_on(3)
    painter.loads(9.1)
    painter.step_seconds = 1.0
    one.machine.goes_on(40)
    painter.step_seconds = None
    one.machine.goes_on(5)
    return one


def test_an_image_generator_that_had_to_make_room_names_who_took_it() -> None:
    one = painted(claimed_gib=8.5)
    painter, came = one.machine.painters[0], one.machine.now + 1
    one.load(6.0)
    painter.gib, painter.claimed_gib, painter.ram_gib = 5.5, 5.0, 3.5
    painter.job, painter.step_seconds = "b", 50.0
    one.machine.goes_on(5)
    found = one.found("flux")
    assert found.verdict.sentence.endswith(": 50 s/it, 1.0 it/s before")
    assert one.cause("flux").brief == f"{QWEN} took 6.0 GiB at {at(came)}"
    first = one.remedies("flux")[0]
    assert first.command == STOP
    assert first.arithmetic == "frees 6.0 GiB for 3.5 GiB in RAM, by its claim"


def test_one_that_claims_nothing_is_known_by_its_steps() -> None:
    one = painted()
    one.load(2.6, 3.4)
    one.machine.painters[0].job, one.machine.painters[0].step_seconds = "b", 50.0
    one.machine.goes_on(5)
    found = one.found("flux")
    assert (found.verdict.kind, found.verdict.severity) == ("crowded", "bad")
    assert found.verdict.sentence == "flux is slower: 50 s/it, 1.0 it/s before"
    assert [taker.name for taker in one.cause("flux").takers] == [QWEN]
    assert found.remedies[0].command == STOP


def test_a_larger_picture_takes_longer_by_nature() -> None:
    one = painted()
    one.load(2.6, 3.4)
    painter = one.machine.painters[0]
    painter.job, painter.step_seconds, painter.width = "b", 50.0, 2048
    one.machine.goes_on(5)
    assert one.found("flux").verdict.kind != "crowded"


def test_slow_steps_with_nobody_else_on_the_card_blame_nobody() -> None:
    one = painted()
    one.machine.painters[0].job, one.machine.painters[0].step_seconds = "b", 50.0
    one.machine.goes_on(5)
    assert one.found("flux").verdict.kind != "crowded"
    assert one.found("flux").cause is None


Move = tuple[str, int, float]
"""What is done, which program it concerns, and so many GiB."""
MOVES = st.lists(
    st.tuples(st.sampled_from(("take", "free", "load", "unload")), st.integers(0, 3), st.floats(0.5, 9.0)),
    min_size=2,
    max_size=10,
)


@settings(max_examples=40, deadline=None)
@given(moves=MOVES, cards=st.integers(1, 2), programs=st.integers(2, 4))
def test_whoever_is_named_took_it_then_and_holds_it_still(
    moves: Sequence[Move], cards: int, programs: int
) -> None:
    one = desk(*(Gpu(gib=12, reserved_gib=0.25, facts=CARD) for _ in range(cards)))
    others = [Program(f"p{number}", 0.0, 300 + number, number % cards) for number in range(programs)]
    for other in others:
        one.machine.starts(other)
    rises: dict[str, list[float]] = {other.name: [] for other in others}
    model: Model | None = None
    one.machine.goes_on(3)
    for what, number, gib in moves:
        other = others[number % programs]
        free = [11.0 - sum(o.gib for o in others if o.gpu == card) for card in range(cards)]
        if model is not None:
            free[0] -= model.gpu_gib
        if what == "take" and gib <= free[other.gpu]:
            other.gib += gib
            rises[other.name].append(START + one.machine.now + 1)
        elif what == "free":
            other.gib = max(0.0, other.gib - gib)
        elif what == "load" and model is None:
            on_gpu = max(0.5, min(NEEDED_GIB, free[0] - 0.5))
            model = one.load(on_gpu, NEEDED_GIB - on_gpu)
        elif what == "unload" and model is not None:
            one.server.unload(model)
            model = None
        one.machine.goes_on(40)
        _check(one, others, rises)


def _check(one: Desk, others: Sequence[Program], rises: dict[str, list[float]]) -> None:
    for record in one.machine.state.models.values():
        cause = diagnose(record, one.machine.state).cause
        for taker in cause.takers if cause is not None else ():
            other = next(program for program in others if program.name == taker.name)
            assert taker.time in rises[other.name], "it took something at that time"
            assert taker.vram_bytes <= other.gib * GIB + 1, "no more than it holds"
            runner = one.machine.state.runner_of(record)
            assert runner is not None
            assert taker.time <= runner.key.started + 2, "before the model was placed"
        if not any(rises.values()):
            assert cause is None or not cause.takers
