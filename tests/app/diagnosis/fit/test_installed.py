"""What is installed, on what it would be loaded, and how: each figure in its place."""

from __future__ import annotations

from typing import ClassVar

import pytest
from msgspec.structs import replace
from tests.app.diagnosis.scenes import NAME, Other, Scene
from tests.fakes.process_samples import facts, processes, server
from tests.fakes.samples import GIB, OLLAMA, START, claim, gpu, nvml, ollama
from tests.scene import after

from gpumon.app.diagnosis.fit.machine import (
    default_options,
    installed_models,
    machine_of,
    options_of,
    visible_cards,
)
from gpumon.app.physics.geometry import LoadOptions
from gpumon.app.physics.hardware import Card
from gpumon.app.state.records import ModelKey
from gpumon.collectors.samples import InstalledModel, InstalledModels
from gpumon.collectors.servers.kind import LoadDefaults
from gpumon.collectors.servers.registry import DEFAULT

FAR = "http://box:11434"
OWN = ModelKey(OLLAMA, f"sha-{NAME}")
FACTS = replace(facts(0, NAME), trained_context_length=131072)


def listed(source: str, *rows: InstalledModel) -> InstalledModels:
    return InstalledModels(time=START, source=source, models=rows)


def test_what_is_installed_is_listed_by_name_whatever_its_case() -> None:
    state = after(
        listed(
            OLLAMA,
            InstalledModel(name="qwen3:8b", digest="q", size_bytes=5),
            InstalledModel(name="Llama3:8b", size_bytes=7),
            InstalledModel(name="cloud", digest="c", remote=True),
        ),
        listed(FAR, InstalledModel(name="gemma3:4b", digest="g")),
    ).state
    assert [tuple(one) for one in installed_models(state)] == [
        (ModelKey(FAR, "g"), "gemma3:4b", None),
        (ModelKey(OLLAMA, "Llama3:8b"), "Llama3:8b", 7),
        (ModelKey(OLLAMA, "q"), "qwen3:8b", 5),
    ]


class TestMachine:
    def test_a_server_elsewhere_has_none_of_our_cards(self) -> None:
        assert machine_of(Scene().state(), ModelKey(FAR, "x")).cards == ()

    def test_what_the_model_itself_holds_is_free_for_it(self) -> None:
        state = Scene(on_gpu_gib=6.0, in_ram_gib=0.0, measured_gib=5.0).state()
        [for_it] = machine_of(state, OWN).cards
        [for_another] = machine_of(state, ModelKey(OLLAMA, "another")).cards
        assert for_it.vram_free_bytes - for_another.vram_free_bytes == 5 * GIB
        assert for_it.vram_total_bytes == for_another.vram_total_bytes == 12 * GIB

    def test_without_a_measurement_it_is_what_the_server_claims(self) -> None:
        state = after(nvml(0, gpu(used_gib=8.0)), ollama(0, [claim(NAME, gpu_gib=6.0)])).state
        [for_it] = machine_of(state, OWN).cards
        [for_another] = machine_of(state, ModelKey(OLLAMA, "another")).cards
        assert for_it.vram_free_bytes - for_another.vram_free_bytes == 6 * GIB

    def test_the_other_models_are_those_that_could_go(self) -> None:
        state = Scene(others=[Other("qwen3:8b", 3.0), Other("steam", 1.0, pid=201)], measured_gib=5.0).state()
        others = machine_of(state, OWN).others
        assert [(one.name, one.vram_bytes) for one in others] == [("qwen3:8b", 3 * GIB)]
        others = machine_of(state, ModelKey(OLLAMA, "another")).others
        assert [(one.name, one.vram_bytes) for one in others] == [(NAME, 5 * GIB), ("qwen3:8b", 3 * GIB)]

    def test_models_that_hold_nothing_or_are_elsewhere_could_not(self) -> None:
        in_ram = claim("in-ram", gpu_gib=0.0, ram_gib=5.0)
        state = after(nvml(0, gpu()), ollama(0, [in_ram]), ollama(0, [claim("far")], source=FAR)).state
        assert machine_of(state, OWN).others == ()

    def test_what_was_learned_goes_along(self) -> None:
        state = Scene().state()
        assert machine_of(state, OWN).learned is state.learned


