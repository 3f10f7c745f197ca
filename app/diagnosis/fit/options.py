"""How Ollama would load a model that no one gave options for."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from gpumon.app.physics.geometry import Geometry
from gpumon.app.physics.micro_batch import LEAST_MICRO_BATCH, automatic_micro_batch
from gpumon.app.physics.options import LoadOptions
from gpumon.collectors.samples import ModelFacts
from gpumon.collectors.servers.registry import DEFAULT


def default_options(facts: ModelFacts, vram_total_bytes: int) -> LoadOptions:
    """Return the Modelfile's parameters, Ollama's defaults where it has none.

    A context is cut to what the model was trained for.
    """
    context = _number(facts, "num_ctx") or DEFAULT.default_context(vram_total_bytes)
    return LoadOptions(
        context_length=min(context, facts.trained_context_length or context),
        micro_batch_size=_number(facts, "num_batch") or LEAST_MICRO_BATCH,
        gpu_layers=_number(facts, "num_gpu"),
    )


def with_automatic_batch(
    options: LoadOptions, facts: ModelFacts, geometry: Geometry, free_bytes_by_gpu: Sequence[int]
) -> LoadOptions:
    """Return the options with the micro-batch that Ollama takes, unless the Modelfile names one."""
    if _number(facts, "num_batch") is not None:
        return options
    return replace(options, micro_batch_size=automatic_micro_batch(geometry, options, free_bytes_by_gpu))


def _number(facts: ModelFacts, name: str) -> int | None:
    """Return a parameter; ``None`` where there is none, or it means "automatic" (-1)."""
    text = facts.parameters.get(name, "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else None
