"""Which model a file holds, by the names and shapes of its tensors, and what its parts weigh.

The signs are those by which ComfyUI tells models apart (comfy/model_detection.py, 2026). A file without a
sure sign is not guessed at: its weights are counted, no more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from gpumon.app.physics.pictures.models import MODELS, PictureModel
from gpumon.collectors.safetensors import FileTensor

Kind = Literal["model", "lora", "unknown"]

_CORE_PREFIXES = ("model.diffusion_model.", "model.model.", "diffusion_model.", "net.")
_ENCODER_PREFIXES = ("cond_stage_model.", "conditioner.", "text_encoders.")
_VAE_PREFIXES = ("first_stage_model.", "vae.")
_LORA = ("lora_A", "lora_B", "lora_up", "lora_down", "lora.up", "lora.down", "hada_w1", "lokr_w1")
_WIDE = frozenset({"F32", "F64"})
"""What ComfyUI loads in 16 bits all the same."""
_LABELS = {
    "F8_E4M3": "fp8",
    "F8_E5M2": "fp8",
    "BF16": "bf16",
    "F16": "fp16",
    "F32": "fp16",
    "F64": "fp16",
    "I8": "int8",
    "U8": "4 bits",
    "F4": "4 bits",
}

GGUF_FAMILIES: Mapping[str, tuple[str, ...]] = {
    "flux": ("flux.1-dev", "flux.1-schnell", "chroma", "flux.2-dev", "flux.2-klein-4b", "flux.2-klein-9b"),
    "flux2": ("flux.2-dev", "flux.2-klein-4b", "flux.2-klein-9b"),
    "chroma": ("chroma",),
    "sd1": ("sd1.5",),
    "sdxl": ("sdxl",),
    "sd3": ("sd3-medium", "sd3.5-medium", "sd3.5-large"),
    "qwen_image": ("qwen-image",),
    "lumina2": ("z-image-turbo",),
    "hidream": ("hidream-i1",),
    "wan": ("wan2.1-1.3b", "wan2.1-14b", "wan2.2-5b"),
    "hyvid": ("hunyuan-video",),
}
"""What ``general.architecture`` says in files of pictures (city96/ComfyUI-GGUF, tools/convert.py)."""
_SAME_SHARE = 0.03
"""Parameters differ by less where it is the same shape."""

_BY_KEY = {model.key: model for model in MODELS}


class FileFacts(Struct, frozen=True):
    """What a file of weights holds; bytes as they are loaded."""

    kind: Kind
    model: PictureModel | None
    core_bytes: int
    encoder_bytes: int
    vae_bytes: int
    label: str
    """Its precision, as most of its bytes are."""

    @property
    def bytes(self) -> int:
        """All that it holds."""
        return self.core_bytes + self.encoder_bytes + self.vae_bytes


def file_facts(tensors: Mapping[str, FileTensor]) -> FileFacts:
    """Return what a safetensors file holds."""
    sizes: Counter[str] = Counter()
    types: Counter[str] = Counter()
    for name, tensor in tensors.items():
        part = _part_of(name)
        size = tensor.numbers * 2 if tensor.type_name in _WIDE else tensor.bytes
        sizes[part] += size
        if part == "core":
            types[tensor.type_name] += size
    is_lora = any(sign in name for name in tensors for sign in _LORA)
    model = None if is_lora else _model_of(tensors)
    most = types.most_common(1)
    label = _LABELS.get(most[0][0], most[0][0].lower()) if most else ""
    kind: Kind = "lora" if is_lora else "model" if model else "unknown"
    return FileFacts(kind, model, sizes["core"], sizes["encoders"], sizes["vae"], label)


def gguf_facts(architecture: str, parameters: int | None, size_bytes: int, label: str) -> FileFacts:
    """Return what a GGUF file of one of ``GGUF_FAMILIES`` holds: the UNet or transformer alone."""
    family = [_BY_KEY[key] for key in GGUF_FAMILIES[architecture]]
    alike = [one for one in family if parameters is None or _is_like(one, parameters)]
    sure = parameters is not None or len(family) == 1
    model = alike[0] if alike and sure else None
    return FileFacts("model" if model else "unknown", model, size_bytes, 0, 0, label)


def _is_like(model: PictureModel, parameters: int) -> bool:
    return abs(parameters - model.core.parameters) <= _SAME_SHARE * model.core.parameters


def _part_of(name: str) -> str:
    if name.startswith(_ENCODER_PREFIXES):
        return "encoders"
    return "vae" if name.startswith(_VAE_PREFIXES) else "core"


def _model_of(tensors: Mapping[str, FileTensor]) -> PictureModel | None:
    for prefix in (*_CORE_PREFIXES, ""):
        key = _key_of(_Names(tensors, prefix))
        if key is not None:
            return _BY_KEY[key]
    return None


class _Names:
    """The tensors behind a prefix."""

    def __init__(self, tensors: Mapping[str, FileTensor], prefix: str) -> None:
        self._tensors, self._prefix = tensors, prefix

    def has(self, *names: str) -> bool:
        """Return whether all of them are there."""
        return all(self._prefix + name in self._tensors for name in names)

    def size(self, name: str, axis: int) -> int | None:
        """Return a side of a tensor; ``None``: it is not there, or has no such side."""
        tensor = self._tensors.get(self._prefix + name)
        if tensor is None or not -len(tensor.shape) <= axis < len(tensor.shape):
            return None
        return tensor.shape[axis]


def _key_of(names: _Names) -> str | None:
    found = (sign(names) for sign in (_sd3, _flux, _hunyuan, _z_image, _wan, _qwen, _hidream, _unet))
    return next((key for key in found if key is not None), None)


def _sd3(names: _Names) -> str | None:
    if not names.has("joint_blocks.0.context_block.attn.qkv.weight"):
        return None
    depth = (names.size("x_embedder.proj.weight", 0) or 0) // 64
    if depth == 24:
        return "sd3.5-medium" if names.has("joint_blocks.0.x_block.attn2.qkv.weight") else "sd3-medium"
    return "sd3.5-large" if depth == 38 else None


def _flux(names: _Names) -> str | None:
    norm = "double_blocks.0.img_attn.norm.key_norm."
    if not (names.has(f"{norm}scale") or names.has(f"{norm}weight")):
        return None
    if names.has("double_stream_modulation_img.lin.weight"):
        widths = {6144: "flux.2-dev", 3072: "flux.2-klein-4b", 4096: "flux.2-klein-9b"}
        return widths.get(names.size("img_in.weight", 0) or 0)
    approximator = "distilled_guidance_layer.norms.0."
    if names.has(f"{approximator}scale") or names.has(f"{approximator}weight"):
        return "chroma" if names.has("img_in.weight") else None
    is_whole = names.has("double_blocks.18.img_mod.lin.weight", "single_blocks.37.modulation.lin.weight")
    if not is_whole or names.size("txt_in.weight", -1) != 4096:
        return None
    return "flux.1-dev" if names.has("guidance_in.in_layer.weight") else "flux.1-schnell"


def _hunyuan(names: _Names) -> str | None:
    sign = "txt_in.individual_token_refiner.blocks.0.norm1.weight"
    is_it = names.has(
        sign, "double_blocks.19.img_mod.linear.weight", "vector_in.in_layer.weight"
    ) or names.has(sign, "double_blocks.19.img_mod.lin.weight", "vector_in.in_layer.weight")
    return "hunyuan-video" if is_it else None


def _z_image(names: _Names) -> str | None:
    is_it = names.has("noise_refiner.0.attention.k_norm.weight", "layers.29.attention.k_norm.weight")
    return "z-image-turbo" if is_it and names.size("cap_embedder.1.weight", 0) == 3840 else None


def _wan(names: _Names) -> str | None:
    widths = {1536: "wan2.1-1.3b", 5120: "wan2.1-14b", 3072: "wan2.2-5b"}
    return widths.get(names.size("head.modulation", -1) or 0) if names.has("blocks.0.ffn.0.weight") else None


def _qwen(names: _Names) -> str | None:
    return "qwen-image" if names.has("txt_norm.weight", "transformer_blocks.59.img_mod.1.weight") else None


def _hidream(names: _Names) -> str | None:
    is_it = names.has("caption_projection.0.linear.weight", "caption_projection.48.linear.weight")
    return "hidream-i1" if is_it else None


def _unet(names: _Names) -> str | None:
    if not names.has("input_blocks.0.0.weight") or names.size("input_blocks.0.0.weight", 0) != 320:
        return None
    if names.size("label_emb.0.0.weight", -1) == 2816:
        deep = "input_blocks.8.1.transformer_blocks.9.attn2.to_k.weight"
        return "sdxl" if names.size(deep, -1) == 2048 else None
    first = "input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"
    is_first = names.size(first, -1) == 768 and not names.has("label_emb.0.0.weight")
    return "sd1.5" if is_first else None
