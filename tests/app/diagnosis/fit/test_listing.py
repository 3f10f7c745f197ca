"""The answer for each installed model, in order of use, and that it is computed seldom."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from tests.fakes.samples import GIB, OLLAMA, gpu, installed, nvml
from tests.scene import Gpu, Machine, Model, Weights

from gpumon.app.diagnosis.fit.listing import Answer, Answers, answer_of, here_words, summary_words
from gpumon.app.diagnosis.fit.machine import Installed, installed_models
from gpumon.app.diagnosis.fit.machine import Machine as Cards
from gpumon.app.diagnosis.fit.report import FitReport
from gpumon.app.state.records import ModelKey

NAME = "llama3.1:8b"
LOADED = "qwen3:8b"


def machine(gib: float = 24.0, *, other_gib: float = 0.0, ram_gib: float = 64.0) -> Machine:
    """Return a machine that has the model on disk, its file known, and another one loaded by its server."""
    found = Machine(Gpu(gib=gib), ram_gib=ram_gib)
    server, model = found.ollama(), Model(NAME, weights=Weights())
    server.load(model)
    found.look()
    server.unload(model)
    if other_gib:
        server.load(Model(LOADED, gpu_gib=other_gib, pid=101))
    found.look()
    names = {NAME: 5.0, **({LOADED: other_gib} if other_gib else {})}
    return found.say(installed(found.now, dict(names)))


def answer(found: Machine, name: str = NAME) -> Answer:
    return answer_of(found.state, next(one for one in installed_models(found.state) if one.name == name))


def report(found: Answer) -> FitReport:
    assert found.report is not None
    return found.report


def test_a_model_with_room_fits() -> None:
    found = answer(machine())
    assert (found.here, found.ram_fraction) == ("fits", 0.0)
    assert found.needed_bytes == report(found).required_vram_bytes
    assert here_words(found) == ("fits",)


def test_one_that_is_close_to_full_may_be_split() -> None:
    assert here_words(answer(machine(6.5))) == ("fits", "fits, may be split")


def test_one_that_its_server_makes_room_for_fits_then() -> None:
    found = answer(machine(12.0, other_gib=9.0))
    assert found.here == "after_unloading"
    assert here_words(found)[-1] == f"after unloading {LOADED}"
    assert found.decode == report(found).in_the_end.decode
    assert found.context_length


def test_one_that_is_too_large_spills_and_has_no_context_with_which_it_fits() -> None:
    found = answer(machine(4.0))
    assert found.here == "spills"
    assert here_words(found) == (f"spills {found.ram_fraction:.0%}",)
    assert found.context_length == 0


def test_one_that_neither_gpu_nor_ram_can_hold_does_not_run() -> None:
    found = answer(machine(1.0, ram_gib=2.0))
    assert found.here == "does_not_run"
    assert here_words(found)[-1].startswith("does not run: needs ")
    assert here_words(found)[-1].endswith(" GiB of RAM, 2 here")


def test_a_loaded_model_is_loaded_whatever_is_known_of_it() -> None:
    found = answer(machine(12.0, other_gib=9.0), LOADED)
    assert (found.here, found.report) == ("loaded", None)


def test_what_is_in_ram_of_a_loaded_model_is_told() -> None:
    found = Answer(Installed(ModelKey(OLLAMA, "x"), "x", 1), "loaded", None, 0.43)
    assert here_words(found) == ("43% in RAM", "loaded, 43% in RAM")
    assert here_words(replace(found, ram_fraction=0.001))[-1] == "loaded, <1% in RAM"


def test_without_a_gpu_a_model_runs_from_ram() -> None:
    there = machine()
    model = installed_models(there.state)[0]
    for available, words in ((32, "runs from RAM"), (2, "of RAM, 2.0 GiB free")):
        cards = Cards((), 50e9, has_no_gpu=True, ram_available_bytes=available * GIB)
        assert here_words(answer_of(there.state, model, cards))[-1].endswith(words)


def test_on_a_machine_whose_gpus_are_not_known_only_the_need_is() -> None:
    there = machine()
    found = answer_of(there.state, installed_models(there.state)[0], Cards(()))
    assert (found.here, found.needed_bytes is not None) == ("unknown", True)
    assert found.reason == "the GPUs of its server's machine are not known"


def test_of_a_file_that_is_not_known_nothing_is() -> None:
    there = machine()
    there.say(installed(there.now, {"strange:1b": 1.0}))
    found = answer(there, "strange:1b")
    assert (found.here, found.needed_bytes, found.decode, found.context_length) == (
        "unknown",
        None,
        None,
        None,
    )


def of(name: str, here: str, share: float = 0.0, gib: int = 1) -> Answer:
    return Answer(Installed(ModelKey(OLLAMA, name), name, gib * GIB), here, None, share)  # type: ignore[arg-type]


def test_the_most_useful_is_first() -> None:
    ordered = [
        of("loaded", "loaded", 0.5),
        of("large", "fits", gib=9),
        of("a-small", "fits", gib=2),
        of("after", "after_unloading", gib=9),
        of("little", "spills", 0.1, gib=9),
        of("much", "spills", 0.6, gib=2),
        of("never", "does_not_run"),
        of("who", "unknown"),
    ]
    by_name = sorted(ordered, key=lambda one: one.model.name)
    assert sorted(by_name, key=lambda one: one.usefulness) == ordered
    assert summary_words(ordered) == (
        "1 loaded, 2 fit, 1 after unloading, 2 spill, 1 do not run, 1 not known"
    )


class TestAnswers:
    """Nothing is computed again that rests on the same."""

    def test_a_few_are_computed_at_a_time(self) -> None:
        there = machine(12.0, other_gib=9.0)
        answers, models = Answers(), installed_models(there.state)
        assert answers.refresh(there.state, models, 1)
        assert not answers.refresh(there.state, models, 1)
        assert [answers.of(model).here for model in models] == ["after_unloading", "loaded"]

    def test_a_trifle_of_memory_changes_no_answer(self) -> None:
        there = machine()
        answers, models = Answers(), installed_models(there.state)
        answers.refresh(there.state, models, 9)
        before = answers.of(models[0])
        there.say(nvml(there.now, gpu(used_gib=0.1)))
        answers.refresh(there.state, models, 9)
        assert answers.of(models[0]) is before

    @pytest.mark.parametrize("what", ["memory", "model", "file"])
    def test_what_an_answer_rests_on_makes_a_new_one(self, what: str) -> None:
        there = machine()
        answers, models = Answers(), installed_models(there.state)
        answers.refresh(there.state, models, 9)
        before = answers.of(models[0])
        if what == "memory":
            there.say(nvml(there.now, gpu(used_gib=20.0)))
        elif what == "model":
            there.servers[0].load(Model(LOADED, gpu_gib=0.1, pid=101))
            there.look()
        else:
            [facts] = there.state.facts.values()
            there.say(replace(facts, trained_context_length=2048))
        answers.refresh(there.state, models, 9)
        assert answers.of(models[0]) is not before
