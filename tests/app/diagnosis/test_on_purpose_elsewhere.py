"""Placement on purpose with Ollama, with a draft model, by a log, and margins that were asked for."""

from __future__ import annotations

from msgspec.structs import replace
from tests.app.diagnosis.purposes import card, picture, told, words
from tests.app.picture.test_agreement import check
from tests.fakes.process_samples import BLOB
from tests.fakes.samples import OLLAMA, claim
from tests.scene import Machine, Model

from gpumon.app.picture.model import ModelPicture
from gpumon.app.state.records import BufferKey, Placement
from gpumon.collectors.samples import ModelFacts, Orders

DIGEST = claim("qwen3:30b").digest or ""


class TestOllama:
    """It claims its memory; what its service's environment says reaches its llama-servers."""

    @staticmethod
    def loaded(
        moe: ModelFacts, orders: Orders, gpu_gib: float, ram_gib: float, **more: object
    ) -> tuple[Machine, ModelPicture]:
        facts = replace(moe, source=OLLAMA, digest=DIGEST, name="qwen3:30b", blobs=(BLOB,))
        machine = Machine(card())
        settings = {"orders": orders, "context_length": 16384, "parallel": 1, **more}
        model = Model(
            "qwen3:30b", gpu_gib=gpu_gib, ram_gib=ram_gib, context=16384, settings=settings, shape=facts
        )
        machine.ollama().load(model)
        machine.run(5)
        check(machine.monitor)
        return machine, picture(machine)

    def test_experts_in_ram_by_a_variable_of_the_service(self, moe: ModelFacts) -> None:
        orders = Orders(expert_layers=40, by_environment=("expert_layers",))
        machine, model = self.loaded(moe, orders, 5.0, 12.9)
        assert (model.level, model.memory.spill_percent, machine.alerts()) == ("watch", "", [])
        assert "keeps 12.9 GiB in RAM by choice (LLAMA_ARG_N_CPU_MOE=40)" in model.sentence
        (remedy,) = model.diagnosis.remedies
        assert (remedy.command, remedy.where) == ("LLAMA_ARG_N_CPU_MOE=22", "in the server's environment")

    def test_more_in_ram_than_that_is_a_spill(self, moe: ModelFacts) -> None:
        orders = Orders(expert_layers=22, by_environment=("expert_layers",))
        machine, model = self.loaded(moe, orders, 5.0, 12.9)
        assert (model.level, model.memory.spill_percent) == ("bad", "72%")
        assert "(72%) to RAM, 7.0 GiB of it by choice (LLAMA_ARG_N_CPU_MOE=22), since" in model.sentence
        assert machine.alerts("spill")

    def test_what_the_runtime_chose_by_itself_is_no_choice(self, moe: ModelFacts) -> None:
        machine, model = self.loaded(moe, Orders(), 5.0, 12.9)
        assert (model.level, model.memory.spill_percent) == ("bad", "72%")
        assert machine.alerts("spill")

    def test_layers_that_an_older_one_chose_by_itself_are_no_choice(self, moe: ModelFacts) -> None:
        facts = replace(moe, source=OLLAMA, digest=DIGEST, name="qwen3:30b", blobs=(BLOB,))
        for layers in (0, 20):
            machine = Machine(card())
            settings = {"gpu_layers": layers, "context_length": 16384, "parallel": 1}
            model = Model(
                "qwen3:30b",
                gpu_gib=7.0 if layers else 0.0,
                ram_gib=10.0,
                kind="ollama_runner",
                settings=settings,
                shape=facts,
            )
            machine.ollama().load(model)
            machine.run(5)
            assert picture(machine).level == "bad"
            assert machine.alerts("spill")

    def test_the_card_that_it_has_chosen_itself_is_no_users_choice(self, moe: ModelFacts) -> None:
        facts = replace(moe, source=OLLAMA, digest=DIGEST, name="qwen3:30b", blobs=(BLOB,))
        machine = Machine(card(), card())
        orders = Orders(split_mode="none", main_gpu=0, visible_devices=("1",))
        settings = {"orders": orders, "context_length": 16384, "parallel": 1, "child_of": "ollama"}
        machine.ollama().load(
            Model("qwen3:30b", gpu_gib=5.0, ram_gib=12.9, gpu=1, settings=settings, shape=facts)
        )
        machine.run(5)
        assert "of 23.0 GiB free" in words(machine)

    def test_all_cards_hidden_from_the_service(self, moe: ModelFacts) -> None:
        facts = replace(moe, source=OLLAMA, digest=DIGEST, name="qwen3:30b", blobs=(BLOB,))
        machine = Machine(card())
        server = machine.ollama(settings={"CUDA_VISIBLE_DEVICES": "-1"})
        server.load(Model("qwen3:30b", gpu_gib=0.0, ram_gib=17.0, shape=facts))
        machine.run(5)
        assert picture(machine).sentence.endswith(
            "runs on the CPU by choice (CUDA_VISIBLE_DEVICES hides all)"
        )
        assert machine.alerts() == []


def test_a_device_that_only_the_log_names_is_not_known_here(llama: ModelFacts) -> None:
    machine = told("-c 8192", llama, 0.0, weights_gib=4.4)
    assert "spills" in words(machine) or "CPU" in words(machine)
    (runner,) = machine.state.runners.values()
    runner.placement = Placement(since=0.0, buffers={BufferKey("model", "Vulkan0"): 4 * 1024**3})
    machine.run(20)
    assert "Vulkan0, which the GPU driver here does not know" in words(machine)
    assert machine.alerts() == []


def test_a_draft_model_counts_where_it_is(llama: ModelFacts) -> None:
    machine = told("-c 8192 -ngl 99 -md /d.gguf -ngld 99", llama, 5.6, weights_gib=4.4)
    (runner,) = machine.state.runners.values()
    assert runner.file is not None
    runner.file = replace(runner.file, draft=llama)
    runner.intent = None
    machine.run(20)
    assert machine.alerts("likely_spill"), "the weights of both would be there"


def test_what_an_older_ollama_was_told_to_leave_free_is_named(llama: ModelFacts) -> None:
    facts = replace(llama, source=OLLAMA, digest=claim("llama3:8b").digest or "", name="llama3:8b")
    machine = Machine(card(8.0))
    server = machine.ollama(settings={"OLLAMA_GPU_OVERHEAD": str(2 * 1024**3)})
    settings = {"context_length": 8192, "parallel": 1}
    server.load(
        Model("llama3:8b", 4.0, 1.8, context=8192, kind="ollama_runner", settings=settings, shape=facts)
    )
    machine.run(5)
    assert "the runtime leaves 2.4 GiB of each GPU free (OLLAMA_GPU_OVERHEAD)" in words(machine)
