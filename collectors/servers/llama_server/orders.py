"""Where a user has told a llama-server to put a model: flags, and the variables that stand for them.

Spellings: llama.cpp ``common/arg.cpp``. Addresses of other hosts are not kept.
"""

from __future__ import annotations

import re

from msgspec.structs import replace

from gpumon.collectors.samples import NO_ORDERS, Orders, Override
from gpumon.collectors.servers.command_line import LIST_LIMIT, Flags, visible_devices

MIB = 1024**2
PATTERN_LENGTH = 512
"""A longer regular expression is none that a person has written."""

SPELLINGS = {
    "expert_layers": ("-ncmoe", "--n-cpu-moe"),
    "all_experts": ("-cmoe", "--cpu-moe"),
    "ffn_layers": ("-ncffn", "--n-cpu-ffn"),
    "overrides": ("-ot", "--override-tensor"),
    "devices": ("-dev", "--device"),
    "tensor_split": ("-ts", "--tensor-split"),
    "split_mode": ("-sm", "--split-mode"),
    "main_gpu": ("-mg", "--main-gpu"),
    "rpc": ("--rpc",),
    "fit": ("-fit", "--fit"),
    "fit_target": ("-fitt", "--fit-target"),
    "fit_context": ("-fitc", "--fit-ctx"),
    "cache_on_gpu": ("-kvo", "--kv-offload"),
    "cache_in_ram": ("-nkvo", "--no-kv-offload"),
    "projector_on_gpu": ("--mmproj-offload",),
    "projector_in_ram": ("--no-mmproj-offload",),
    "load_mode": ("-lm", "--load-mode"),
    "mmap": ("--mmap",),
    "no_mmap": ("--no-mmap", "-rtr", "--run-time-repack"),
    "mlock": ("--mlock",),
    "draft_layers": ("-ngld", "--gpu-layers-draft", "--n-gpu-layers-draft", "--spec-draft-ngl"),
    "draft_devices": ("-devd", "--device-draft", "--spec-draft-device"),
}
VARIABLES = {
    "LLAMA_ARG_N_CPU_MOE": "expert_layers",
    "LLAMA_ARG_CPU_MOE": "all_experts",
    "LLAMA_ARG_N_CPU_FFN": "ffn_layers",
    "LLAMA_ARG_OVERRIDE_TENSOR": "overrides",
    "LLAMA_ARG_DEVICE": "devices",
    "LLAMA_ARG_TENSOR_SPLIT": "tensor_split",
    "LLAMA_ARG_SPLIT_MODE": "split_mode",
    "LLAMA_ARG_MAIN_GPU": "main_gpu",
    "LLAMA_ARG_RPC": "rpc",
    "LLAMA_ARG_FIT": "fit",
    "LLAMA_ARG_FIT_TARGET": "fit_target",
    "LLAMA_ARG_FIT_CTX": "fit_context",
    "LLAMA_ARG_KV_OFFLOAD": "cache_on_gpu",
    "LLAMA_ARG_NO_KV_OFFLOAD": "cache_in_ram",
    "LLAMA_ARG_MMPROJ_OFFLOAD": "projector_on_gpu",
    "LLAMA_ARG_NO_MMPROJ_OFFLOAD": "projector_in_ram",
    "LLAMA_ARG_LOAD_MODE": "load_mode",
    "LLAMA_ARG_MMAP": "mmap",
    "LLAMA_ARG_NO_MMAP": "no_mmap",
    "LLAMA_ARG_MLOCK": "mlock",
    "LLAMA_ARG_N_GPU_LAYERS_DRAFT": "draft_layers",
    "LLAMA_ARG_SPEC_DRAFT_NGL": "draft_layers",
    "LLAMA_ARG_DEVICE_DRAFT": "draft_devices",
    "LLAMA_ARG_SPEC_DRAFT_DEVICE": "draft_devices",
}
CUDA_DEVICES = "CUDA_VISIBLE_DEVICES"
SWITCHES = frozenset(
    [
        "all_experts",
        "cache_on_gpu",
        "cache_in_ram",
        "projector_on_gpu",
        "projector_in_ram",
        "mmap",
        "no_mmap",
        "mlock",
    ]
)
REPEATED = frozenset({"overrides"})
"""Flags of which each one counts."""

