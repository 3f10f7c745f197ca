"""Which model a file holds, by its tensors: the signs are those of ComfyUI's own detection."""

from __future__ import annotations

import pytest

from gpumon.app.physics.pictures.recognised import FileFacts, file_facts, gguf_facts
from gpumon.collectors.safetensors import FileTensor, Tensors

TYPE_BYTES = {"F32": 4, "F16": 2, "BF16": 2, "F8_E4M3": 1}


def tensor(*shape: int, kind: str = "F16") -> FileTensor:
    size = TYPE_BYTES[kind]
    for side in shape:
        size *= side
    return FileTensor(kind, shape, size)


FLUX: Tensors = {
    "double_blocks.0.img_attn.norm.key_norm.scale": tensor(128),
    "double_blocks.18.img_mod.lin.weight": tensor(18432, 3072),
    "single_blocks.37.modulation.lin.weight": tensor(9216, 3072),
    "img_in.weight": tensor(3072, 64),
    "txt_in.weight": tensor(3072, 4096),
}
GUIDANCE: Tensors = {"guidance_in.in_layer.weight": tensor(3072, 256)}
SDXL: Tensors = {
    "model.diffusion_model.input_blocks.0.0.weight": tensor(320, 4, 3, 3),
    "model.diffusion_model.label_emb.0.0.weight": tensor(1280, 2816),
    "model.diffusion_model.input_blocks.8.1.transformer_blocks.9.attn2.to_k.weight": tensor(1280, 2048),
    "conditioner.embedders.0.transformer.text_model.final_layer_norm.weight": tensor(768),
    "first_stage_model.decoder.conv_in.weight": tensor(512, 4, 3, 3),
}


def key(tensors: Tensors) -> str | None:
    found = file_facts(tensors).model
    return found.key if found else None


def behind(prefix: str, tensors: Tensors) -> Tensors:
    return {prefix + name: one for name, one in tensors.items()}


@pytest.mark.parametrize(
    ("tensors", "expected"),
    [
        (FLUX | GUIDANCE, "flux.1-dev"),
        (FLUX, "flux.1-schnell"),
        (behind("model.diffusion_model.", FLUX | GUIDANCE), "flux.1-dev"),
        (FLUX | {"distilled_guidance_layer.norms.0.scale": tensor(5120)}, "chroma"),
        (
            {
                "double_blocks.0.img_attn.norm.key_norm.weight": tensor(128),
                "double_stream_modulation_img.lin.weight": tensor(1, 1),
                "img_in.weight": tensor(6144, 128),
            },
            "flux.2-dev",
        ),
        (SDXL, "sdxl"),
        (
            {
                "model.diffusion_model.input_blocks.0.0.weight": tensor(320, 4, 3, 3),
                "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight": tensor(
                    320, 768
                ),
            },
            "sd1.5",
        ),
        (
            {
                "joint_blocks.0.context_block.attn.qkv.weight": tensor(1, 1),
                "x_embedder.proj.weight": tensor(2432, 16, 2, 2),
            },
            "sd3.5-large",
        ),
        (
            {
                "joint_blocks.0.context_block.attn.qkv.weight": tensor(1, 1),
                "joint_blocks.0.x_block.attn2.qkv.weight": tensor(1, 1),
                "x_embedder.proj.weight": tensor(1536, 16, 2, 2),
            },
            "sd3.5-medium",
        ),
        (
            {"txt_norm.weight": tensor(3584), "transformer_blocks.59.img_mod.1.weight": tensor(1)},
            "qwen-image",
        ),
        (
            {
                "cap_embedder.1.weight": tensor(3840, 2560),
                "noise_refiner.0.attention.k_norm.weight": tensor(128),
                "layers.29.attention.k_norm.weight": tensor(128),
            },
            "z-image-turbo",
        ),
        ({"head.modulation": tensor(1, 2, 5120), "blocks.0.ffn.0.weight": tensor(1, 1)}, "wan2.1-14b"),
        ({"head.modulation": tensor(1, 2, 1536), "blocks.0.ffn.0.weight": tensor(1, 1)}, "wan2.1-1.3b"),
        (
            {
                "caption_projection.0.linear.weight": tensor(1),
                "caption_projection.48.linear.weight": tensor(1),
            },
            "hidream-i1",
        ),
        (
            {
                "txt_in.individual_token_refiner.blocks.0.norm1.weight": tensor(1),
                "double_blocks.19.img_mod.linear.weight": tensor(1),
                "vector_in.in_layer.weight": tensor(1),
            },
            "hunyuan-video",
        ),
    ],
)
def test_a_model_is_known_by_its_tensors(tensors: Tensors, expected: str) -> None:
    assert key(tensors) == expected


