"""The catalogue of language models: its data, the sizes it comes to, the names it is asked by."""

from __future__ import annotations

from statistics import median

import pytest
from docs.catalog import TOLERANCE, problems
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.app.physics.listed_sizes import HUB, OLLAMA

from gpumon.app.cli.fit.catalog import file_bytes
from gpumon.app.physics.catalog.entries import Entry, catalog, facts_of, matrices, parameter_count
from gpumon.app.physics.catalog.names import Found, find, near_models, quant_named
from gpumon.app.physics.catalog.quants import MIXES
from gpumon.app.physics.catalog.shapes import LEAST, MOST, Size, shape_of_size, size_named
from gpumon.app.physics.geometry import Geometry, LoadOptions
from gpumon.app.physics.memory import kv_cache_bytes, memory_need
from gpumon.app.physics.shape import geometry_of

GB = 10**9
entries = st.sampled_from(catalog())


def named(name: str) -> Found:
    found = find(name)
    assert found is not None, name
    return found


def shape(name: str) -> Geometry:
    found = named(name)
    known = geometry_of(facts_of(found.entry, found.quant, is_ollamas=found.is_ollamas))
    assert isinstance(known, Geometry)
    return known


def size_gb(entry: Entry, quant: str, *, is_ollamas: bool) -> float:
    return file_bytes(facts_of(entry, quant, is_ollamas=is_ollamas)) / GB


class TestData:
    def test_has_no_problems(self) -> None:
        assert list(problems(catalog())) == []

    def test_is_of_some_size(self) -> None:
        assert len(catalog()) > 150

    def test_names_no_model_twice(self) -> None:
        twice = (catalog()[0], catalog()[0])
        assert f"{catalog()[0].name}: 2 models have this name" in list(problems(twice))

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"date": "2024"}, "no year and month"),
            ({"hub": "llama"}, "no model of the hub"),
            ({"read_in": "hearsay"}, "no place"),
            ({"quant": "Q9"}, "no quantisation"),
            ({"architecture": "rwkv99"}, "not known"),
            ({"parameters": 7 * GB}, "published are 7000000000"),
            ({"layers": 40}, "published are"),
        ],
    )
    def test_that_is_wrong_is_found(self, change: dict[str, object], words: str) -> None:
        entry = named("llama3.1:8b").entry
        assert any(words in line for line in problems([replace(entry, **change)]))

    @pytest.mark.parametrize(
        "name", ["llama3.1:8b", "qwen3:235b", "gemma3:27b", "qwen2.5vl:7b", "qwen3.5:27b"]
    )
    def test_accounts_for_every_parameter(self, name: str) -> None:
        entry = named(name).entry
        assert parameter_count(entry) == entry.parameters

    def test_says_where_a_configuration_is_published(self) -> None:
        assert named("qwen3:8b").entry.source == "https://huggingface.co/Qwen/Qwen3-8B/blob/main/config.json"


