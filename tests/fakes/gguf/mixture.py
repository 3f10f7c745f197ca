"""A file with the shapes of a mixture of experts of 30 billion parameters: 16 GiB, the experts 15 of them."""

from __future__ import annotations

from tests.fakes.gguf.writer import FakeGguf

from gpumon.collectors.gguf.tensors import Tensor

BLOCKS, EXPERTS, WIDTH = 48, 128, 2048


def mixture(blocks: int = BLOCKS) -> FakeGguf:
    """Return 48 layers of 128 experts each, of which 8 are used."""
    a = "qwen3moe"
    block = [
        Tensor("attn_q.weight", "Q4_K", (WIDTH, 4096)),
        Tensor("attn_k.weight", "Q4_K", (WIDTH, 512)),
        Tensor("attn_v.weight", "Q6_K", (WIDTH, 512)),
        Tensor("attn_output.weight", "Q4_K", (4096, WIDTH)),
        Tensor("ffn_gate_inp.weight", "F32", (WIDTH, EXPERTS)),
        *(
            Tensor(f"ffn_{name}_exps.weight", "Q4_K", (WIDTH, 768, EXPERTS))
            for name in ("gate", "up", "down")
        ),
    ]
    tensors = [
        Tensor(f"blk.{index}.{one.name}", one.type_name, one.shape)
        for index in range(blocks)
        for one in block
    ]
    outside = [
        Tensor("token_embd.weight", "Q4_K", (WIDTH, 151936)),
        Tensor("output.weight", "Q6_K", (WIDTH, 151936)),
        Tensor("output_norm.weight", "F32", (WIDTH,)),
    ]
    return FakeGguf(
        {
            "general.architecture": a,
            "general.name": "Qwen3 30B A3B",
            f"{a}.block_count": blocks,
            f"{a}.context_length": 40960,
            f"{a}.embedding_length": WIDTH,
            f"{a}.attention.head_count": 32,
            f"{a}.attention.head_count_kv": 4,
            f"{a}.attention.key_length": 128,
            f"{a}.attention.value_length": 128,
            f"{a}.expert_count": EXPERTS,
            f"{a}.expert_used_count": 8,
        },
        [*tensors, *outside],
    )


def dense(blocks: int = 32, layer_width: int = 14336) -> FakeGguf:
    """Return the shapes of a dense model of 8 billion parameters: 4.6 GiB."""
    block = [
        Tensor("attn_q.weight", "Q4_K", (4096, 4096)),
        Tensor("attn_k.weight", "Q4_K", (4096, 1024)),
        Tensor("attn_v.weight", "Q6_K", (4096, 1024)),
        Tensor("attn_output.weight", "Q4_K", (4096, 4096)),
        *(Tensor(f"ffn_{name}.weight", "Q4_K", (4096, layer_width)) for name in ("gate", "up", "down")),
    ]
    tensors = [
        Tensor(f"blk.{index}.{one.name}", one.type_name, one.shape)
        for index in range(blocks)
        for one in block
    ]
    outside = [
        Tensor("token_embd.weight", "Q4_K", (4096, 128256)),
        Tensor("output.weight", "Q6_K", (4096, 128256)),
        Tensor("output_norm.weight", "F32", (4096,)),
    ]
    return FakeGguf(
        {
            "general.architecture": "llama",
            "general.name": "Llama 8B",
            "llama.block_count": blocks,
            "llama.context_length": 131072,
            "llama.embedding_length": 4096,
            "llama.attention.head_count": 32,
            "llama.attention.head_count_kv": 8,
            "llama.attention.key_length": 128,
            "llama.attention.value_length": 128,
        },
        [*tensors, *outside],
    )
