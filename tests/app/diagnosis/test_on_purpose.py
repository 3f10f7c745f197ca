"""Placement on purpose: a user has told a llama-server to keep a part in RAM, or elsewhere.

The command lines are those of public threads, on a file with the shapes of a model of that kind.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from tests.app.diagnosis.purposes import card, picture, told, words
from tests.fakes.gguf.mixture import dense
from tests.fakes.samples import GIB
from tests.scene.things import working_slot

from gpumon.app.views.models import model_row
from gpumon.collectors.gguf.file import read_gguf
from gpumon.collectors.samples import ModelFacts


class TestAChoice:
    """Is told as one, with what it costs and what would fit; nothing stands in the alerts."""

    def test_experts_in_ram_are_told_with_a_smaller_number(self, moe: ModelFacts) -> None:
        machine = told("-c 16384 -ngl 99 --n-cpu-moe 40 -fa on", moe, 5.0)
        model = picture(machine)
        assert (model.level, model.memory.spill_percent, machine.alerts()) == ("watch", "", [])
        assert model.sentence.startswith("m keeps 12.7 GiB in RAM by choice (--n-cpu-moe 40): about ")
        assert "; --n-cpu-moe 22 also fits, about +" in model.sentence
        whole = machine.monitor.pictures.health()
        assert (whole.level, whole.sentence, whole.exit_code) == ("watch", model.sentence, 1)
        assert model.diagnosis.cause is not None
        assert model.diagnosis.cause.sentence.startswith(
            "the experts of 40 of 48 layers are kept in RAM by --n-cpu-moe 40; 6.5 GiB are free: "
            "--n-cpu-moe 22 also fits, about +"
        )
        (remedy,) = model.diagnosis.remedies
        assert (remedy.action, remedy.command) == ("keep_less_in_ram", "--n-cpu-moe 22")
        assert remedy.where == "on the command line of llama-server"
        row = model_row(model)
        assert (row.spill_percent, row.ram_is_estimate) == ("", True)
        assert round((row.ram_bytes or 0) / GIB, 1) == 12.7

    def test_where_the_number_is_as_small_as_can_be_all_is_well(self, moe: ModelFacts) -> None:
        machine = told("-c 16384 -ngl 99 --n-cpu-moe 22", moe, 10.5)
        model = picture(machine)
        assert (model.level, machine.alerts(), model.diagnosis.remedies) == ("ok", [], ())
        assert "no more would fit" in words(machine)
        whole = machine.monitor.pictures.health()
        assert (whole.level, whole.sentence, whole.exit_code) == ("ok", "1 model, partly in RAM by choice", 0)

    def test_beside_others_the_headline_counts_those_in_ram_by_choice(self, moe: ModelFacts) -> None:
        machine = told("-c 16384 -ngl 99 --n-cpu-moe 22", moe, 10.5)
        machine.llama_server(0.3, pid=501, name="small", weights_gib=0.25)
        machine.run(20)
        assert machine.monitor.pictures.health().sentence == "2 models, 1 partly in RAM by choice"
        machine.llama_server(0.0, pid=502, name="embed", gpu_layers=0)
        machine.run(20)
        assert machine.monitor.pictures.health().sentence == "3 models, 2 in RAM by choice"

    @pytest.mark.parametrize(
        ("line", "measured", "setting", "what", "better"),
        [
            ("-ngl 99 --cpu-moe", 2.4, "--cpu-moe", "the experts of 48 of 48 layers", "--n-cpu-moe 22"),
            (
                "-ngl 99 -ot .ffn_.*_exps.=CPU",
                2.4,
                "--override-tensor",
                "the experts of 48 of 48 layers",
                "--n-cpu-moe 22",
            ),
            (
                r"-ngl 99 -ot blk\.(2[0-9]|3[0-9]|4[0-7])\.ffn_.*_exps\.=CPU,blk\..*=CUDA0",
                8.7,
                "--override-tensor",
                "the experts of 28 of 48 layers",
                "--n-cpu-moe 22",
            ),
            (
                "-ngl 99 -ot .ffn_(up|down)_exps.=CPU",
                7.5,
                "--override-tensor",
                "a part of the experts of 48 of 48 layers",
                "--n-cpu-moe 22",
            ),
        ],
    )
    def test_every_way_to_ask_for_it(
        self, moe: ModelFacts, line: str, measured: float, setting: str, what: str, better: str
    ) -> None:
        machine = told(f"-c 16384 {line}", moe, measured)
        model = picture(machine)
        assert (model.level, machine.alerts()) == ("watch", [])
        assert f"in RAM by choice ({setting})" in model.sentence
        assert f"cause    {what} are kept in RAM by {setting}" in words(machine)
        assert model.diagnosis.remedies[0].command == better

    def test_layers_in_ram_are_worse_than_experts(self, moe: ModelFacts) -> None:
        machine = told("-c 16384 -ngl 20", moe, 7.3)
        assert picture(machine).level == "watch"
        assert machine.alerts() == []
        assert "-ngl 20 was set by hand, of 49 layers" in words(machine)
        assert picture(machine).diagnosis.remedies[0].command == "--n-gpu-layers 49 --n-cpu-moe 22"

    def test_a_variable_is_answered_with_a_variable(self, moe: ModelFacts) -> None:
        machine = told("-c 16384", moe, 5.0, variables={"LLAMA_ARG_N_CPU_MOE": "40"})
        assert "(LLAMA_ARG_N_CPU_MOE=40)" in picture(machine).sentence
        (remedy,) = picture(machine).diagnosis.remedies
        assert remedy.command == "LLAMA_ARG_N_CPU_MOE=22"
        assert remedy.where == "in the environment of llama-server"

    def test_layers_of_a_dense_model(self, llama: ModelFacts) -> None:
        machine = told("-c 8192 -ngl 20", llama, 3.4, weights_gib=4.4)
        model = picture(machine)
        assert (model.level, machine.alerts()) == ("watch", [])
        assert "in RAM by choice (-ngl 20)" in model.sentence
        assert "-ngl 20 was set by hand, of 33 layers" in words(machine)
        assert model.diagnosis.remedies[0].command == "--n-gpu-layers 33"

    def test_layers_of_a_dense_model_of_which_not_all_would_fit(self, llama: ModelFacts) -> None:
        machine = told("-c 8192 -ngl 10", llama, 2.0, weights_gib=4.4, gpus=[card(5.0)])
        command = picture(machine).diagnosis.remedies[0].command
        assert command is not None
        assert command.startswith("--n-gpu-layers ")
        assert 10 < int(command.split()[1]) < 33

    def test_dense_weights_in_ram(self, llama: ModelFacts) -> None:
        machine = told("-c 8192 -ngl 99 --n-cpu-ffn 30", llama, 2.9, weights_gib=4.4, gpus=[card(5.5)])
        model = picture(machine)
        assert (model.level, machine.alerts()) == ("watch", [])
        assert "weights of 30 of 32 layers are kept in RAM by --n-cpu-ffn 30" in words(machine)
        command = model.diagnosis.remedies[0].command or ""
        assert command.startswith("--n-cpu-ffn ")
        assert 0 < int(command.split()[1]) < 30

    def test_a_pattern_over_dense_weights(self, llama: ModelFacts) -> None:
        machine = told("-c 8192 -ngl 99 -ot ffn_down=CPU", llama, 4.3, weights_gib=4.4)
        assert "weights of 32 of 32 layers are kept in RAM by --override-tensor" in words(machine)
        (remedy,) = picture(machine).diagnosis.remedies
        assert (remedy.command, remedy.sentence.startswith("all of it also fits")) == (None, True)

    def test_a_context_in_ram(self, llama: ModelFacts) -> None:
        machine = told("-c 32768 -ngl 99 -nkvo", llama, 5.1, weights_gib=4.4)
        model = picture(machine)
        assert (model.level, machine.alerts()) == ("watch", [])
        assert "keeps 4.0 GiB in RAM by choice (--no-kv-offload)" in model.sentence
        assert "its context is kept in RAM by --no-kv-offload" in words(machine)
        assert model.diagnosis.remedies[0].command == "--kv-offload"

    @pytest.mark.parametrize(
        ("line", "variables", "setting"),
        [
            ("-ngl 0", {}, "-ngl 0"),
            ("--device none", {}, "--device none"),
            ("", {"CUDA_VISIBLE_DEVICES": "-1"}, "CUDA_VISIBLE_DEVICES hides all"),
        ],
    )
    def test_the_cpu_alone(
        self, llama: ModelFacts, line: str, variables: Mapping[str, str], setting: str
    ) -> None:
        machine = told(f"-c 8192 {line}", llama, 0.0, variables=variables, weights_gib=4.4)
        model = picture(machine)
        assert model.sentence == f"m runs on the CPU by choice ({setting})"
        row = model_row(model)
        assert (row.level, row.spill_percent, row.gpu_bytes) == ("ok", "", 0)
        assert row.ram_bytes is not None
        assert machine.alerts() == []

    def test_the_measured_rate_tells_what_ram_can_do(self, moe: ModelFacts) -> None:
        machine = told("-c 16384 -ngl 99 --n-cpu-moe 40", moe, 5.0, ram=False)
        assert picture(machine).sentence.endswith("; --n-cpu-moe 22 also fits")
        for second in range(12):
            machine.alone[0].slots = (working_slot(0, 7, 500, 1 + 15 * second),)
            machine.now += 1
            machine.look()
        sentence = picture(machine).sentence
        assert (
            "(--n-cpu-moe 40): 15 tok/s, about 109 if all were on GPU; --n-cpu-moe 22 also fits" in sentence
        )
        assert 30 <= int(sentence.rpartition("about +")[2].rstrip("%")) <= 90


class TestADifference:
    """Is what an alarm is about: what is measured against what the settings lead one to expect."""

    def test_less_on_the_card_than_was_asked_for(self, moe: ModelFacts) -> None:
        machine = told("-c 16384 -ngl 99 --n-cpu-moe 22", moe, 4.0)
        model = picture(machine)
        assert model.level == "watch"
        assert "more in RAM than its settings keep there (--n-cpu-moe 22)" in model.sentence
        (alert,) = machine.alerts("likely_spill")
        assert "more in RAM than its settings keep there" in alert.message
        assert "its settings put 10." in words(machine)
        assert model.memory.spill_percent.startswith("~3")

    def test_all_layers_asked_for_and_nothing_on_a_card(self, moe: ModelFacts) -> None:
        machine = told("-c 16384 -ngl 99 --n-cpu-moe 40", moe, 0.0)
        assert picture(machine).level == "watch"
        assert machine.alerts("likely_spill")

    def test_who_asked_for_the_context_of_a_server_is_whoever_started_it(self, llama: ModelFacts) -> None:
        machine = told("-c 65536", llama, 9.0, weights_gib=4.4)
        assert "its context is too large: it was started with 65536 tokens" in words(machine)
        assert any(one.command == "--ctx-size 49920" for one in picture(machine).diagnosis.remedies)

    def test_fewer_slots_get_no_larger_a_context(self, llama: ModelFacts) -> None:
        machine = told("-c 65536 -np 4", llama, 9.0, weights_gib=4.4)
        assert picture(machine).diagnosis.remedies[0].command == "--parallel 3 --ctx-size 49152"

    def test_slots_that_share_one_context_are_counted_once(self, llama: ModelFacts) -> None:
        machine = told("-c 65536 -np 4 --kv-unified", llama, 12.6, weights_gib=4.4, gpus=[card(16.0)])
        assert picture(machine).level == "ok"

    def test_a_large_context_hides_no_weights_in_ram(self, llama: ModelFacts) -> None:
        machine = told("-c 65536", llama, 9.0, weights_gib=4.4)
        assert picture(machine).memory.spill_percent.startswith("~")
        assert picture(machine).notes[0] == "about 3.4 GiB of its 12.1 GiB in RAM (estimate)"
        (alert,) = machine.alerts("likely_spill")
        assert "about 3.4 GiB of 12.1 GiB of weights and context in RAM" in alert.message
        machine = told("-c 65536", llama, 0.0, weights_gib=4.4)
        assert picture(machine).notes[0] == "about 12.1 GiB of its 12.1 GiB in RAM (estimate)"
        machine = told("-c 65536", llama, 12.6, weights_gib=4.4, gpus=[card(16.0)])
        assert picture(machine).memory.spill_percent == ""

    def test_a_small_model_is_not_alarmed_about_by_what_the_driver_itself_takes(self, tmp_path: Path) -> None:
        file = read_gguf(dense(blocks=2, layer_width=2048).write(tmp_path / "small.gguf"))
        machine = told("-c 4096", file, 0.75, weights_gib=0.7)
        assert picture(machine).level == "ok"
        assert machine.alerts() == []
        assert told("-c 4096", file, 0.0, weights_gib=0.7).alerts("likely_spill")


class TestElsewhere:
    """What may be on another host, or on a card that the driver does not know, is not known here."""

    @pytest.mark.parametrize(
        ("line", "measured", "why"),
        [
            ("--rpc 192.168.1.7:50052", 4.0, "a part of it may be on another host (--rpc)"),
            ("--device Vulkan0", 0.0, "Vulkan0, which the GPU driver here does not know"),
            ("--device ROCm0", 0.0, "ROCm0, which the GPU driver here does not know"),
            ("-ot exps=SYCL0", 3.0, "SYCL0, which the GPU driver here does not know"),
            ("--device RPC[10.0.0.2:50052],CUDA0 -ts 31,31", 8.0, "another host"),
        ],
    )
    def test_it_is_not_known_here(self, moe: ModelFacts, line: str, measured: float, why: str) -> None:
        machine = told(f"-c 16384 -ngl 99 {line}", moe, measured)
        model = picture(machine)
        assert (model.level, model.memory.spill_percent, machine.alerts()) == ("unknown", "", [])
        assert "is not known here" in model.sentence
        assert why in model.sentence
        assert "in RAM" not in words(machine)
        whole = machine.monitor.pictures.health()
        assert (whole.sentence, whole.exit_code) == ("1 model loaded, placement not known here", 0)

    def test_vulkan_on_a_card_of_the_driver_is_measured(self, llama: ModelFacts) -> None:
        machine = told("-c 8192 --device Vulkan0", llama, 5.6, weights_gib=4.4)
        assert picture(machine).level == "ok"


class TestOneOfTwoCards:
    """Room is what the settings leave to a model."""

    @pytest.mark.parametrize(
        ("line", "variables"),
        [
            ("--device CUDA1", {}),
            ("-ts 0,1", {}),
            ("-sm none -mg 1", {}),
            ("", {"CUDA_VISIBLE_DEVICES": "1"}),
        ],
    )
    def test_a_card_that_is_not_to_be_used_is_no_room(
        self, llama: ModelFacts, line: str, variables: Mapping[str, str]
    ) -> None:
        two = [card(24.0), card(6.0)]
        machine = told(
            f"-c 32768 -ngl 20 {line}", llama, {1: 5.0}, gpus=two, variables=variables, weights_gib=4.4
        )
        for remedy in picture(machine).diagnosis.remedies:
            assert "of 5.5 GiB free" in remedy.arithmetic

    def test_both_are_room_where_nothing_is_said(self, llama: ModelFacts) -> None:
        machine = told("-c 32768 -ngl 20", llama, {1: 5.0}, gpus=[card(24.0), card(6.0)], weights_gib=4.4)
        assert "of 29.0 GiB free" in picture(machine).diagnosis.remedies[0].arithmetic


class TestWhatCannotBeReckoned:
    """A choice whose bytes are not known is still a choice; nothing is made up."""

    def test_without_the_file(self) -> None:
        machine = told("-c 16384 --n-cpu-moe 40", None, 5.0)
        model = picture(machine)
        assert (model.level, machine.alerts()) == ("ok", [])
        assert "experts are kept in RAM by --n-cpu-moe 40; how much that is cannot be told" in words(machine)

    @pytest.mark.parametrize("pattern", ["(a+)+b=CPU", "(=CPU", "a*b*c*d*e*=CPU"])
    def test_a_pattern_that_is_not_tried(self, moe: ModelFacts, pattern: str) -> None:
        machine = told(f"-c 16384 -ngl 99 -ot {pattern}", moe, 5.0)
        assert machine.alerts() == []
        assert "a pattern of --override-tensor is more than gpumon tries" in words(machine)

    def test_experts_asked_for_of_a_model_that_has_none(self, llama: ModelFacts) -> None:
        machine = told("-c 8192 -ngl 99 --n-cpu-moe 40", llama, 5.6, weights_gib=4.4)
        assert picture(machine).level == "ok"
        assert "by choice" not in words(machine)
