"""What each GPU holds by settings and file, and what a real llama.cpp put there, to a hundredth of a MiB."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.app.physics.test_orders import MOE, OPTIONS, by_pattern, shaped
from tests.fakes.gguf.mixture import BLOCKS

from gpumon.app.insight.shapes import options_of_settings
from gpumon.app.physics import memory
from gpumon.app.physics.by_card import BUFFERS, CONTEXT, DENSE, EXPERTS, LAYERS, OUTPUT, parts_by_card
from gpumon.app.physics.geometry import Geometry, LoadOptions
from gpumon.app.physics.placement import gpu_of, place, shared
from gpumon.app.physics.speed import traffic_of
from gpumon.collectors.samples import ModelFacts, Orders
from gpumon.collectors.servers.llama_server.command_line import settings_of

MIB, GIB = 1024**2, 1024**3
GEMMA = msgspec.json.decode(
    Path("tests/recordings/models/gemma-3-270m-q4_k_m.json").read_bytes(), type=ModelFacts
)
EVEN = [10 * GIB] * 3

REAL = [
    ("-ngl 99", [(25.15, 8), (21.34, 7), (188.67, 6)]),
    ("-ngl 99 -ts 3,1", [(53.73, 17), (181.43, 4)]),
    ("-ngl 99 -ts 1,1,1", [(25.15, 8), (21.34, 7), (188.67, 6)]),
    ("-ngl 12 -sm layer", [(14.48, 4), (14.10, 5), (181.43, 4)]),
    ("-ngl 8 -ts 1,1", [(14.10, 5), (181.43, 4)]),
    ("-ngl 99 -ts 1,1 -ot ffn_down=CUDA1", [(27.50, 11), (207.66, 10)]),
    ("-ngl 0 -ot ffn_(up|gate)=CUDA0", [(30.94, 0)]),
    ("-ngl 99 -ts 1,2,3 -ot ffn_down=CPU", [(11.02, 4), (16.48, 7), (192.11, 10)]),
    (r"-ngl 5 -ts 1,1 -ot blk\.[0-4]\.=CUDA2", [(11.05, 3), (173.81, 2), (18.29, 0)]),
]
"""Flags, and MiB of weights and of context on each device: "model buffer size", "KV buffer size" in the log
of a llama-server (b10434) with three devices (three of its own RPC servers, as much memory free on each)."""


def asked(line: str, facts: ModelFacts = GEMMA) -> tuple[Geometry, LoadOptions]:
    settings = settings_of(["llama-server", "-m", "/m.gguf", "-c", "2048", "-np", "1", *line.split()], dict)
    assert settings is not None
    options = options_of_settings(settings)
    assert options is not None
    return shaped(settings.orders, facts), options


@pytest.mark.parametrize(("line", "real"), REAL)
def test_it_is_as_llama_cpp_places_it(line: str, real: list[tuple[float, float]]) -> None:
    shape, options = asked(line)
    held = [dict(parts) for parts in parts_by_card(shape, options, EVEN)]
    found = [
        (round((parts.get(LAYERS, 0) + parts.get(OUTPUT, 0)) / MIB, 2), parts.get(CONTEXT, 0) / MIB)
        for parts in held
    ]
    assert found == [*real, *[(0, 0)] * (3 - len(real))]


@given(
    count=st.integers(1, 200),
    told=st.lists(st.integers(0, 40), min_size=1, max_size=8).filter(any),
)
def test_layers_are_shared_out_as_its_source_says(count: int, told: list[int]) -> None:
    """``std::upper_bound(splits, i / count)``: the first device whose sum of shares so far is more."""
    ends = [sum(told[: at + 1]) for at in range(len(told))]
    devices = [next(at for at, end in enumerate(ends) if end * count > i * ends[-1]) for i in range(count)]
    assert shared(count, told) == [devices.count(at) for at in range(len(told))]


@given(wanted=st.integers(0, BLOCKS + 1), shares=st.lists(st.integers(1, 9), min_size=1, max_size=4))
def test_nothing_is_lost_between_the_cards(wanted: int, shares: list[int]) -> None:
    shape = shaped(Orders(expert_layers=7))
    options = replace(OPTIONS, gpu_layers=wanted, gpu_shares=tuple(map(float, shares)))
    alone = parts_by_card(shape, replace(options, gpu_shares=()), [GIB])[0]
    several = parts_by_card(shape, options, [GIB] * len(shares))
    for name in (EXPERTS, DENSE, OUTPUT, CONTEXT):
        assert sum(dict(parts).get(name, 0) for parts in several) == dict(alone).get(name, 0)


def test_experts_in_ram_are_missing_on_the_card_that_has_the_first_layers() -> None:
    """``--n-cpu-moe 24 -ts 1,1``: the well-known trap."""
    first, second = parts_by_card(
        shaped(Orders(expert_layers=24)), replace(OPTIONS, gpu_shares=(1.0, 1.0)), [GIB] * 2
    )
    assert dict(first).get(EXPERTS, 0) * 10 < dict(second)[EXPERTS]
    assert dict(first)[DENSE] >= dict(second)[DENSE]


def test_rows_are_cut_by_the_shares_and_experts_are_not() -> None:
    shape, options = shaped(Orders()), replace(OPTIONS, gpu_shares=(3.0, 1.0))
    by_layer = [dict(parts) for parts in parts_by_card(shape, options, [GIB] * 2)]
    by_rows = [dict(parts) for parts in parts_by_card(shape, options, [GIB] * 2, by_rows=True)]
    assert by_rows[0][DENSE] == pytest.approx(3 * by_rows[1][DENSE])
    assert by_rows[0][OUTPUT] == pytest.approx(3 * by_rows[1][OUTPUT], abs=3)
    assert OUTPUT not in by_layer[0]
    for name in (EXPERTS, CONTEXT):
        assert [card[name] for card in by_rows] == [card[name] for card in by_layer]


def test_experts_pinned_to_cards_while_the_layers_are_in_ram() -> None:
    """The other way round: ``-ngl 0 -ot exps=CUDA1``."""
    shape = shaped(by_pattern("exps=CUDA1"))
    options = replace(OPTIONS, gpu_layers=0)
    first, second = parts_by_card(shape, options, [GIB] * 2)
    experts = sum(layer.expert_bytes for layer in shape.layers)
    assert first == ()
    assert dict(second) == {
        EXPERTS: experts,
        BUFFERS: memory.compute_bytes(shape, options) + memory.overhead_bytes(),
    }
    placed = place(shape, options, [64 * GIB] * 2)
    assert placed.vram_bytes_by_gpu == (0, sum(size for _, size in second))
    assert placed.layers_on_gpu == 0
    whole = place(shaped(Orders()), options, [64 * GIB] * 2)
    assert whole.ram_bytes - placed.ram_bytes == experts


def test_what_is_pinned_takes_the_room_of_its_card() -> None:
    shape = shaped(by_pattern("exps=CUDA0"))
    need = sum(one.bytes for one in shape.pinned)
    placed = place(shape, OPTIONS, [need + 2 * GIB, 24 * GIB])
    assert placed.fits
    assert placed.vram_bytes_by_gpu[0] >= need
    assert placed.vram_bytes_by_gpu[1] > 0
    assert memory.gpu_weights_bytes(shape) == memory.gpu_weights_bytes(shaped(Orders()))
    assert place(shape, OPTIONS, []).ram_bytes == place(shaped(Orders()), OPTIONS, []).ram_bytes


def test_an_output_can_be_pinned() -> None:
    dense_moe = shaped(by_pattern(r"^output\.weight=CUDA0"), MOE)
    first, second = parts_by_card(dense_moe, replace(OPTIONS, gpu_shares=(1.0, 1.0)), [GIB] * 2)
    assert dict(first)[OUTPUT] == dense_moe.output_bytes
    assert dict(second).get(OUTPUT, 0) == dense_moe.other_bytes


def test_a_draft_model_and_a_projector_have_their_places() -> None:
    shape = replace(shaped(Orders()), projector_bytes=800 * MIB)
    first, second = parts_by_card(
        shape, replace(OPTIONS, gpu_shares=(1.0, 1.0)), [GIB] * 2, draft_bytes=2 * MIB
    )
    assert (dict(first)["projector"], dict(second).get("projector")) == (800 * MIB, None)
    assert dict(first)["draft model"] == dict(second)["draft model"] == MIB
    assert dict(first)[BUFFERS] - dict(second)[BUFFERS] == memory.projector_compute_bytes(shape)


def test_what_is_pinned_is_read_on_its_card_and_the_rest_of_the_layer_in_ram() -> None:
    shape, options = shaped(by_pattern("exps=CUDA0")), replace(OPTIONS, gpu_layers=0)
    on_gpu, in_ram = traffic_of(shape, options, place(shape, options, [64 * GIB]), 0)
    plain = shaped(Orders())
    _, whole = traffic_of(plain, options, place(plain, options, [64 * GIB]), 0)
    experts = sum(layer.expert_bytes for layer in shape.layers) * 8 / 128
    assert on_gpu.weights_bytes == on_gpu.expert_bytes == pytest.approx(experts)
    assert on_gpu.weights_bytes + in_ram.weights_bytes == pytest.approx(whole.weights_bytes)
    assert in_ram.expert_bytes == pytest.approx(0)


@pytest.mark.parametrize(
    ("device", "count", "at"),
    [
        ("CUDA0", 2, 0),
        ("CUDA1", 2, 1),
        ("CUDA1", 1, 0),
        ("CUDA10", 12, 10),
        ("CUDA", 2, 0),
        ("CUDA9999", 4, 0),
    ],
)
def test_a_device_is_known_by_its_number(device: str, count: int, at: int) -> None:
    assert gpu_of(device, count) == at
