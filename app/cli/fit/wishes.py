"""The flags of ``gpumon fit`` that say where a model should be: those of llama-server, by the same names."""

from __future__ import annotations

import re
from argparse import Namespace
from typing import TYPE_CHECKING

from gpumon.app.errors import GpumonError

if TYPE_CHECKING:
    from argparse import _ArgumentGroup

    from gpumon.app.diagnosis.fit.wishes import Wishes

MOST_LAYERS = 9999
"""What people write for all of them."""
MOST_CARDS = 128
_COUNT = re.compile(r"[0-9]{1,4}\Z", re.ASCII)
_SHARE = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,6})?\Z", re.ASCII)
_CARD = re.compile(r"(?:cuda)?([0-9]{1,3})\Z", re.ASCII | re.IGNORECASE)


def add_wishes(group: _ArgumentGroup) -> None:
    """Add the flags."""
    layers = "layers on GPUs, or all; as many as fit if not set"
    experts = "keep the experts of the first N layers in RAM"
    group.add_argument("--num-gpu", "-ngl", "--n-gpu-layers", metavar="N", help=layers)
    group.add_argument("--n-cpu-moe", "-ncmoe", metavar="N", help=experts)
    group.add_argument("--cpu-moe", "-cmoe", action="store_true", help="keep those of all layers there")
    group.add_argument("--tensor-split", "-ts", metavar="A,B", help="shares of the cards: 3,1")
    group.add_argument("--device", "-dev", metavar="CUDA1,…", help="cards to use, in this order")
    group.add_argument("--cache-type-k", "-ctk", metavar="TYPE", help="as --kv-cache-type, of K alone")
    group.add_argument("--cache-type-v", "-ctv", metavar="TYPE", help="the same of V")


def wishes_of(options: Namespace) -> Wishes:
    """Return the flags as values.

    Raises:
        GpumonError: one of them cannot be used.
    """
    from gpumon.app.cli.fit.asked import cache_type
    from gpumon.app.diagnosis.fit.wishes import Wishes

    return Wishes(
        gpu_layers=_layers(options.num_gpu),
        expert_layers=_count(options.n_cpu_moe, "--n-cpu-moe"),
        all_experts=options.cpu_moe,
        shares=_shares(options.tensor_split),
        devices=_devices(options.device),
        cache_type_k=cache_type(options.cache_type_k, "--cache-type-k"),
        cache_type_v=cache_type(options.cache_type_v, "--cache-type-v"),
    )


def _layers(text: str | None) -> int | None:
    return MOST_LAYERS if text is not None and text.lower() == "all" else _count(text, "--num-gpu")


def _count(text: str | None, flag: str) -> int | None:
    if text is None:
        return None
    if not _COUNT.match(text):
        raise GpumonError(f'{flag}: "{text}" is no whole number from 0 to {MOST_LAYERS}')
    return int(text)


def _shares(text: str | None) -> tuple[float, ...]:
    if text is None:
        return ()
    words = re.split(r"[,/]", text)
    if len(words) > MOST_CARDS or not all(map(_SHARE.match, words)) or not any(map(float, words)):
        raise GpumonError(f'--tensor-split: "{text}" are no shares; write them as 3,1')
    return tuple(map(float, words))


def _devices(text: str | None) -> tuple[int, ...]:
    if text is None:
        return ()
    found = [_CARD.match(word.strip()) for word in text.split(",")]
    numbers = [int(one[1]) for one in found if one]
    if len(numbers) < len(found) or len(set(numbers)) < len(numbers):
        raise GpumonError(f'--device: "{text}" names no cards; write them as CUDA1,CUDA0')
    return tuple(numbers)
