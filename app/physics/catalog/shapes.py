"""Models that nobody has described, by their size (``70b``, ``30b-a3b``): an estimate between known ones."""

from __future__ import annotations

import math
import re
from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import NamedTuple

from gpumon.app.physics.catalog.entries import Entry, catalog

DENSE = (
    "smollm2:135m",
    "qwen2.5:0.5b",
    "llama3.2:1b",
    "llama3.2:3b",
    "llama3.1:8b",
    "qwen3:14b",
    "mistral-small:24b",
    "qwen3:32b",
    "llama3.3:70b",
    "mistral-large:123b",
    "llama3.1:405b",
)
SPARSE = ("qwen3:30b", "gpt-oss:120b", "qwen3:235b", "qwen3-coder:480b", "deepseek-v3:671b", "kimi-k2:1t")
"""By parameters, the fewest first."""
LEAST, MOST = 10_000_000, 5_000_000_000_000
_SCALE = {"m": 10**6, "b": 10**9, "t": 10**12}
_SIZE = re.compile(r"([0-9]{1,5}(?:\.[0-9]{1,3})?)\s?([mbt])(?:[-_ ]?a([0-9]{1,4}(?:\.[0-9]{1,3})?)b)?")
_HEAD, _KV_HEADS, _EXPERTS, _USED = 128, 8, 128, 8
_STEP, _EXPERT_STEP = 256, 64
_TIED_BELOW = 5 * 10**9
_CONTEXT = 131_072
_MOST_VOCABULARY = 262_144


class Size(NamedTuple):
    """Parameters, and of a model with experts those that compute a token."""

    parameters: int
    active: int | None = None


def size_named(text: str) -> Size | None:
    """Return the size that is all of a name: ``70b``, ``1.7B``, ``30b-a3b``; ``None`` for any other name."""
    found = _SIZE.fullmatch(text.strip().lower())
    if found is None:
        return None
    parameters = round(float(found[1]) * _SCALE[found[2]])
    active = round(float(found[3]) * _SCALE["b"]) if found[3] else None
    is_sensible = LEAST <= parameters <= MOST and (active is None or LEAST <= active < parameters)
    return Size(parameters, active) if is_sensible else None


def shape_of_size(size: Size, name: str) -> Entry:
    """Return a model of that size, of a shape between those of its neighbours."""
    layers, width, vocabulary = _between(DENSE if size.active is None else SPARSE, size.parameters)
    is_tied = size.parameters < _TIED_BELOW
    heads = max(1, width // _HEAD)
    kv = min(_KV_HEADS, heads) if size.active is None else max(1, _KV_HEADS // 2)
    keys: dict[str, int | list[int | bool]] = {
        "attention.head_count": heads,
        "attention.head_count_kv": kv,
        "attention.key_length": _HEAD,
        "attention.value_length": _HEAD,
    }
    attention = width * _HEAD * 2 * (heads + kv)
    fixed = (1 if is_tied else 2) * vocabulary * width + layers * attention
    fed = _dense(size, fixed, layers, width) if size.active is None else _sparse(size, fixed, layers, width)
    return Entry(
        name=name,
        hub="",
        date="",
        parameters=size.parameters,
        architecture="llama",
        layers=layers,
        width=width,
        vocabulary=vocabulary,
        context=_CONTEXT,
        quant="Q4_K_M",
        keys=keys | fed,
        read_in="",
        tied=is_tied,
    )


def catalog_named(name: str) -> Entry:
    """Return the model that has this name in the catalogue."""
    return next(entry for entry in catalog() if entry.name == name)


def _dense(size: Size, fixed: int, layers: int, width: int) -> dict[str, int | list[int | bool]]:
    return {"feed_forward_length": _stepped((size.parameters - fixed) / (3 * width * layers), _STEP)}


def _sparse(size: Size, fixed: int, layers: int, width: int) -> dict[str, int | list[int | bool]]:
    """Return experts of a length that gives both numbers, and a shared one with what is left."""
    each = (size.parameters - (size.active or 0)) / (_EXPERTS - _USED)
    left = (size.active or 0) - _USED * each - fixed
    shared = max(0, round(left / (3 * width * layers) / _EXPERT_STEP) * _EXPERT_STEP)
    return {
        "expert_count": _EXPERTS,
        "expert_used_count": _USED,
        "expert_feed_forward_length": _stepped(each / (3 * width * layers), _EXPERT_STEP),
        "expert_shared_feed_forward_length": shared,
    }


def _stepped(value: float, step: int) -> int:
    return max(step, round(value / step) * step)


def _between(names: Sequence[str], parameters: int) -> tuple[int, int, int]:
    """Return layers, width and vocabulary, between the two neighbours by the logarithm of the size."""
    known = [catalog_named(name) for name in names]
    after = min(max(1, bisect_left([one.parameters for one in known], parameters)), len(known) - 1)
    low, high = known[after - 1], known[after]
    share = (math.log(parameters) - math.log(low.parameters)) / (
        math.log(high.parameters) - math.log(low.parameters)
    )

    def mean(get: Callable[[Entry], int]) -> float:
        return math.exp(math.log(get(low)) + share * (math.log(get(high)) - math.log(get(low))))

    layers = max(4, min(160, round(mean(lambda one: one.layers))))
    vocabulary = _stepped(mean(lambda one: one.vocabulary), _STEP)
    return layers, _stepped(mean(lambda one: one.width), _STEP), min(vocabulary, _MOST_VOCABULARY)
