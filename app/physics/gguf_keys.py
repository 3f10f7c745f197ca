"""Reading the GGUF keys of one model: ``{architecture}.attention.head_count_kv`` and its like."""

from __future__ import annotations

from typing import TypeGuard

from msgspec import Struct

from gpumon.collectors.samples import ModelFacts

LARGEST = 2**32 - 1
"""What a key of GGUF holds: no model comes near."""


class GgufKeys(Struct, frozen=True):
    """The keys of one model, without the prefix that its architecture gives them."""

    facts: ModelFacts
    layer_count: int
    """Blocks that take part in every token: without those for multi-token prediction."""

    def count(self, key: str) -> int | None:
        """Return a whole number; ``None`` where there is none, or no sensible one."""
        value = self._value(key)
        return value if _is_count(value) else None

    def size(self, key: str) -> int | None:
        """Return a whole number above 0."""
        return self.count(key) or None

    def by_layer(self, key: str) -> tuple[int, ...] | None:
        """Return a number for every layer, from a list or from one number for all."""
        value = self._value(key)
        if _is_count(value):
            return (value,) * self.layer_count
        if not isinstance(value, tuple) or len(value) < self.layer_count:
            return None
        return value[: self.layer_count] if all(0 <= item <= LARGEST for item in value) else None

    def flags(self, key: str) -> tuple[bool, ...] | None:
        """Return a flag for every layer; ``None`` where the file has no list of them."""
        value = self._value(key)
        if not isinstance(value, tuple) or len(value) < self.layer_count:
            return None
        return tuple(bool(item) for item in value[: self.layer_count])

    def _value(self, key: str) -> object:
        return self.facts.geometry.get(f"{self.facts.architecture}.{key}")


def _is_count(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= LARGEST
