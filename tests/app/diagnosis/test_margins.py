"""A part in RAM that ``--fit`` has left there to keep memory free: told as that, and no alarm."""

from __future__ import annotations

from tests.app.diagnosis.purposes import card, picture, told, words
from tests.fakes.samples import START
from tests.scene import Program

from gpumon.app.views.models import model_row
from gpumon.collectors.samples import ModelFacts

NEED_GIB, WITHOUT_GIB, HELD_GIB = 6.6, 5.6, 4.6
"""On a card of the first size all of the model fits but for the margin; on one of the second it does not."""


def test_it_is_told_with_its_cost_and_with_the_margin_that_would_do(llama: ModelFacts) -> None:
    machine = told("-c 8192", llama, HELD_GIB, gpus=[card(NEED_GIB)], weights_gib=4.4)
    model = picture(machine)
    assert (model.level, model.memory.spill_percent, machine.alerts()) == ("watch", "", [])
    assert model.sentence.startswith(
        "m has 0.8 GiB in RAM: llama-server's --fit keeps 1.0 GiB of each GPU free; about "
    )
    assert "; all of it fits with --fit-target 512, about +" in model.sentence
    cause = model.diagnosis.cause
    assert cause is not None
    assert cause.kind == "safety_margin"
    assert "about 2 of 33 layers are in RAM; 1.5 GiB are free: " in cause.sentence
    (remedy,) = model.diagnosis.remedies
    assert (remedy.action, remedy.command) == ("keep_less_in_ram", "--fit-target 512")
    assert remedy.where == "on the command line of llama-server"


def test_the_rate_to_be_expected_is_that_of_the_split(llama: ModelFacts) -> None:
    machine = told("-c 8192", llama, HELD_GIB, gpus=[card(NEED_GIB)], weights_gib=4.4)
    found = picture(machine).diagnosis
    assert found.expected_now is not None
    assert found.expected_fitting is not None
    assert found.expected_now.expected < 0.7 * found.expected_fitting.expected


def test_its_row_says_how_much_is_in_ram_and_no_share_of_a_spill(llama: ModelFacts) -> None:
    machine = told("-c 8192", llama, HELD_GIB, gpus=[card(NEED_GIB)], weights_gib=4.4)
    row = model_row(picture(machine))
    assert (row.spill_percent, row.ram_is_estimate) == ("", True)
    assert row.ram_bytes


def test_a_margin_that_was_asked_for_is_named(llama: ModelFacts) -> None:
    machine = told("-c 8192 -fit on -fitt 8192", llama, 3.0, weights_gib=4.4)
    assert "llama-server's --fit keeps 8.0 GiB of each GPU free (--fit-target 8192)" in words(machine)


def test_a_variable_is_answered_with_a_variable(llama: ModelFacts) -> None:
    variables = {"LLAMA_ARG_FIT_TARGET": "2048"}
    gpus = [card(7.0)]
    machine = told("-c 8192", llama, 4.2, gpus=gpus, variables=variables, weights_gib=4.4)
    assert "(LLAMA_ARG_FIT_TARGET=2048)" in picture(machine).sentence
    assert picture(machine).diagnosis.remedies[0].command == "LLAMA_ARG_FIT_TARGET=768"


def test_where_it_would_not_fit_without_a_margin_either_it_is_a_spill(llama: ModelFacts) -> None:
    machine = told("-c 8192", llama, 3.6, gpus=[card(WITHOUT_GIB)], weights_gib=4.4)
    assert picture(machine).memory.spill_percent == "~33%"
    assert machine.alerts("likely_spill")


def test_where_it_would_fit_beside_the_margin_now_somebody_has_gone_and_it_is_a_spill(
    llama: ModelFacts,
) -> None:
    machine = told("-c 8192", llama, HELD_GIB, weights_gib=4.4)
    assert machine.alerts("likely_spill")
    assert picture(machine).diagnosis.remedies[0].action == "reload_model"


def test_what_started_later_has_not_taken_the_memory_at_the_load(llama: ModelFacts) -> None:
    machine = told("-c 8192", llama, HELD_GIB, gpus=[card(NEED_GIB)], weights_gib=4.4)
    machine.starts(Program("game", 1.2, 900, started=START + 5))
    machine.run(10)
    assert machine.alerts() == []
    assert machine.pictures.models()[0].diagnosis.cause is not None


def test_a_server_that_does_not_fit_by_itself_keeps_no_margin(llama: ModelFacts) -> None:
    for line in ("-c 8192 -fit off", "-c 8192 -ngl 33"):
        machine = told(line, llama, HELD_GIB, gpus=[card(NEED_GIB)], weights_gib=4.4)
        assert machine.alerts("likely_spill"), line


def test_of_experts_it_leaves_a_part(moe: ModelFacts) -> None:
    machine = told("-c 16384", moe, 15.0, gpus=[card(18.5)])
    assert "a part of its experts is in RAM" in words(machine)
    assert machine.alerts() == []
