"""What settings on purpose keep in RAM of a model, by the names of its tensors, and what that costs."""

from __future__ import annotations

import re
import time
import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.fakes.gguf.mixture import BLOCKS, dense, mixture
from tests.fakes.gguf.writer import FakeGguf

from gpumon.app.physics.geometry import Geometry, LoadOptions, NoGeometry
from gpumon.app.physics.memory import memory_need
from gpumon.app.physics.orders import UNNAMED_TENSORS, UNREAD_PATTERN, ordered, rules_of, with_experts_kept
from gpumon.app.physics.placement import place, placement_of_claim
from gpumon.app.physics.shape import geometry_of
from gpumon.app.physics.speed import traffic_of
from gpumon.collectors.gguf.tensors import summarize
from gpumon.collectors.samples import ModelFacts, Orders, Override

GIB = 1024**3
OPTIONS = LoadOptions(16384)
PLENTY = [64 * GIB]


def facts_of(file: FakeGguf) -> ModelFacts:
    values = {key: value for key, value in file.values.items() if isinstance(value, int)}
    a = str(file.values["general.architecture"])
    return ModelFacts(
        time=0.0,
        source="x",
        name="m",
        digest="",
        architecture=a,
        layer_count=values[f"{a}.block_count"],
        embedding_length=values[f"{a}.embedding_length"],
        geometry=dict(values),
        weights=summarize(file.tensors),
    )


MOE, DENSE = facts_of(mixture()), facts_of(dense())


def shaped(orders: Orders, facts: ModelFacts = MOE) -> Geometry:
    whole = geometry_of(facts)
    assert not isinstance(whole, NoGeometry)
    found = ordered(whole, facts, orders)
    assert not isinstance(found, NoGeometry)
    return found


def by_pattern(*rules: str) -> Orders:
    pairs = (rule.rpartition("=")[::2] for rule in rules)
    return Orders(overrides=tuple(Override(pattern=pattern, device=device) for pattern, device in pairs))


def test_all_ways_to_keep_all_experts_are_one() -> None:
    kept = shaped(Orders(all_experts=True)).kept_bytes
    assert kept == shaped(Orders(expert_layers=999)).kept_bytes
    assert kept == shaped(by_pattern(r"\.ffn_(up|down|gate)_exps\.=CPU")).kept_bytes
    assert kept == shaped(by_pattern("exps=CPU")).kept_bytes
    assert kept == sum(layer.expert_bytes for layer in shaped(Orders()).layers)


@given(st.integers(1, BLOCKS))
def test_what_is_kept_is_on_no_gpu_and_nothing_is_lost(count: int) -> None:
    free, kept = shaped(Orders()), shaped(Orders(expert_layers=count))
    whole, less = (place(one, OPTIONS, PLENTY) for one in (free, kept))
    assert less.fits
    assert whole.vram_bytes - less.vram_bytes == kept.kept_bytes == less.ram_bytes - whole.ram_bytes
    assert memory_need(kept, OPTIONS).total_bytes == less.vram_bytes


def test_the_first_pattern_that_is_found_counts() -> None:
    first = shaped(by_pattern(r"blk\.[0-9]\.=CUDA0", "exps=CPU"))
    assert [bool(layer.kept_bytes) for layer in first.layers] == [False] * 10 + [True] * (BLOCKS - 10)
    assert shaped(by_pattern("exps=CPU", r"blk\.[0-9]\.=CUDA0")).kept_bytes > first.kept_bytes


def test_a_pattern_goes_before_a_number_of_layers() -> None:
    orders = replace(by_pattern(r"blk\.0\.=CUDA0"), expert_layers=2)
    assert [bool(layer.kept_bytes) for layer in shaped(orders).layers[:3]] == [False, True, False]


def test_dense_weights_of_the_first_layers() -> None:
    kept = shaped(Orders(ffn_layers=12), DENSE)
    assert [bool(layer.kept_bytes) for layer in kept.layers] == [True] * 12 + [False] * 20
    assert all(layer.kept_expert_bytes == 0 for layer in kept.layers)


def test_an_output_can_be_kept() -> None:
    kept = shaped(by_pattern(r"^output\.weight=CPU"), DENSE)
    assert kept.kept_output_bytes == kept.output_bytes
    assert traffic_of(kept, OPTIONS, place(kept, OPTIONS, PLENTY), 0)[1].weights_bytes == kept.output_bytes


