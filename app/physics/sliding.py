"""Which layers see only the last tokens."""

from __future__ import annotations

from gpumon.app.physics.architectures import SLIDING, SlidingRule
from gpumon.app.physics.geometry import NoGeometry
from gpumon.app.physics.gguf_keys import GgufKeys

_PATTERN = "attention.sliding_window_pattern"


def sliding_layers(keys: GgufKeys, architecture: str) -> tuple[int | None, ...] | NoGeometry:
    """Return each layer's window in tokens, ``None`` where it attends to everything."""
    rule = SLIDING.get(architecture)
    window = None if rule is None else _window(keys, rule)
    if rule is None or window is None:
        return (None,) * keys.layer_count
    slides = keys.flags(_PATTERN) or _by_period(rule, keys.size(_PATTERN) or rule.period, keys.layer_count)
    if slides is None:
        return NoGeometry(f"the file of this {architecture} model does not say which layers slide")
    return tuple(window if is_sliding else None for is_sliding in slides)


def _window(keys: GgufKeys, rule: SlidingRule) -> int | None:
    """Return the window; a file that names 0 has none, whatever its architecture."""
    if rule.layer_count not in {None, keys.layer_count}:
        return None
    named = keys.count("attention.sliding_window")
    if named is None or (named and rule.is_window_fixed):
        return rule.window_tokens
    return named or None


def _by_period(rule: SlidingRule, period: int | None, layer_count: int) -> tuple[bool, ...] | None:
    if not period:
        return None if period is None else (True,) * layer_count
    full = 0 if rule.full_layer_first else period - 1
    return tuple(layer % period != full for layer in range(layer_count))
