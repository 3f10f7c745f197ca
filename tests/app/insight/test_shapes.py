"""The geometry of a loaded model, and with which options it was loaded: each word of the command line."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from tests.fakes.samples import OLLAMA, START
from tests.scene import Machine, Model, Weights, after, loaded

from gpumon.app.insight.shapes import (
    UNDESCRIBED,
    Shapes,
    cache_type_named,
    file_bytes_of,
    options_of_settings,
    shape_of,
)
from gpumon.app.physics.geometry import Geometry, LoadOptions
from gpumon.collectors.samples import InstalledModel, InstalledModels, RunnerSettings

WHOLE = RunnerSettings(
    context_length=8192,
    parallel=3,
    gpu_layers=21,
    batch_size=1024,
    micro_batch_size=256,
    cache_type_k="q8_0",
    cache_type_v="Q4_0 ",
    flash_attention="off",
    model_path="/m/x",
)


def described(**weights: int) -> Model:
    model = loaded(Model("a:8b", weights=Weights(**weights)))  # type: ignore[arg-type]
    model.machine.look()
    return model


class TestOptions:
    def test_every_word_is_in_its_place(self) -> None:
        assert options_of_settings(WHOLE) == LoadOptions(
            context_length=8192,
            parallel=3,
            cache_type_k="q8_0",
            cache_type_v="q4_0",
            micro_batch_size=256,
            flash_attention=False,
            gpu_layers=21,
        )

    def test_what_is_left_out_has_the_runtimes_default(self) -> None:
        assert options_of_settings(RunnerSettings(context_length=4096)) == LoadOptions(
            context_length=4096,
            parallel=1,
            cache_type_k="f16",
            cache_type_v="f16",
            micro_batch_size=512,
            flash_attention=True,
            gpu_layers=None,
        )

    def test_a_batch_stands_for_the_micro_batch(self) -> None:
        found = options_of_settings(replace(WHOLE, micro_batch_size=None))
        assert found is not None
        assert found.micro_batch_size == 1024

    def test_a_claim_stands_for_the_context(self) -> None:
        bare = replace(WHOLE, context_length=None)
        found = options_of_settings(bare, 2048)
        assert found is not None
        assert found.context_length == 2048
        assert options_of_settings(bare) is None

    @pytest.mark.parametrize("word", ["off", "0", "false", "disabled"])
    def test_each_word_for_no_flash_attention(self, word: str) -> None:
        found = options_of_settings(replace(WHOLE, flash_attention=word))
        assert found is not None
        assert not found.flash_attention

    @pytest.mark.parametrize("side", ["cache_type_k", "cache_type_v"])
    def test_a_type_of_unknown_size_leaves_the_options_unknown(self, side: str) -> None:
        assert options_of_settings(replace(WHOLE, **{side: "q9_z"})) is None

    def test_a_type_is_named_in_any_case(self) -> None:
        assert (cache_type_named(" BF16 "), cache_type_named("nothing")) == ("bf16", None)


class TestGeometry:
    def test_it_is_worked_out_once_while_nothing_more_is_known(self) -> None:
        model, shapes = described(), Shapes()
        first = shapes.of(model.record, model.machine.state)
        assert isinstance(first, Geometry)
        assert shapes.of(model.record, model.machine.state) is first
        listed = InstalledModel(name="a:8b", digest="sha-a:8b", size_bytes=7)
        model.machine.say(InstalledModels(time=START, source=OLLAMA, models=(listed,)))
        assert file_bytes_of(model.record, model.machine.state) == 7
        again = shapes.of(model.record, model.machine.state)
        assert again is not first
        shapes.forget(model.machine.state)
        assert shapes.of(model.record, model.machine.state) is again

    def test_it_is_forgotten_with_its_model(self) -> None:
        model, shapes = described(), Shapes()
        first = shapes.of(model.record, model.machine.state)
        shapes.forget(after().state)
        assert shapes.of(model.record, model.machine.state) is not first

    def test_a_model_that_is_not_described_has_none(self) -> None:
        model = loaded(Model(is_described=False), Machine())
        model.machine.look()
        assert shape_of(model.record, model.machine.state) == UNDESCRIBED
        assert Shapes().of(model.record, model.machine.state) == UNDESCRIBED