def test_what_is_kept_is_read_in_ram_and_of_experts_only_those_in_use() -> None:
    kept = shaped(Orders(expert_layers=12))
    on_gpu, in_ram = traffic_of(kept, OPTIONS, place(kept, OPTIONS, PLENTY), 0)
    assert in_ram.weights_bytes == in_ram.expert_bytes == kept.kept_bytes * 8 / 128
    assert in_ram.expert_layers == 12
    whole = traffic_of(shaped(Orders()), OPTIONS, place(shaped(Orders()), OPTIONS, PLENTY), 0)[0]
    assert on_gpu.weights_bytes + in_ram.weights_bytes == pytest.approx(whole.weights_bytes)


def test_a_context_in_ram_is_on_no_gpu_and_read_there() -> None:
    shape, in_ram = shaped(Orders(), DENSE), replace(OPTIONS, cache_on_gpu=False)
    whole, less = place(shape, OPTIONS, PLENTY), place(shape, in_ram, PLENTY)
    assert whole.vram_bytes - less.vram_bytes == less.ram_bytes - whole.ram_bytes == 2 * GIB
    assert traffic_of(shape, in_ram, less, 1000)[1].cache_bytes > 0


def test_a_claim_of_what_is_kept_moves_no_layer() -> None:
    kept = shaped(Orders(expert_layers=40))
    placed = place(kept, OPTIONS, PLENTY)
    claimed = placement_of_claim(kept, OPTIONS, placed.vram_bytes_by_gpu, placed.ram_bytes)
    assert (claimed.fits, claimed.overflowing_layers) == (True, 0)
    more = placement_of_claim(kept, OPTIONS, placed.vram_bytes_by_gpu, placed.ram_bytes + GIB)
    assert more.overflowing_layers > 40, "those after the ones that are kept"


def test_shares_decide_which_card_holds_what() -> None:
    shape = shaped(Orders(), DENSE)
    one = place(shape, replace(OPTIONS, gpu_shares=(0.0, 1.0)), [24 * GIB, 24 * GIB])
    assert one.vram_bytes_by_gpu[0] == 0
    assert one.fits
    three = place(shape, replace(OPTIONS, gpu_shares=(3.0, 1.0)), [24 * GIB, 24 * GIB])
    assert three.vram_bytes_by_gpu[0] > 2 * three.vram_bytes_by_gpu[1]
    spread = place(shape, replace(OPTIONS, spread=True), [24 * GIB, 24 * GIB])
    assert all(spread.vram_bytes_by_gpu)


def test_without_names_only_experts_can_be_counted() -> None:
    assert MOE.weights is not None
    nameless = replace(MOE, weights=replace(MOE.weights, tensors=()))
    whole = geometry_of(nameless)
    assert not isinstance(whole, NoGeometry)
    assert ordered(whole, nameless, Orders(expert_layers=3)) == with_experts_kept(whole, 3)
    assert ordered(whole, nameless, by_pattern("exps=CPU")) == UNNAMED_TENSORS


HARMFUL = ["(a+)+$", "(a|a)*b", r"(x)\1", "(?=a)", ".*.*.*.*x", "(", "[", "a{2,}b*c*d*"]


@pytest.mark.parametrize("pattern", HARMFUL)
def test_a_pattern_that_may_take_long_is_not_tried(pattern: str) -> None:
    orders = by_pattern(f"{pattern}=CPU")
    whole = geometry_of(MOE)
    assert not isinstance(whole, NoGeometry)
    assert ordered(whole, MOE, orders) == UNREAD_PATTERN


@given(st.text(st.sampled_from("blk.0123[](){}|*+?\\ffn_exps^$a"), max_size=60))
def test_no_pattern_takes_long(pattern: str) -> None:
    rules = rules_of(by_pattern(f"{pattern}=CPU"))
    began = time.process_time()
    for rule in rules or ():
        assert isinstance(rule.pattern, re.Pattern)
        rule.pattern.search("blk.47.ffn_gate_exps.weight" * 2)
    assert time.process_time() - began < 0.5


def test_a_pattern_of_which_python_warns_is_tried_in_silence() -> None:
    """On standard error it would tear the screen."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert rules_of(by_pattern("[[a]=CPU")) is not None
