"""Where a llama-server was told to put a model: every spelling of it, flags and variables."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpumon.collectors.samples import NO_ORDERS, Orders, Override, RunnerSettings
from gpumon.collectors.servers.llama_server.command_line import settings_of
from gpumon.collectors.servers.llama_server.kind import LlamaServerKind


def settings_from(line: str, variables: Mapping[str, str] | None = None) -> RunnerSettings:
    found = settings_of(["llama-server", "-m", "/m.gguf", *line.split()], lambda: variables or {})
    assert found is not None
    return found


EXPERTS = r"blk\.(2[0-9]|3[0-9])\.ffn_.*_exps\."
ORDERS: list[tuple[str, int | None, Orders]] = [
    ("-ngl 99 --n-cpu-moe 25 -fa on", 99, Orders(expert_layers=25)),
    ("-ncmoe 3 --n-gpu-layers 99", 99, Orders(expert_layers=3)),
    ("-cmoe", None, Orders(all_experts=True)),
    ("-ngl all --n-cpu-ffn 12", 9999, Orders(ffn_layers=12)),
    (
        rf"-ngl 99 -ot {EXPERTS}=CPU,blk\..*=CUDA0 -ot output=CUDA1",
        99,
        Orders(
            overrides=(
                Override(pattern=EXPERTS, device="CPU"),
                Override(pattern=r"blk\..*", device="CUDA0"),
                Override(pattern="output", device="CUDA1"),
            )
        ),
    ),
    ("-ts 3,1 -sm row -mg 1", None, Orders(tensor_split=(3.0, 1.0), split_mode="row", main_gpu=1)),
    ("-ts 0,1", None, Orders(tensor_split=(0.0, 1.0))),
    ("--device CUDA1", None, Orders(devices=("CUDA1",))),
    ("-dev none", None, Orders(devices=("none",))),
    ("-ngl 20 --no-kv-offload", 20, Orders(cache_on_gpu=False)),
    (
        "-fit on -fitt 2048 -fitc 16384",
        None,
        Orders(fit=True, fit_target_bytes=(2 * 1024**3,), fit_context=16384),
    ),
    ("--fit off", None, Orders(fit=False)),
    ("--rpc 192.168.1.7:50052", None, Orders(other_hosts=True)),
    (
        "--device RPC[192.168.1.7:50052],CUDA0 --tensor-split 31,31",
        None,
        Orders(devices=("RPC", "CUDA0"), tensor_split=(31.0, 31.0), other_hosts=True),
    ),
    ("--mlock --no-mmap", None, Orders(load_mode="mlock")),
    ("--no-mmap", None, Orders(load_mode="none")),
    ("-md draft.gguf -ngld 99 -devd CUDA1", None, Orders(draft_gpu_layers=99, draft_devices=("CUDA1",))),
]


@pytest.mark.parametrize(("line", "layers", "orders"), ORDERS)
def test_where_a_model_is_told_to_be_is_read(line: str, layers: int | None, orders: Orders) -> None:
    settings = settings_from(line)
    assert (settings.gpu_layers, settings.orders) == (layers, orders)


@pytest.mark.parametrize(
    ("variables", "orders"),
    [
        ({"N_CPU_MOE": "30"}, Orders(expert_layers=30, by_environment=("expert_layers",))),
        ({"CPU_MOE": "1"}, Orders(all_experts=True, by_environment=("all_experts",))),
        ({"KV_OFFLOAD": "0"}, Orders(cache_on_gpu=False)),
        ({"NO_MMAP": "true", "MLOCK": "true"}, Orders(load_mode="mlock")),
        (
            {"FIT_TARGET": "4096,2048"},
            Orders(fit_target_bytes=(4 * 1024**3, 2 * 1024**3), by_environment=("fit_target",)),
        ),
        ({"RPC": "10.0.0.2:50052"}, Orders(other_hosts=True)),
    ],
)
def test_the_environment_tells_it_as_well(variables: dict[str, str], orders: Orders) -> None:
    named = {f"LLAMA_ARG_{name}": value for name, value in variables.items()}
    assert settings_from("", named).orders == orders


@pytest.mark.parametrize(
    ("value", "devices"),
    [("", ()), ("-1", ()), ("0,1", ("0", "1")), ("1,-1,0", ("1",)), ("GPU-ab12", ("GPU-ab12",))],
)
def test_cards_that_are_hidden_from_a_process_are_read(value: str, devices: tuple[str, ...]) -> None:
    settings = settings_from("", {"CUDA_VISIBLE_DEVICES": value})
    assert settings.orders == Orders(visible_devices=devices)


@given(
    st.lists(st.sampled_from(["-ot", "-ts", "--device", "-fitt", "-ncmoe", "-ngl"]) | st.text(), max_size=8)
)
def test_orders_that_make_no_sense_are_none(words: list[str]) -> None:
    found = settings_of(["llama-server", "-m", "/m.gguf", *words])
    assert found is None or all(one.pattern and one.device for one in found.orders.overrides)


def test_without_any_there_are_none() -> None:
    assert settings_from("-c 4096 -ngl 99").orders is NO_ORDERS


def test_the_flags_can_be_written_again() -> None:
    line = "--n-cpu-moe 25 --device CUDA1 --tensor-split 3,1 --fit-target 2048 --no-kv-offload"
    assert " ".join(LlamaServerKind().orders_words(settings_from(line).orders)) == line


def test_addresses_of_other_hosts_are_not_kept() -> None:
    line = "--rpc 192.168.1.7:50052 --device RPC[192.168.1.7:50052] -ot exps=RPC[192.168.1.7:50052]"
    assert b"192" not in msgspec.json.encode(settings_from(line))
