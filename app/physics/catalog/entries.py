"""The catalogue: ``models.json``, one line for each model, and what a file of it would hold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from gpumon.app.physics.architectures import GgufKeys
from gpumon.app.physics.catalog.quants import ATTENTION, MIXES, VALUES, Model, typed
from gpumon.app.physics.catalog.tensors import Matrix, Plan
from gpumon.collectors.gguf.tensors import Tensor, summarize
from gpumon.collectors.samples import ModelFacts

PATH = Path(__file__).with_name("models.json")
HUB = "https://huggingface.co"
_LAYERS_OF_70B = 80
_FEW_HEADS_LIKE_70B = frozenset({"llama", "qwen2"})
Own = Literal["values_f16", "attention_f16", "output"]


class Entry(Struct, frozen=True, forbid_unknown_fields=True):
    """One model. Keys are those of a GGUF file, without the prefix that the architecture gives them."""

    name: str
    """As Ollama's library has it, else in the same manner: ``qwen3:8b``."""
    hub: str
    """Owner and name on Hugging Face, where its configuration is published."""
    date: str
    """Year and month in which it was published."""
    parameters: int
    """As published with it."""
    architecture: str
    layers: int
    """Blocks in the file: those for multi-token prediction that it holds are among them."""
    width: int
    vocabulary: int
    context: int
    """Tokens it was trained for."""
    quant: str
    """What Ollama gives where no tag says otherwise."""
    keys: dict[str, int | list[int | bool]]
    read_in: str
    """Where the figures were read: docs/fit.md names these places."""
    names: tuple[str, ...] = ()
    """Others of Ollama's; one without a tag means ``latest``."""
    tied: bool = False
    """Whether the embedding serves as output matrix too."""
    own: tuple[Own, ...] = ()
    """What Ollama leaves unquantised in its own files, by their listed sizes."""
    ollama: bool = True
    """Whether Ollama's library has it as a file."""
    projector: int = 0
    """Parameters of a vision or audio encoder."""
    elsewhere: int = 0
    """Parameters that are published with it and in no file: drafts, a tied output stored twice."""

    @property
    def source(self) -> str:
        """Where its configuration is published."""
        return f"{HUB}/{self.hub}/blob/main/config.json"

    @property
    def is_moe(self) -> bool:
        """Whether it has experts."""
        return bool(self.keys.get("expert_count"))


@lru_cache(maxsize=1)
def catalog() -> tuple[Entry, ...]:
    """Return every model."""
    return msgspec.json.decode(PATH.read_bytes(), type=tuple[Entry, ...])


def matrices(entry: Entry, *, is_tied: bool | None = None) -> list[Matrix]:
    """Return the tensors of its file."""
    facts = bare_facts(entry)
    tied = entry.tied if is_tied is None else is_tied
    plan = Plan(_keys(entry, facts), entry.architecture, entry.vocabulary, is_tied=tied)
    return list(plan.tensors())


def parameter_count(entry: Entry) -> int:
    """Return how many parameters its shape has, with what is published beside the file's."""
    return sum(one.elements for one in matrices(entry)) + entry.projector + entry.elsewhere


def bare_facts(entry: Entry) -> ModelFacts:
    """Return what its configuration says, without weights."""
    prefix = entry.architecture
    return ModelFacts(
        time=0.0,
        source="catalog",
        name=entry.name,
        digest="",
        architecture=prefix,
        trained_context_length=entry.context,
        layer_count=entry.layers,
        embedding_length=entry.width,
        parameter_count=entry.parameters,
        geometry={f"{prefix}.{key}": _value(value) for key, value in entry.keys.items()},
    )


def facts_of(entry: Entry, quant: str, *, is_ollamas: bool) -> ModelFacts:
    """Return what a file in a quantisation would hold; one of Ollama's has what Ollama leaves as it is."""
    own = entry.own if is_ollamas and quant == entry.quant else ()
    is_tied = entry.tied and "output" not in own
    whole = matrices(entry, is_tied=is_tied)
    kinds = typed(whole, MIXES[quant], _model(entry, whole, own, is_tied=is_tied, is_ollamas=is_ollamas))
    weights = summarize([*_as_published(kinds, entry), *_projector(entry)])
    return msgspec.structs.replace(bare_facts(entry), weights=weights)


def _as_published(kinds: Iterable[Tensor], entry: Entry) -> Iterator[Tensor]:
    """Yield the tensors with what every file of a model keeps: gpt-oss its experts in MXFP4.

    They were trained in it, and 2880 columns fill no block of a K-quant.
    """
    keeps = "MXFP4" if entry.architecture == "gpt-oss" else None
    for one in kinds:
        yield Tensor(one.name, keeps, one.shape) if keeps and "_exps.weight" in one.name else one


def _projector(entry: Entry) -> Iterator[Tensor]:
    """Yield the encoder as one: it stays in 16 bits."""
    if entry.projector:
        yield Tensor("v.all.weight", "F16", (entry.projector,))


def _model(
    entry: Entry, whole: list[Matrix], own: tuple[Own, ...], *, is_tied: bool, is_ollamas: bool
) -> Model:
    keys = _keys(entry, bare_facts(entry))
    heads = keys.by_layer("attention.head_count") or (1,)
    kv = keys.by_layer("attention.head_count_kv") or heads
    plain = (VALUES if "values_f16" in own else frozenset()) | (
        ATTENTION if "attention_f16" in own else frozenset()
    )
    return Model(
        layer_count=keys.layer_count,
        attending_count=sum(one.name.endswith(".attn_v.weight") for one in whole),
        heads_per_kv=max(heads) // max(1, *kv),
        expert_count=keys.count("expert_count") or 0,
        is_70b=entry.layers == _LAYERS_OF_70B and entry.architecture in _FEW_HEADS_LIKE_70B,
        is_tied=is_tied,
        table_type="F16" if is_ollamas else None,
        plain=plain,
    )


def _keys(entry: Entry, facts: ModelFacts) -> GgufKeys:
    drafting = entry.keys.get("nextn_predict_layers", 0)
    return GgufKeys(facts, entry.layers - (drafting if isinstance(drafting, int) else 0))


def _value(value: int | list[int | bool]) -> int | tuple[int | bool, ...]:
    return tuple(value) if isinstance(value, list) else value