_DEVICE = re.compile(r"[A-Za-z][A-Za-z_]{0,30}[0-9]{0,3}\Z", re.ASCII)
_OTHER_HOST = re.compile(r"RPC(?:[0-9]{0,3}\Z|\[)", re.ASCII)
_SHARE = re.compile(r"[0-9]{1,9}(\.[0-9]{0,6})?\Z", re.ASCII)
ALL_LAYERS = 9999
"""``-ngl all``: more than any model has."""
_REPORTED = (
    "expert_layers",
    "all_experts",
    "ffn_layers",
    "overrides",
    "devices",
    "fit_target",
    "gpu_layers",
)


def orders_of(flags: Flags, visible: str | None = None) -> Orders:
    """Return what is asked for; ``visible`` is ``CUDA_VISIBLE_DEVICES``."""
    devices = _devices(flags.text("devices"))
    found = Orders(
        expert_layers=flags.integer("expert_layers", 1),
        all_experts=bool(flags.switch("all_experts")),
        ffn_layers=flags.integer("ffn_layers", 1),
        overrides=_overrides(flags.text("overrides")),
        devices=devices,
        visible_devices=visible_devices(visible),
        tensor_split=shares(flags.text("tensor_split")),
        split_mode=_word(flags.text("split_mode"), {"none", "layer", "row", "tensor"}),
        main_gpu=flags.integer("main_gpu"),
        other_hosts=flags.text("rpc") is not None or "RPC" in devices,
        fit=flags.switch("fit"),
        fit_target_bytes=tuple(round(size) * MIB for size in shares(flags.text("fit_target"))),
        fit_context=flags.integer("fit_context", 1),
        cache_on_gpu=_told(flags, "cache_on_gpu", "cache_in_ram"),
        projector_on_gpu=_told(flags, "projector_on_gpu", "projector_in_ram"),
        load_mode=_load_mode(flags),
        draft_gpu_layers=layers_of(flags, "draft_layers"),
        draft_devices=_devices(flags.text("draft_devices")),
    )
    by_environment = tuple(name for name in _REPORTED if flags.is_default(name))
    return (
        NO_ORDERS
        if found == NO_ORDERS and not by_environment
        else replace(found, by_environment=by_environment)
    )


def layers_of(flags: Flags, meaning: str) -> int | None:
    """Return a number of layers on GPUs; ``None`` where the runtime chooses (``auto``)."""
    return ALL_LAYERS if flags.text(meaning) == "all" else flags.integer(meaning)


def shares(said: str | None) -> tuple[float, ...]:
    """Return the figures of ``3,1`` (also ``3/1``); none where one of them is no figure."""
    words = re.split(r"[,/]", said)[:LIST_LIMIT] if said else []
    return tuple(map(float, words)) if words and all(map(_SHARE.match, words)) else ()


def _overrides(said: str | None) -> tuple[Override, ...]:
    """Return the rules of ``PATTERN=DEVICE,…``; a device on another host keeps no address."""
    found = []
    for rule in (said or "").split(",")[:LIST_LIMIT]:
        pattern, equals, device = rule.partition("=")
        named = _device(device)
        if equals and pattern and len(pattern) <= PATTERN_LENGTH and named:
            found.append(Override(pattern=pattern, device=named))
    return tuple(found)


def _devices(said: str | None) -> tuple[str, ...]:
    words = (_device(word) for word in (said or "").split(",")[:LIST_LIMIT])
    return tuple(word for word in words if word)


def _device(word: str) -> str | None:
    word = word.strip()
    if _OTHER_HOST.match(word):
        return "RPC"
    return word if _DEVICE.match(word) else None


def _word(said: str | None, known: set[str]) -> str | None:
    return said if said in known else None


def _told(flags: Flags, on: str, off: str) -> bool | None:
    """Return a switch that has a flag for either way: a variable may say that either is off."""
    denied = flags.switch(off)
    return flags.switch(on) if denied is None else not denied


def _load_mode(flags: Flags) -> str | None:
    """Return how the file is read, from the newer flag or the older ones."""
    said = _word(flags.text("load_mode"), {"none", "mmap", "mlock", "mmap+mlock", "dio"})
    if said is not None:
        return said
    maps, locks = _told(flags, "mmap", "no_mmap"), flags.switch("mlock")
    if locks:
        return "mlock" if maps is False else "mmap+mlock"
    return None if maps is None else "mmap" if maps else "none"
