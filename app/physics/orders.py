"""What of a model stays in RAM because its user has asked for it, by the names of its tensors.

llama.cpp turns ``--n-cpu-moe``, ``--cpu-moe`` and ``--n-cpu-ffn`` into patterns as ``--override-tensor`` has
them (common/common.h, common/arg.cpp); the first that is found in a tensor's name counts, and those of
``--override-tensor`` are asked first here. Only weights move: a cache stays with its layer.
"""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from gpumon.app.physics.geometry import Geometry, Layer, NoGeometry, Pinned
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
RAM, OUTPUT = "CPU", -1
"""Where what is kept goes; and the place of the output matrix among the blocks."""
MOST_PATTERN_WORK = 100_000
"""Patterns times names that are tried for one model."""


class Rule(NamedTuple):
    """Tensors with such a name go there."""

    pattern: re.Pattern[str]
    device: str

    @property
    def is_ram(self) -> bool:
        """Whether the device is the host."""
        return _is_ram(self.device)


def keeps_weights(orders: Orders) -> bool:
    """Return whether any weights are told to stay in RAM, or may be."""
    counts = orders.expert_layers or orders.ffn_layers or orders.all_experts
    return bool(counts) or any(one.device.startswith("CPU") for one in orders.overrides)


def pins_weights(orders: Orders) -> bool:
    """Return whether any weights are told to be on a GPU of their own, or may be."""
    return any(not _is_ram(one.device) for one in orders.overrides)


def _is_ram(device: str) -> bool:
    return device == "CPU" or device.startswith("CPU_") or device.endswith("_Host")


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
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of "[[": on standard error that would tear the screen
            return re.compile(text)
    except (re.error, RecursionError, OverflowError):
        return None


def ordered(geometry: Geometry, facts: ModelFacts, orders: Orders) -> Geometry | NoGeometry:
    """Return the geometry with what its user keeps in RAM, or why that is not known."""
    if not keeps_weights(orders) and not orders.overrides:
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
    nothing = {"kept_bytes": 0, "kept_expert_bytes": 0, "pinned_bytes": 0, "pinned_expert_bytes": 0}
    bare = [replace(layer, **nothing) for layer in geometry.layers]
    return replace(geometry, layers=tuple(_with_experts_kept(bare, count)), kept_output_bytes=0, pinned=())


def _with_experts_kept(layers: Sequence[Layer], count: int) -> Iterator[Layer]:
    for index, layer in enumerate(layers):
        kept = layer.expert_bytes if index < count else 0
        yield replace(layer, kept_bytes=kept, kept_expert_bytes=kept) if kept else layer


class _Away:
    """What of the weights is where its layer is not: by where that is, then by block."""

    def __init__(self) -> None:
        self.whole: Counter[tuple[str, int]] = Counter()
        self.experts: Counter[tuple[str, int]] = Counter()

    def add(self, device: str, block: int, size: int, *, is_expert: bool) -> None:
        self.whole[device, block] += size
        self.experts[device, block] += size if is_expert else 0

    def of(self, layer: Layer, block: int) -> Layer:
        """Return the layer with what of it stays in RAM, and what has a GPU of its own."""
        gpus = {device for device, at in self.whole if at == block and device != RAM}
        kept = min(self.whole[RAM, block], layer.weights_bytes)
        kept_experts = min(self.experts[RAM, block], layer.expert_bytes)
        return replace(
            layer,
            kept_bytes=kept,
            kept_expert_bytes=kept_experts,
            pinned_bytes=min(sum(self.whole[gpu, block] for gpu in gpus), layer.weights_bytes - kept),
            pinned_expert_bytes=min(
                sum(self.experts[gpu, block] for gpu in gpus), layer.expert_bytes - kept_experts
            ),
        )

    def pinned(self) -> Iterator[Pinned]:
        """Yield the weights that have a GPU of their own."""
        for device in sorted({device for device, _ in self.whole} - {RAM}):
            blocks = [block for at, block in self.whole if at == device]
            yield Pinned(
                device,
                sum(self.whole[device, block] for block in blocks),
                sum(self.experts[device, block] for block in blocks),
                self.whole[device, OUTPUT],
            )


def _by_name(
    geometry: Geometry, tensors: Sequence[TensorBytes], rules: tuple[Rule, ...], orders: Orders
) -> Geometry | NoGeometry:
    count = len(geometry.layers)
    if len(rules) * sum(len(one.block_bytes) or 1 for one in tensors) > MOST_PATTERN_WORK:
        return UNREAD_PATTERN
    away = _Away()
    for tensor in tensors:
        is_expert = EXPERTS.match(tensor.name) is not None
        for block, size in enumerate(tensor.block_bytes[:count]):
            if size and (device := _told(tensor.name, block, rules, orders)):
                away.add(device, block, size, is_expert=is_expert)
    kept_output = _output(geometry, tensors, rules, away)
    layers = tuple(away.of(layer, block) for block, layer in enumerate(geometry.layers))
    return replace(geometry, layers=layers, kept_output_bytes=kept_output, pinned=tuple(away.pinned()))


def _told(name: str, block: int, rules: tuple[Rule, ...], orders: Orders) -> str | None:
    """Return where a tensor goes by its name; ``None`` where its layer goes."""
    rule = _rule(f"blk.{block}.{name}", rules)
    if rule is not None:
        return RAM if rule.is_ram else rule.device
    if EXPERTS.match(name):
        return RAM if orders.all_experts or block < (orders.expert_layers or 0) else None
    return RAM if block < (orders.ffn_layers or 0) and FFN.match(name) is not None else None


def _rule(name: str, rules: tuple[Rule, ...]) -> Rule | None:
    return next((rule for rule in rules if rule.pattern.search(name)), None)


def _output(geometry: Geometry, tensors: Sequence[TensorBytes], rules: tuple[Rule, ...], away: _Away) -> int:
    """Return the bytes of the output matrix that stay in RAM; note those that have a GPU of their own."""
    rule = _rule("output.weight", rules)
    if rule is None:
        return 0
    sizes = (one.bytes for one in tensors if one.name == "output.weight")
    size = min(next(sizes, 0), geometry.output_bytes or 0)
    if not rule.is_ram and size:
        away.add(rule.device, OUTPUT, size, is_expert=False)
    return size if rule.is_ram else 0