class TestSizes:
    def test_of_the_library_come_out(self) -> None:
        """Listed with two digits: half a unit of the last is up to 5 %."""
        off = [
            abs(size_gb(found.entry, found.quant, is_ollamas=True) / listed - 1)
            for name, listed in OLLAMA.items()
            for found in [named(name)]
        ]
        assert median(off) < 0.008
        assert sorted(off)[round(0.9 * len(off))] < 0.025
        assert max(off) < 0.05

    def test_of_the_hub_come_out(self) -> None:
        """A projector is a file of its own there."""
        off = {
            (name, quant): size_gb(replace(entry, projector=0), quant, is_ollamas=False) / listed - 1
            for name, sizes in HUB.items()
            for quant, listed in sizes.items()
            for entry in [named(name).entry]
        }
        assert median(map(abs, off.values())) < 0.001
        assert max(map(abs, off.values())) < 0.005

    @given(entries)
    def test_fewer_bits_are_a_smaller_file(self, entry: Entry) -> None:
        sizes = [size_gb(entry, quant, is_ollamas=False) for quant in ("BF16", "Q8_0", "Q5_K_M", "Q4_0")]
        assert sizes == sorted(sizes, reverse=True)

    @given(entries, st.sampled_from(sorted(MIXES)))
    def test_every_model_has_a_shape_in_every_quantisation(self, entry: Entry, quant: str) -> None:
        assert isinstance(geometry_of(facts_of(entry, quant, is_ollamas=False)), Geometry)

    @pytest.mark.parametrize(
        ("name", "per_token"),
        [
            ("llama3.1:8b", 131_072),
            ("qwen3:8b", 147_456),
            ("qwen2.5:14b", 196_608),
            ("qwen3:14b", 163_840),
            ("gemma3:12b", 65_536),
            ("gpt-oss:20b", 24_576),
            ("qwen3:30b", 98_304),
            ("qwen3.5:27b", 65_536),
            ("gemma3:27b", 81_920),
            ("qwen3.5:35b", 20_480),
            ("deepseek-r1:671b", 61 * 576 * 2),
        ],
    )
    def test_of_the_cache_are_those_of_the_file(self, name: str, per_token: int) -> None:
        model = shape(name)
        short, long = (kv_cache_bytes(model, LoadOptions(context)) for context in (8192, 16_384))
        assert (long - short) / 8192 == per_token

    @pytest.mark.parametrize(
        ("name", "options", "gib"),
        [
            ("qwen2.5:7b", LoadOptions(2048), 4.45),
            ("qwen2.5:7b", LoadOptions(32_768), 6.10),
            ("qwen2.5:14b", LoadOptions(88_000, cache_type_k="q4_0", cache_type_v="q4_0"), 13.24),
        ],
    )
    def test_in_memory_are_near_what_the_driver_counted(
        self, name: str, options: LoadOptions, gib: float
    ) -> None:
        """Those rows of test_memory.py that name a file of the library."""
        assert abs(memory_need(shape(name), options).total_bytes / 2**30 / gib - 1) < 0.035

    def test_of_experts_are_told_apart(self) -> None:
        model = shape("qwen3-coder:30b")
        experts = sum(layer.expert_bytes for layer in model.layers)
        assert 0.9 < experts / model.file_bytes < 0.97


class TestNames:
    @pytest.mark.parametrize(
        ("name", "meant"),
        [
            ("llama3.1", "llama3.1:8b"),
            ("LLAMA3.1:70B", "llama3.1:70b"),
            ("llama-3.3", "llama3.3:70b"),
            ("library/qwen3", "qwen3:8b"),
            ("registry.ollama.ai/library/qwen3:14b", "qwen3:14b"),
            ("https://ollama.com/library/gemma3", "gemma3:4b"),
            ("qwen3-coder", "qwen3-coder:30b"),
            ("qwen3:30b-a3b", "qwen3:30b"),
            ("phi-4", "phi4:14b"),
            ("gemma 3 27b", "gemma3:27b"),
            ("deepseek-r1", "deepseek-r1:8b"),
            ("Meta-Llama-3.1-8B-Instruct", "llama3.1:8b"),
            ("Qwen/Qwen3-8B", "qwen3:8b"),
            ("unsloth/DeepSeek-R1-GGUF", "deepseek-r1:671b"),
            ("bartowski/google_gemma-3-12b-it-GGUF", "gemma3:12b"),
            ("hf.co/unsloth/Qwen3-4B-Instruct-2507-GGUF", "qwen3:4b-2507"),
        ],
    )
    def test_mean_the_model_that_ollama_or_the_hub_has(self, name: str, meant: str) -> None:
        assert named(name).entry.name == meant

    @pytest.mark.parametrize(
        ("name", "quant"),
        [
            ("llama3.1", "Q4_K_M"),
            ("gemma2", "Q4_0"),
            ("llama3.2:1b", "Q8_0"),
            ("gpt-oss", "MXFP4"),
            ("nomic-embed-text", "F16"),
            ("llama3.1:8b-instruct-q5_K_M", "Q5_K_M"),
            ("llama3.1:8b-instruct-fp16", "F16"),
            ("qwen3:q8_0", "Q8_0"),
            ("gemma2:9b-instruct-q4_K_M", "Q4_K_M"),
            ("hf.co/bartowski/Llama-3.2-3B-Instruct-GGUF:Q4_K_M", "Q4_K_M"),
            ("hf.co/bartowski/Llama-3.2-1B-Instruct-GGUF", "Q4_K_M"),
            ("bartowski/google_gemma-3-12b-it-GGUF:IQ4_XS", "IQ4_XS"),
            ("ggml-org/gpt-oss-20b-GGUF", "MXFP4_MOE"),
            ("unsloth/gpt-oss-20b-GGUF:F16", "MXFP4"),
        ],
    )
    def test_mean_a_quantisation(self, name: str, quant: str) -> None:
        assert named(name).quant == quant

    def test_of_unsloths_own_mixes_stand_for_the_nearest_and_are_no_certainty(self) -> None:
        found = named("unsloth/Qwen3-30B-A3B-GGUF:UD-Q4_K_XL")
        assert (found.quant, found.is_varied) == ("Q4_K_L", True)

    @pytest.mark.parametrize("name", ["", "absent", "llama", "qwen3:7b", "llama3.1:8b-q9_9", "a/b/c", "70b"])
    def test_that_nobody_has_are_none(self, name: str) -> None:
        assert find(name) is None

    @pytest.mark.parametrize(
        ("name", "offered"),
        [("qwen3-codr", "qwen3-coder:30b"), ("lama3.1", "llama3.1:8b"), ("r1:32b", "deepseek-r1:32b")],
    )
    def test_that_are_nearly_right_are_offered(self, name: str, offered: str) -> None:
        assert offered in near_models(name)

    @given(entries)
    def test_every_model_is_found_by_each_of_its_names(self, entry: Entry) -> None:
        assert [named(name).entry.name for name in (entry.name, *entry.names)] == [entry.name] * (
            1 + len(entry.names)
        )

    @given(entries, st.sampled_from(["Q4_K_M", "Q8_0", "IQ3_XXS", "Q6_K"]))
    def test_every_model_is_found_with_a_quantisation(self, entry: Entry, quant: str) -> None:
        name = f"{entry.name}-{quant.lower()}" if ":" in entry.name else f"{entry.name}:{quant}"
        assert (named(name).entry.name, named(name).quant) == (entry.name, quant)

    @given(st.text(max_size=60))
    def test_of_any_kind_are_taken_without_a_fault(self, name: str) -> None:
        found = find(name)
        assert found is None or found.quant in MIXES
        assert len(near_models(name)) <= 4

    @pytest.mark.parametrize(
        ("text", "quant"),
        [("q4", "Q4_K_M"), ("Q5_K", "Q5_K_M"), ("fp16", "F16"), ("ud-q4_k_xl", "Q4_K_L"), ("q9", None)],
    )
    def test_of_quantisations_are_read_as_people_write_them(self, text: str, quant: str | None) -> None:
        assert quant_named(text) == quant


