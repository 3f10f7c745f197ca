"""The list of installed models, and the page on whether one of them fits."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from msgspec.structs import replace
from tests.fakes.samples import GIB, OLLAMA, claim, gpu, installed, nvml, ollama
from tests.scene import Gpu, Machine, Model, Weights, after

from gpumon.app.diagnosis.causes import LEAST_CONTEXT_TOKENS
from gpumon.app.diagnosis.fit.machine import installed_models
from gpumon.app.insight.wording import model_id
from gpumon.app.state.records import ModelKey
from gpumon.app.views.fit import FitChoice, FitView, fit_view, installed_of, installed_rows
from gpumon.collectors.samples import AnySample
from gpumon.widgets.views import InstalledRow

FAR = "http://box:11434"
MISSING = "its file is being asked for"
NAME = "llama3.1:8b"


def on_disk(at: float, *names: str, source: str = OLLAMA, gib: float | None = 5.0) -> AnySample:
    return installed(at, dict.fromkeys(names, gib), source=source)


def rows(*samples: AnySample, filter_text: str = "") -> list[InstalledRow]:
    return list(installed_rows(after(*samples).state, filter_text))


def test_a_row_has_name_size_and_identity_of_the_model() -> None:
    [row] = rows(on_disk(0, "a:1b"))
    key = model_id(ModelKey(OLLAMA, "sha-a:1b"))
    assert row == InstalledRow(key, "a:1b", 5 * GIB, server="")


def test_only_the_model_that_is_loaded_is_marked_so() -> None:
    found = rows(ollama(0, [claim("b:1b")]), on_disk(1, "a:1b", "b:1b"))
    assert [(row.name, row.here) for row in found] == [("b:1b", ("loaded",)), ("a:1b", ())]


def test_the_server_is_named_where_two_have_the_model_and_there_alone() -> None:
    found = rows(on_disk(0, "a:1b", "b:1b"), on_disk(1, "a:1b", source=FAR))
    assert [(row.name, row.server) for row in found] == [
        ("a:1b", "127.0.0.1:11434"),
        ("a:1b", "box:11434"),
        ("b:1b", ""),
    ]


def test_a_filter_leaves_the_names_that_contain_it_in_any_case() -> None:
    assert [row.name for row in rows(on_disk(0, "Llama:8b", "qwen:4b"), filter_text="lLAMA")] == ["Llama:8b"]


def test_the_model_of_a_row_is_found_by_its_key_and_no_other() -> None:
    there = after(on_disk(0, "a:1b", "b:1b")).state
    key = model_id(ModelKey(OLLAMA, "sha-b:1b"))
    found = installed_of(there, key)
    assert found is not None
    assert found.name == "b:1b"
    assert installed_of(there, "gone") is None


def machine_with(*, gib: float = 24.0, weights: Weights | None = None) -> Machine:
    """Return a machine on whose disk is a model of which the server has told the file."""
    machine = Machine(Gpu(gib=gib))
    model = Model(NAME, weights=weights or Weights())
    machine.ollama().load(model)
    machine.look()
    machine.servers[0].unload(model)
    machine.look()
    machine.say(on_disk(machine.now, NAME, gib=None))
    return machine


def page(machine: Machine, choice: FitChoice | None = None, source: str = OLLAMA) -> FitView:
    model = next(one for one in installed_models(machine.state) if one.key.source == source)
    return fit_view(machine.state, model, choice or FitChoice(), MISSING)


def facts_of(view: FitView) -> dict[str, str]:
    return {fact.label: fact.value for fact in view.facts}


def test_before_the_file_is_known_the_page_says_what_is_done_about_it() -> None:
    machine = Machine()
    machine.say(nvml(0, gpu()), on_disk(0, NAME))
    view = page(machine)
    assert (view.verdict.level, view.verdict.sentence) == ("unknown", f"{NAME}: {MISSING}")


def test_a_file_without_layers_says_why_nothing_can_be_told() -> None:
    machine = Machine()
    model = Model(NAME)
    machine.ollama().load(model)
    machine.look()
    machine.say(on_disk(0, NAME, gib=None))
    view = page(machine)
    assert view.verdict.level == "unknown"
    assert view.verdict.sentence.startswith(f"{NAME}: cannot tell: ")
    assert view.facts == ()


@pytest.mark.parametrize(
    ("gib", "answer", "level"),
    [(24.0, "fits", "ok"), (6.5, "fits", "watch"), (6.0, "does not fit", "watch")],
    ids=["with room to spare", "too close to full to be sure", "too large"],
)
def test_the_mark_is_good_only_where_it_surely_fits(gib: float, answer: str, level: str) -> None:
    verdict = page(machine_with(gib=gib)).verdict
    assert verdict.sentence.startswith(f"{NAME} {answer}: ")
    assert verdict.level == level


def test_one_for_which_its_server_makes_room_fits_in_the_end() -> None:
    machine = machine_with(gib=12.0)
    machine.servers[0].load(Model("qwen3:8b", gpu_gib=9.0, pid=101))
    machine.look()
    verdict = page(machine).verdict
    assert verdict.level == "ok"
    assert re.search(r"spills \d+% now; after unloading qwen3:8b \(9.0 GiB\) fits$", verdict.sentence)


def test_without_a_card_what_it_needs_is_said_and_that_none_is_known() -> None:
    machine = Machine()
    server = machine.ollama(FAR)
    model = Model(NAME, weights=Weights())
    server.load(model)
    machine.servers[0].pid = 77
    machine.say(*server.samples(), on_disk(1, NAME, source=FAR))
    view = page(machine, source=FAR)
    assert view.verdict.level == "unknown"
    assert view.verdict.sentence.startswith(f"{NAME} needs ")
    assert view.verdict.sentence.endswith("the GPUs that box:11434 has are not known")


def test_the_choice_is_on_the_page() -> None:
    facts = facts_of(page(machine_with(), FitChoice(16384, "q8_0")))
    assert (facts["context"], facts["cache type"]) == ("16384 tokens", "q8_0")


def test_a_type_of_cache_that_is_chosen_is_that_of_keys_and_of_values() -> None:
    sizes = [facts_of(page(machine_with(), FitChoice(65536, kind)))["KV cache"] for kind in ("f16", "q8_0")]
    assert sizes == ["8.00 GiB", "4.25 GiB"]


def test_without_a_choice_context_and_cache_are_those_of_the_server() -> None:
    facts = facts_of(page(machine_with(gib=8.0)))
    assert (facts["context"], facts["cache type"]) == ("4096 tokens", "f16")


def test_layers_asked_for_belong_to_the_load_as_it_is_and_not_to_a_changed_one() -> None:
    machine = machine_with(weights=Weights(parameters={"num_gpu": "10"}))
    assert facts_of(page(machine))["on GPU"].startswith("10 of 33")
    assert facts_of(page(machine, FitChoice(context_length=8192)))["on GPU"].startswith("33 of 33")


def slots_of(parallel: int) -> dict[str, str]:
    machine = Machine()
    settings = {"parallel": parallel, "context_length": 4096}
    machine.ollama().load(Model(NAME, weights=Weights(), settings=settings))
    machine.run(2)
    machine.say(on_disk(machine.now, NAME, gib=None))
    return facts_of(page(machine))


def test_slots_are_told_where_there_are_several() -> None:
    assert slots_of(2)["slots"] == "2"
    assert "slots" not in slots_of(1)


def steps_up(machine: Machine) -> list[int]:
    """Return the contexts to which "+" leads, from a small one on."""
    found, choice = [4096], FitChoice(4096)
    while True:
        choice = page(machine, choice).more
        assert choice.context_length is not None
        if choice.context_length == found[-1]:
            return found
        found.append(choice.context_length)


def test_plus_leads_from_context_to_context_and_ends_at_the_trained_one() -> None:
    found = steps_up(machine_with())
    assert all(less < more for less, more in pairwise(found))
    assert {8192, 16384, 32768, 65536, 131072} <= set(found)
    assert found[-1] == 131072


def test_minus_leads_back_the_same_way() -> None:
    machine = machine_with()
    for less, more in pairwise(steps_up(machine)):
        assert page(machine, FitChoice(more)).less == FitChoice(less)


def test_minus_ends_at_the_least_context() -> None:
    assert page(machine_with(), FitChoice(LEAST_CONTEXT_TOKENS)).less == FitChoice(LEAST_CONTEXT_TOKENS)
    assert page(machine_with(), FitChoice(2 * LEAST_CONTEXT_TOKENS)).less == FitChoice(LEAST_CONTEXT_TOKENS)


def test_where_a_file_does_not_say_what_it_was_trained_for_steps_end_at_a_mebitoken() -> None:
    machine = machine_with()
    [facts] = machine.state.facts.values()
    machine.say(replace(facts, trained_context_length=None))
    assert page(machine, FitChoice(2**19)).more == FitChoice(2**20)
    assert page(machine, FitChoice(2**20)).more == FitChoice(2**20)


def test_the_largest_contexts_that_fit_are_among_the_steps() -> None:
    machine = machine_with(gib=8.0)
    largest = facts_of(page(machine))["largest context"]
    assert largest == "f16 17408, q8_0 32768, q4_0 61440"
    assert {17408, 32768, 61440} <= set(steps_up(machine))


def test_the_types_of_cache_come_round() -> None:
    machine, choice, seen = machine_with(), FitChoice(cache_type="f16"), []
    for _ in range(3):
        choice = page(machine, choice).other_cache
        seen.append(choice.cache_type)
    assert seen == ["q8_0", "q4_0", "f16"]


def test_a_step_keeps_what_was_chosen_besides() -> None:
    view = page(machine_with(), FitChoice(8192, "q8_0"))
    assert (view.more.cache_type, view.less.cache_type) == ("q8_0", "q8_0")
    assert view.other_cache == FitChoice(8192, "q4_0")
