"""Two things on one card: who took the memory when, who is to go, and what to type."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.app.diagnosis.desk import CARD, QWEN, SECOND, Desk, at, desk
from tests.fakes.samples import GIB, START
from tests.fakes.toy_painter import PainterKind
from tests.scene import Gpu, LlamaServer, Model, Program, Weights

from gpumon.collectors.servers.registry import REGISTRY


@pytest.fixture(autouse=True)
def painter_kind() -> Iterator[None]:
    REGISTRY.reset()
    REGISTRY.add(PainterKind())
    yield
    REGISTRY.reset()


def test_who_took_the_card_before_a_reload_is_named_with_bytes_and_time_and_the_rates() -> None:
    one = desk()
    painter = one.machine.painter()
    one.was_whole()
    took = one.machine.now + 1
    painter.loads(9.1)
    one.machine.goes_on(20)
    one.spills()
    cause = one.cause()
    assert cause.kind == "other_model"
    assert cause.sentence == (f"flux took 8.7 GiB at {at(took)}, before it was loaded again: 46 to 7.0 tok/s")
    assert cause.brief == f"flux took 8.7 GiB at {at(took)}"
    [taker] = cause.takers
    assert (taker.name, taker.pid, taker.time) == ("flux", 700, START + took)
    assert one.found().decode_tokens_per_second_before == pytest.approx(46, rel=0.05)


def test_the_line_frees_the_other_and_then_has_the_model_loaded_anew() -> None:
    one = desk()
    one.machine.painter().loads(9.1)
    one.was_whole()
    one.machine.painters[0].frees()
    one.machine.goes_on(40)
    one.machine.painters[0].loads(9.1)
    one.machine.goes_on(20)
    one.spills()
    first = one.remedies()[0]
    assert first.command == f"curl -X POST http://127.0.0.1:7778/free && ollama stop {QWEN}"
    assert first.sentence == "unload flux (9.1 GiB), then load it again"
    assert first.arithmetic == "needs 6.0 of 11.8 GiB free"
    assert first.missing_bytes is None


def test_who_was_there_while_it_was_whole_did_not_hinder_it() -> None:
    one = desk(Gpu(gib=24, reserved_gib=0.25, facts=CARD))
    one.machine.goes_on(3)
    one.machine.starts(Program("game", 5.0, 300))
    one.machine.goes_on(40)
    one.was_whole()
    one.machine.starts(Program("blender", 12.0, 301))
    one.machine.goes_on(20)
    one.spills()
    assert [taker.name for taker in one.cause().takers] == ["blender"]


def test_nobody_is_said_to_have_taken_anything_from_a_model_that_is_too_large() -> None:
    one = desk()
    one.machine.goes_on(3)
    one.machine.starts(Program("game", 1.0, 300))
    one.machine.goes_on(5)
    model = one.load(10.0, 9.0)
    model.weights = Weights(layer_mib=600)
    one.machine.goes_on(5)
    assert one.cause().kind == "larger_than_gpu"
    assert one.cause().takers == ()


def test_what_was_taken_after_its_load_hinders_nobody() -> None:
    one = desk()
    one.machine.goes_on(3)
    one.load(4.0, 2.0)
    one.machine.goes_on(10)
    one.machine.starts(Program("blender", 7.0, 301))
    one.machine.goes_on(5)
    assert one.cause().takers == ()
    assert "blender" not in one.cause().sentence


def test_who_held_it_before_anybody_looked_is_named_without_a_time() -> None:
    one = desk()
    one.machine.starts(Program("blender", 9.0, 301))
    one.machine.goes_on(5)
    one.spills(None)
    assert one.cause().sentence == "blender (9.0 GiB) was on the GPU before it"
    assert one.cause().takers == ()


def test_of_several_the_largest_is_named_first_and_no_more_than_made_the_difference() -> None:
    one = desk()
    one.machine.goes_on(3)
    for pid, (name, gib) in enumerate((("small", 0.5), ("middle", 3.0), ("large", 4.5)), start=300):
        one.machine.starts(Program(name, gib, pid))
        one.machine.goes_on(40)
    one.spills(None)
    assert [taker.name for taker in one.cause().takers] == ["large"]


def test_two_that_are_only_enough_together_are_both_named() -> None:
    one = desk()
    one.machine.goes_on(3)
    for pid, (name, gib) in enumerate((("first", 4.4), ("second", 4.9)), start=300):
        one.machine.starts(Program(name, gib, pid))
        one.machine.goes_on(40)
    one.load(1.4, 16.0).weights = Weights(layer_mib=235)
    one.machine.goes_on(5)
    assert [taker.name for taker in one.cause().takers] == ["second", "first"]
    assert one.cause().sentence.startswith("second took 4.9 GiB at ")
    assert ", first 4.4 GiB at " in one.cause().sentence


def test_a_program_of_no_known_kind_is_to_be_closed_and_nothing_is_typed() -> None:
    one = desk()
    one.was_whole()
    one.machine.starts(Program("firefox", 8.0, 4242, group="browser"))
    one.machine.goes_on(5)
    one.spills()
    first = one.remedies()[0]
    assert (first.action, first.command) == ("free_process", None)
    assert first.sentence == "close firefox (8.0 GiB, pid 4242), then load it again"


def test_the_desktop_is_never_said_to_have_taken_anything() -> None:
    one = desk()
    one.was_whole()
    one.machine.starts(Program("gnome-shell", 8.0, 4242, group="desktop"))
    one.machine.goes_on(5)
    one.spills()
    assert one.cause().takers == ()


def test_the_model_of_another_server_is_unloaded_there() -> None:
    one = desk()
    other = one.machine.ollama(SECOND, pid=11)
    one.was_whole()
    other.load(
        Model("phi4:14b", gpu_gib=9.0, pid=200, started=START + one.machine.now, blob="sha256-" + 64 * "b")
    )
    one.machine.goes_on(5)
    one.spills()
    assert [taker.name for taker in one.cause().takers] == ["phi4:14b"]
    assert one.remedies()[0].command == f"OLLAMA_HOST={SECOND} ollama stop phi4:14b && ollama stop {QWEN}"


def test_a_server_that_unloads_nothing_is_to_be_closed() -> None:
    one = desk()
    one.was_whole()
    server = LlamaServer(one.machine, measured_gib=8.0, started=START + one.machine.now)
    one.machine.alone.append(server)
    one.machine.goes_on(5)
    one.spills()
    first = one.remedies()[0]
    assert first.sentence == "close llama-3-8b (8.0 GiB, pid 500), then load it again"
    assert first.command is None


def both(*, painter_works: bool = False, model_works: bool = False, painter_last: bool = False) -> Desk:
    """Return an image generator that took the card, and a model that spills since."""
    one = desk()
    painter = one.machine.painter()
    one.was_whole()
    painter.loads(9.1)
    one.machine.goes_on(20)
    model = one.spills()
    if painter_last:
        painter.step_seconds = 1.0
        one.machine.goes_on(10)
        painter.step_seconds = None
    if painter_works:
        painter.step_seconds = 1.0
    if model_works:
        model.works()
    one.machine.goes_on(10)
    return one


STOP = f"ollama stop {QWEN}"
FREE = "curl -X POST http://127.0.0.1:7778/free"


def test_the_idle_one_goes_before_the_busy() -> None:
    lines = [one.command for one in both(painter_works=True).remedies()[:2]]
    assert lines == [STOP, f"{FREE} && {STOP}"]
    lines = [one.command for one in both(model_works=True, painter_last=True).remedies()[:2]]
    assert lines == [f"{FREE} && {STOP}", STOP]


def test_of_two_that_rest_the_one_that_was_asked_last_stays() -> None:
    assert both().remedies()[0].action == "unload_model"
    assert both(painter_last=True).remedies()[0].action == "leave_gpu"


def test_leaving_the_card_says_what_that_frees_and_what_comes_later() -> None:
    [leave] = [one for one in both().remedies() if one.action == "leave_gpu"]
    assert leave.sentence == "unload it, and leave the GPU to flux; its next request loads it again"
    assert leave.arithmetic == "frees 2.0 GiB of the GPU"


def test_what_was_given_back_is_told_and_the_model_is_to_be_loaded_again() -> None:
    one = both()
    one.machine.painters[0].frees()
    one.machine.goes_on(3)
    assert one.cause().sentence.startswith("flux gave back 8.7 GiB at ")
    [again] = one.remedies()
    assert (again.action, again.command) == ("reload_model", STOP)


def short_of_memory() -> Desk:
    """Return an image generator that took the card before a model was loaded."""
    one = desk()
    painter = one.machine.painter()
    one.machine.goes_on(3)
    painter.loads(3.4)
    one.machine.goes_on(20)
    one.load(5.0, 4.0).weights = Weights(layer_mib=230)
    one.machine.goes_on(5)
    assert one.remedies()[0].sentence == "unload flux (3.4 GiB), then load it again"
    return one


def test_who_has_taken_memory_since_has_to_go_too_where_it_is_needed() -> None:
    one = short_of_memory()
    one.machine.starts(Program("game", 3.2, 301))
    one.machine.goes_on(3)
    assert [taker.name for taker in one.cause().takers] == ["flux"]
    first = one.remedies()[0]
    assert first.sentence == ("unload flux (3.4 GiB) and close game (3.2 GiB, pid 301), then load it again")
    assert first.missing_bytes is None


def test_where_freeing_is_not_enough_the_sum_says_what_is_missing() -> None:
    one = short_of_memory()
    one.machine.gpus[0].unowned_gib = 3.2
    one.machine.goes_on(3)
    [free] = [remedy for remedy in one.remedies() if remedy.missing_bytes]
    assert free.arithmetic == "frees 3.4 GiB; 1.3 GiB are missing"
    assert free.missing_bytes == pytest.approx(1.3 * GIB, abs=0.05 * GIB)
    assert free.expected_tokens_per_second is None
