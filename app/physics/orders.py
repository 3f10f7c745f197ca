"""What of a model stays in RAM because its user has asked for it, by the names of its tensors.

llama.cpp turns ``--n-cpu-moe``, ``--cpu-moe`` and ``--n-cpu-ffn`` into patterns as ``--override-tensor`` has
them (common/common.h, common/arg.cpp); the first that is found in a tensor's name counts, and those of
``--override-tensor`` are asked first here. Only weights move: a cache stays with its layer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from gpumon.app.physics.geometry import Geometry, Layer, NoGeometry
from gpumon.collectors.samples import ModelFacts, Orders, TensorBytes

EXPERTS = re.compile(r"ffn_(up|down|gate|gate_up)_(ch|)exps")
"""``LLM_FFN_EXPS_REGEX``: shared experts are none."""
FFN = re.compile(r"ffn_(up|down|gate)\.")
UNNAMED_TENSORS = NoGeometry("which tensors its file holds is not known, and its settings place them by name")
UNREAD_PATTERN = NoGeometry("a pattern of --override-tensor is more than gpumon tries")

_REPEATED_GROUP = re.compile(r"\)(?:[*+]|\{[0-9]*,?[0-9]*\})")
"""``(a|b)*``: such may take for ever on a name that almost matches."""
_UNBOUNDED = re.compile(r"[*+]|\{[0-9]*,\}")
MOST_UNBOUNDED = 3
_BACK_REFERENCE = re.compile(r"\\[1-9]|\(\?(?!:)")
MOST_PATTERN_WORK = 100_000
"""Patterns times names that are tried for one model."""


class Rule(NamedTuple):
    """Tensors with such a name go there."""

    pattern: re.Pattern[str]
    device: str

    @property
    def is_ram(self) -> bool:
        """Whether the device is the host."""
        return self.device == "CPU" or self.device.startswith("CPU_") or self.device.endswith("_Host")


def keeps_weights(orders: Orders) -> bool:
    """Return whether any weights are told to stay in RAM, or may be."""
    counts = orders.expert_layers or orders.ffn_layers or orders.all_experts
    return bool(counts) or any(one.device.startswith("CPU") for one in orders.overrides)


def rules_of(orders: Orders) -> tuple[Rule, ...] | None:
    """Return the patterns of ``--override-tensor``; ``None`` where one of them is not tried."""
    found = []
    for one in orders.overrides:
        pattern = _compiled(one.pattern)
        if pattern is None:
            return None
        found.append(Rule(pattern, one.device))
    return tuple(found)


def _compiled(text: str) -> re.Pattern[str] | None:
    """Return a pattern that comes from outside, if it can be tried in a short time."""
    is_long = len(_UNBOUNDED.findall(text)) > MOST_UNBOUNDED
    if is_long or _REPEATED_GROUP.search(text) or _BACK_REFERENCE.search(text):
        return None
    try:
        return re.compile(text)
    except (re.error, RecursionError, OverflowError):
        return None


def ordered(geometry: Geometry, facts: ModelFacts, orders: Orders) -> Geometry | NoGeometry:
    """Return the geometry with what its user keeps in RAM, or why that is not known."""
    if not keeps_weights(orders):
        return geometry
    rules = rules_of(orders)
    if rules is None:
        return UNREAD_PATTERN
    tensors = facts.weights.tensors if facts.weights else ()
    if tensors:
        return _by_name(geometry, tensors, rules, orders)
    if rules or orders.ffn_layers:
        return UNNAMED_TENSORS
    count = len(geometry.layers) if orders.all_experts else orders.expert_layers or 0
    return replace(geometry, layers=tuple(_with_experts_kept(geometry.layers, count)))


def with_experts_kept(geometry: Geometry, count: int) -> Geometry:
    """Return the geometry with the routed experts of the first ``count`` layers in RAM, and nothing else."""
    bare = (replace(layer, kept_bytes=0, kept_expert_bytes=0) for layer in geometry.layers)
    return replace(geometry, layers=tuple(_with_experts_kept([*bare], count)), kept_output_bytes=0)


def _with_experts_kept(layers: Sequence[Layer], count: int) -> Iterator[Layer]:
    for index, layer in enumerate(layers):
        kept = layer.expert_bytes if index < count else 0
        yield replace(layer, kept_bytes=kept, kept_expert_bytes=kept) if kept else layer


def _by_name(
    geometry: Geometry, tensors: Sequence[TensorBytes], rules: tuple[Rule, ...], orders: Orders
) -> Geometry | NoGeometry:
    count = len(geometry.layers)
    if len(rules) * sum(len(one.block_bytes) or 1 for one in tensors) > MOST_PATTERN_WORK:
        return UNREAD_PATTERN
    kept, experts = [0] * count, [0] * count
    for tensor in tensors:
        is_expert = EXPERTS.match(tensor.name) is not None
        for block, size in enumerate(tensor.block_bytes[:count]):
            if size and _is_kept(tensor.name, block, rules, orders):
                kept[block] += size
                experts[block] += size if is_expert else 0
    layers = (
        replace(
            layer, kept_bytes=min(whole, layer.weights_bytes), kept_expert_bytes=min(part, layer.expert_bytes)
        )
        for layer, whole, part in zip(geometry.layers, kept, experts, strict=True)
    )
    return replace(geometry, layers=tuple(layers), kept_output_bytes=_kept_output(geometry, tensors, rules))


def _is_kept(name: str, block: int, rules: tuple[Rule, ...], orders: Orders) -> bool:
    rule = _rule(f"blk.{block}.{name}", rules)
    if rule is not None:
        return rule.is_ram
    if EXPERTS.match(name):
        return orders.all_experts or block < (orders.expert_layers or 0)
    return block < (orders.ffn_layers or 0) and FFN.match(name) is not None


def _rule(name: str, rules: tuple[Rule, ...]) -> Rule | None:
    return next((rule for rule in rules if rule.pattern.search(name)), None)


def _kept_output(geometry: Geometry, tensors: Sequence[TensorBytes], rules: tuple[Rule, ...]) -> int:
    """Return the bytes of the output matrix, where it is told to stay in RAM."""
    rule = _rule("output.weight", rules)
    if rule is None or not rule.is_ram:
        return 0
    sizes = (one.bytes for one in tensors if one.name == "output.weight")
    return min(next(sizes, 0), geometry.output_bytes or 0)