class TestBySize:
    @pytest.mark.parametrize(
        ("text", "size"),
        [
            ("70b", Size(70 * GB)),
            ("1.7B", Size(1_700_000_000)),
            ("270m", Size(270_000_000)),
            ("30b-a3b", Size(30 * GB, 3 * GB)),
            ("1t-a32b", Size(1000 * GB, 32 * GB)),
            ("70", None),
            ("b", None),
            ("3b-a30b", None),
            ("99999t", None),
            ("70bb", None),
        ],
    )
    def test_is_read(self, text: str, size: Size | None) -> None:
        assert size_named(text) == size

    @given(st.integers(300_000_000, 600 * GB))
    def test_a_dense_model_has_nearly_the_parameters_that_were_asked_for(self, parameters: int) -> None:
        entry = shape_of_size(Size(parameters), "x")
        assert abs(parameter_count(entry) / parameters - 1) < 0.05

    @pytest.mark.parametrize("name", ["llama3.1:8b", "qwen2.5:14b", "qwen3:32b", "llama3.1:70b", "gemma2:9b"])
    def test_a_file_is_within_a_tenth_of_the_models_of_that_size(self, name: str) -> None:
        entry = named(name).entry
        by_size = shape_of_size(Size(entry.parameters), "x")
        pair = [size_gb(one, "Q4_K_M", is_ollamas=False) for one in (by_size, entry)]
        assert abs(pair[0] / pair[1] - 1) < 0.1

    def test_experts_are_shared_out_by_both_numbers(self) -> None:
        entry = shape_of_size(Size(30 * GB, 3 * GB), "x")
        experts = sum(one.elements for one in matrices(entry) if "_exps" in one.name)
        assert 0.9 < experts / entry.parameters < 0.98

    @given(
        st.integers(LEAST, MOST).flatmap(
            lambda whole: st.tuples(st.just(whole), st.none() | st.integers(LEAST, max(LEAST, whole - 1)))
        )
    )
    def test_every_size_has_a_shape(self, sizes: tuple[int, int | None]) -> None:
        whole, active = sizes
        entry = shape_of_size(Size(whole, None if active is None or active >= whole else active), "x")
        assert isinstance(geometry_of(facts_of(entry, "Q4_K_M", is_ollamas=False)), Geometry)


def test_the_tolerance_is_a_hundredth() -> None:
    assert TOLERANCE == 0.01
