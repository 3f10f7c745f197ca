"""What an Ollama server says of its models."""

from __future__ import annotations

import msgspec

from gpumon.collectors.samples.base import Fact, Sample, SourceHealth


class ModelClaim(Fact, frozen=True, kw_only=True):
    """One row of Ollama's ``/api/ps``: what the server believes about a loaded model."""

    name: str
    digest: str | None = None
    """sha256 (hex) of the manifest, the model's identity on that server."""
    size_bytes: int | None = None
    size_vram_bytes: int | None = None
    context_length: int | None = None
    """Tokens per slot."""
    expires_at: float | None = None
    """Unix time; past while a long request runs, about 292 years ahead for "never"."""
    format: str | None = None
    family: str | None = None
    parameter_size: str | None = None
    quantization: str | None = None


class OllamaSample(Sample, frozen=True, kw_only=True, tag="ollama"):
    """One poll of ``/api/ps``."""

    health: SourceHealth
    version: str | None = None
    models: tuple[ModelClaim, ...] | None = None
    """``None`` when the list could not be had; empty when no model is loaded."""
    rejected_rows: int = 0
    """Rows left out because they could not be understood."""
    clock_offset_seconds: float | None = None
    """Server's clock minus ours, from the HTTP ``Date`` header (one-second resolution)."""


class OllamaModelFacts(Sample, frozen=True, kw_only=True, tag="ollama_show"):
    """``/api/show`` of one model, asked once per digest."""

    name: str
    digest: str
    architecture: str | None = None
    blobs: tuple[str, ...] = ()
    """``sha256-<hex>`` of the weights (first) and projectors, from the ``FROM`` lines."""
    capabilities: tuple[str, ...] = ()
    trained_context_length: int | None = None
    layer_count: int | None = None
    embedding_length: int | None = None
    parameter_count: int | None = None
    geometry: dict[str, int | float | str | bool | tuple[int | bool, ...]] = msgspec.field(
        default_factory=dict
    )
    """Other scalar and short list values of ``model_info``, keys as GGUF spells them."""


class InstalledModel(Fact, frozen=True, kw_only=True):
    """One row of ``/api/tags``."""

    name: str
    digest: str | None = None
    size_bytes: int | None = None
    remote: bool = False
    """Served by a cloud host, never loaded here."""


class OllamaInstalled(Sample, frozen=True, kw_only=True, tag="ollama_tags"):
    """``/api/tags``: what is installed."""

    models: tuple[InstalledModel, ...] = ()