class TestOptions:
    def test_a_loaded_model_is_taken_as_it_is_loaded(self) -> None:
        state = Scene(context=16384, parallel=3, cache_type="q8_0").state()
        found = options_of(state, OWN, FACTS, machine_of(state, OWN))
        assert (found.context_length, found.parallel) == (16384, 3)
        assert (found.cache_type_k, found.cache_type_v) == ("q8_0", "q8_0")

    @pytest.mark.parametrize(("total_gib", "context"), [(12.0, 4096), (23.9, 32768), (48.0, 262144)])
    def test_another_as_ollama_would_on_these_cards(self, total_gib: float, context: int) -> None:
        state = Scene(total_gib=total_gib).state()
        key = ModelKey(OLLAMA, "another")
        long = replace(FACTS, trained_context_length=None)
        assert options_of(state, key, long, machine_of(state, key)).context_length == context

    @pytest.mark.parametrize(
        ("parameters", "options"),
        [
            ({}, LoadOptions(4096, micro_batch_size=512)),
            ({"num_ctx": "8192"}, LoadOptions(8192, micro_batch_size=512)),
            ({"num_ctx": "999999999"}, LoadOptions(131072, micro_batch_size=512)),
            ({"num_ctx": "9999999999"}, LoadOptions(4096, micro_batch_size=512)),
            ({"num_ctx": "-1", "num_gpu": "-1"}, LoadOptions(4096, micro_batch_size=512)),
            ({"num_gpu": "21"}, LoadOptions(4096, micro_batch_size=512, gpu_layers=21)),
            ({"num_gpu": "0"}, LoadOptions(4096, micro_batch_size=512, gpu_layers=0)),
            ({"num_batch": "64"}, LoadOptions(4096, micro_batch_size=64)),
        ],
    )
    def test_the_modelfile_has_its_say(self, parameters: dict[str, str], options: LoadOptions) -> None:
        assert default_options(replace(FACTS, parameters=parameters), 12 * GIB) == options


class TestSettingsOfTheServer:
    """What the server that would load it was told."""

    VARIABLES: ClassVar = {
        "OLLAMA_CONTEXT_LENGTH": "65536",
        "OLLAMA_NUM_PARALLEL": "4",
        "OLLAMA_KV_CACHE_TYPE": "q8_0",
        "CUDA_VISIBLE_DEVICES": "GPU-b",
    }

    def test_context_slots_cache_and_cards_are_those_of_its_environment(self) -> None:
        cards = [replace(gpu(index, total_gib=size), uuid=f"GPU-{letter}") for index, size, letter in BOTH]
        told = [processes(0, servers=[server(settings=self.VARIABLES)])]
        state = after(nvml(0, *cards), ollama(0, []), *told).state
        key = ModelKey(OLLAMA, "another")
        machine = machine_of(state, key)
        assert [card.uuid for card in machine.cards] == ["GPU-b"]
        options = options_of(state, key, FACTS, machine)
        assert (options.context_length, options.parallel, options.cache_type_k) == (65536, 4, "q8_0")

    def test_the_modelfile_comes_before_them(self) -> None:
        told = LoadDefaults(context_length=65536)
        assert default_options(replace(FACTS, parameters={"num_ctx": "2048"}), 0, told).context_length == 2048

    def test_what_leaves_it_to_the_server_sets_nothing(self) -> None:
        logged = {"OLLAMA_CONTEXT_LENGTH": "0", "OLLAMA_KV_CACHE_TYPE": "", "CUDA_VISIBLE_DEVICES": ""}
        assert DEFAULT.load_defaults(logged) == LoadDefaults()
        off = {"OLLAMA_KV_CACHE_TYPE": "q8_0", "OLLAMA_FLASH_ATTENTION": "0"}
        assert DEFAULT.load_defaults(off).cache_type is None

    @pytest.mark.parametrize(
        ("said", "by_slot", "left"),
        [
            (None, False, ["slow", "fast"]),
            ("0", False, ["fast"]),
            ("1", False, ["slow"]),
            ("0", True, ["slow"]),
            ("1,0", True, ["fast", "slow"]),
            ("GPU-sl", False, ["slow"]),
            ("1,7,0", True, ["fast"]),
            ("-1", False, []),
            ("MIG-x", False, []),
        ],
    )
    def test_cards_are_counted_as_cuda_counts_them(
        self, said: str | None, by_slot: bool, left: list[str]
    ) -> None:
        cards = tuple(
            Card(name, 2, 1, speed, "nvidia_gddr6", f"GPU-{name}")
            for name, speed in (("slow", 100.0), ("fast", 900.0))
        )
        told = LoadDefaults(devices=said, by_slot=by_slot)
        assert [card.name for card in visible_cards(cards, told)] == left

    def test_where_the_fastest_is_not_known_a_number_hides_nothing(self) -> None:
        cards = tuple(Card(name, 2, 1, None, "nvidia_gddr6", f"GPU-{name}") for name in "ab")
        assert visible_cards(cards, LoadDefaults(devices="1")) == cards
        assert visible_cards(cards, LoadDefaults(devices="GPU-b")) == cards[1:]


BOTH = ((0, 24.0, "a"), (1, 12.0, "b"))