@pytest.mark.parametrize(
    "tensors",
    [
        {"model.layers.0.self_attn.q_proj.weight": tensor(1)},  # a language model
        {name: one for name, one in FLUX.items() if "single_blocks" not in name},  # a smaller Flux
        FLUX | {"txt_in.weight": tensor(3072, 3584)},  # LongCat-Image: another text encoder
        {"double_blocks.0.img_attn.norm.key_norm.scale": tensor(128)},
        {"model.diffusion_model.input_blocks.0.0.weight": tensor(384, 4, 3, 3)},  # the refiner of SDXL
        {"head.modulation": tensor(1, 2, 999), "blocks.0.ffn.0.weight": tensor(1)},
        {"head.modulation": tensor(), "blocks.0.ffn.0.weight": tensor(1)},
        {"joint_blocks.0.context_block.attn.qkv.weight": tensor(1)},
    ],
)
def test_a_file_without_a_sure_sign_is_not_guessed_at(tensors: Tensors) -> None:
    found = file_facts(tensors)
    assert (found.kind, found.model) == ("unknown", None)
    assert found.bytes > 0


def test_a_lora_is_no_model() -> None:
    found = file_facts({"lora_unet_double_blocks_0.lora_up.weight": tensor(10, 10)} | FLUX)
    assert (found.kind, found.model) == ("lora", None)


def test_the_parts_of_a_checkpoint_are_counted_apart() -> None:
    found = file_facts(SDXL)
    assert found.encoder_bytes == 768 * 2
    assert found.vae_bytes == 512 * 4 * 9 * 2
    assert found.core_bytes == (320 * 4 * 9 + 1280 * 2816 + 1280 * 2048) * 2


def test_weights_in_fp32_are_loaded_in_half() -> None:
    wide = {name: tensor(*one.shape, kind="F32") for name, one in SDXL.items()}
    assert file_facts(wide).bytes == file_facts(SDXL).bytes
    assert file_facts(wide).label == "fp16"


def test_the_precision_is_that_of_most_bytes() -> None:
    mixed = {name: tensor(*one.shape, kind="F8_E4M3") for name, one in FLUX.items()}
    assert file_facts(mixed | GUIDANCE).label == "fp8"


class TestGguf:
    @pytest.mark.parametrize(
        ("architecture", "parameters", "expected"),
        [
            ("flux", 11_901_408_320, "flux.1-dev"),
            ("flux", 8_899_983_424, "chroma"),
            ("flux", 32_223_281_152, "flux.2-dev"),
            ("sd3", 8_146_000_000, "sd3.5-large"),
            ("wan", 1_418_996_800, "wan2.1-1.3b"),
            ("qwen_image", None, "qwen-image"),
        ],
    )
    def test_one_of_a_family_is_known_by_its_size(
        self, architecture: str, parameters: int | None, expected: str
    ) -> None:
        found = self.facts(architecture, parameters)
        assert found.model is not None
        assert found.model.key == expected

    @pytest.mark.parametrize(("architecture", "parameters"), [("flux", 5_000_000_000), ("wan", None)])
    def test_another_size_is_not_guessed_at(self, architecture: str, parameters: int | None) -> None:
        assert self.facts(architecture, parameters).kind == "unknown"

    def facts(self, architecture: str, parameters: int | None) -> FileFacts:
        return gguf_facts(architecture, parameters, 1000, "GGUF Q4_K_S")
