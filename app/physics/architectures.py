"""Which architectures are known, how each attends, and how to read its keys.

llama.cpp: src/llama-arch.cpp, src/models (b10488); names are those of ``general.architecture``, keys as
GGUF spells them. What is missing here is unknown: no guess is made.
"""

from __future__ import annotations

from typing import NamedTuple, TypeGuard

from msgspec import Struct

from gpumon.collectors.samples import ModelFacts


class SlidingRule(NamedTuple):
    """Which layers of an architecture see the last tokens only, where the file has no list of its own."""

    period: int | None
    """One in so many layers attends to everything, none if 0; ``None`` where only the file can tell."""
    full_layer_first: bool = False
    """Whether that is the first of each period, else the last."""
    window_tokens: int | None = None
    """Where the file does not name one; ``None``: every layer attends to everything then."""
    is_window_fixed: bool = False
    """Whether ``window_tokens`` holds although the file names another."""
    layer_count: int | None = None
    """The only size of the architecture that slides."""


ALIASES: dict[str, str] = {
    "deepseekocr": "deepseek2-ocr",
    "glm4moelite": "deepseek2",
    "glmocr": "glm4",
    "gptoss": "gpt-oss",
    "nemotron_h_omni": "nemotron_h_moe",
    "olmo3": "olmo2",
    "qwen25vl": "qwen2vl",
}
"""Ollama's own names of files that it made before 0.30 (ollama: llama/compat)."""

FULL: frozenset[str] = frozenset(
    {"apertus", "arcee", "arctic", "baichuan", "bailingmoe", "bailingmoe2", "bitnet", "bloom"}
    | {"chameleon", "chatglm", "codeshell", "cogvlm", "command-r", "dbrx", "deci", "deepseek"}
    | {"deepseek2", "deepseek2-ocr", "dots1", "ernie4_5", "ernie4_5-moe", "exaone", "falcon", "gemma"}
    | {"glm4", "glm4moe", "gpt2", "gptj", "gptneox", "granite", "granitemoe", "grok", "grovemoe"}
    | {"hunyuan-dense", "hunyuan-moe", "hunyuan-vl", "hunyuan_vl", "internlm2", "jais", "jais2"}
    | {"llama", "maincoder", "minicpm", "minicpm3", "minimax-m2", "mistral3", "mistral4", "mpt"}
    | {"nemotron", "olmo", "olmoe", "openelm", "orion", "paddleocr", "pangu-embedded", "phi2", "phi3"}
    | {"phimoe", "plamo", "plm", "qwen", "qwen2", "qwen2moe", "qwen2vl", "qwen3", "qwen3moe"}
    | {"qwen3vl", "qwen3vlmoe", "refact", "seed_oss", "smollm3", "solar", "stablelm", "starcoder"}
    | {"starcoder2", "xverse"}
)
"""Every layer attends to every token. Phi-3's and Mistral's windows are not used by the runtime."""

SLIDING: dict[str, SlidingRule] = {
    "afmoe": SlidingRule(4),
    "cohere2": SlidingRule(4),
    "cohere2moe": SlidingRule(4, full_layer_first=True),
    "exaone-moe": SlidingRule(4, window_tokens=128),
    "exaone4": SlidingRule(4, window_tokens=4096, layer_count=64),
    "gemma2": SlidingRule(2, window_tokens=4096),
    "gemma3": SlidingRule(6),
    "gemma3n": SlidingRule(5),
    "gemma4": SlidingRule(None),
    "gpt-oss": SlidingRule(2),
    "laguna": SlidingRule(4, full_layer_first=True),
    "lfm2": SlidingRule(0),
    "lfm2moe": SlidingRule(0),
    "llama4": SlidingRule(4, window_tokens=8192, is_window_fixed=True),
    "mimo2": SlidingRule(None),
    "olmo2": SlidingRule(4),
    "plamo3": SlidingRule(None),
    "smallthinker": SlidingRule(4, full_layer_first=True),
    "step35": SlidingRule(None),
}

RECURRENT: frozenset[str] = frozenset({"arwkv7", "mamba", "mamba2", "rwkv6", "rwkv6qwen2", "rwkv7"})
"""No layer attends."""
HYBRID_BY_HEADS: frozenset[str] = frozenset(
    {"granitehybrid", "jamba", "kimi-linear", "lfm2", "lfm2moe", "nemotron_h", "nemotron_h_moe", "plamo2"}
)
"""Layers without KV heads are recurrent."""
HYBRID_BY_INTERVAL: frozenset[str] = frozenset({"qwen35", "qwen35moe", "qwen3next"})
"""One in ``full_attention_interval`` layers attends."""
HYBRID_BOTH: frozenset[str] = frozenset({"falcon-h1"})
"""Every layer has a cache and a state."""
DEFAULT_FULL_ATTENTION_INTERVAL = 4

STATELESS: frozenset[str] = frozenset(
    {"bert", "dream", "eurobert", "gemma-embedding", "jina-bert-v2", "jina-bert-v3", "llada"}
    | {"llada-moe", "llama-embed", "modern-bert", "neo-bert", "nomic-bert", "nomic-bert-moe", "rnd1"}
)
"""Embedding and diffusion models, for which the runtime makes no memory (``create_memory``)."""

DIFFUSION: frozenset[str] = frozenset({"dream", "llada", "llada-moe", "rnd1"})
"""Those of them that write, several tokens at a time."""

SHARED_CACHE_FROM_LAYER = {"gemma3n": 20}
"""Layers from here on read the cache of an earlier one."""

UNPREDICTABLE: dict[str, str] = {
    "deepseek32": "an index",
    "deepseek4": "an index",
    "glm-dsa": "an index",
    "minimax-m3": "an index",
    "mllama": "the keys of its images",
    "t5": "the keys of its encoder",
}
"""Known to keep more beside the cache than is known of it."""


def canonical(architecture: str) -> str:
    """Return the name that llama.cpp has for an architecture."""
    return ALIASES.get(architecture, architecture)


def is_known(architecture: str) -> bool:
    """Return whether the layers of an architecture can be described; the name is the canonical one."""
    hybrids = HYBRID_BY_HEADS | HYBRID_BY_INTERVAL | HYBRID_BOTH
    return architecture in FULL | RECURRENT | STATELESS | hybrids or architecture in SLIDING


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
