"""The language models of the scenarios: file sizes and geometry as published."""

from __future__ import annotations

from typing import NamedTuple

from gpumon.app.demo.noise import hexadecimal


class Llm(NamedTuple):
    """A model as a runtime's library has it."""

    name: str
    family: str
    parameter_size: str
    file_bytes: int
    layers: int
    kv_heads: int
    head_dim: int
    embedding: int
    vocabulary: int
    trained_context: int
    quantization: str = "Q4_K_M"

    @property
    def digest(self) -> str:
        """Sha256 of the manifest, the model's identity."""
        return hexadecimal(f"manifest {self.name}", 64)

    @property
    def blob(self) -> str:
        """Name of the weights' blob."""
        return f"sha256-{hexadecimal(f'weights {self.name}', 64)}"

    @property
    def embedding_bytes(self) -> int:
        """Token embedding, which stays in RAM: about 4.5 bits a weight."""
        return int(self.vocabulary * self.embedding * 4.5 / 8)

    @property
    def output_bytes(self) -> int:
        """Output matrix, mostly Q6_K: 6.56 bits a weight."""
        return int(self.vocabulary * self.embedding * 6.5625 / 8)

    def kv_bytes(self, context: int) -> int:
        """Return the f16 KV cache of ``context`` tokens: K and V, 2 bytes an element."""
        return context * self.layers * self.kv_heads * self.head_dim * 2 * 2


_LIBRARY = (
    Llm("llama3.2:3b", "llama", "3.2B", 2_019_377_376, 28, 8, 128, 3072, 128256, 131072),
    Llm("llama3.1:8b", "llama", "8.0B", 4_920_738_944, 32, 8, 128, 4096, 128256, 131072),
    Llm("llama3.3:70b", "llama", "70.6B", 42_520_398_816, 80, 8, 128, 8192, 128256, 131072),
    Llm("qwen3:1.7b", "qwen3", "2.0B", 1_359_280_896, 28, 8, 128, 2048, 151936, 40960),
    Llm("qwen3:4b", "qwen3", "4.0B", 2_497_280_960, 36, 8, 128, 2560, 151936, 262144),
    Llm("qwen3:8b", "qwen3", "8.2B", 5_225_374_784, 36, 8, 128, 4096, 151936, 40960),
    Llm("qwen3:14b", "qwen3", "14.8B", 9_276_184_832, 40, 8, 128, 5120, 151936, 40960),
    Llm("qwen3:32b", "qwen3", "32.8B", 20_201_240_832, 64, 8, 128, 5120, 151936, 40960),
    Llm("qwen2.5-coder:7b", "qwen2", "7.6B", 4_683_074_048, 28, 4, 128, 3584, 152064, 32768),
    Llm("qwen2.5-coder:14b", "qwen2", "14.8B", 8_988_110_976, 48, 8, 128, 5120, 152064, 32768),
    Llm("qwen2.5-coder:32b", "qwen2", "32.8B", 19_851_336_256, 64, 8, 128, 5120, 152064, 32768),
    Llm("qwen2.5:72b", "qwen2", "72.7B", 47_415_715_104, 80, 8, 128, 8192, 152064, 32768),
    Llm("mistral:7b", "llama", "7.2B", 4_372_812_000, 32, 8, 128, 4096, 32768, 32768),
    Llm("mistral-small:24b", "llama", "23.6B", 14_333_908_832, 40, 8, 128, 5120, 131072, 32768),
    Llm("phi4:14b", "phi3", "14.7B", 9_053_114_016, 40, 10, 128, 5120, 100352, 16384),
    Llm("deepseek-r1:8b", "qwen3", "8.2B", 5_225_373_760, 36, 8, 128, 4096, 151936, 131072),
    Llm("deepseek-r1:14b", "qwen2", "14.8B", 8_988_110_688, 48, 8, 128, 5120, 152064, 131072),
    Llm("deepseek-r1:70b", "llama", "70.6B", 42_520_395_584, 80, 8, 128, 8192, 128256, 131072),
    Llm("granite3.3:8b", "granite", "8.2B", 4_942_856_128, 40, 8, 128, 4096, 49159, 131072),
    Llm("codestral:22b", "llama", "22.2B", 12_569_170_240, 56, 8, 128, 6144, 32768, 32768, "Q4_0"),
)

LIBRARY: dict[str, Llm] = {llm.name: llm for llm in _LIBRARY}
"""The models by name."""
