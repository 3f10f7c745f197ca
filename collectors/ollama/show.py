"""The answer of ``/api/show``: a model's weights, geometry and abilities (ollama: server/routes.go)."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Annotated

import msgspec

from gpumon.collectors.gguf.tensors import MAX_DIMENSIONS, Tensor, summarize
from gpumon.collectors.http import fields
from gpumon.collectors.http.fields import RawObject
from gpumon.collectors.ollama.bodies import BodyError
from gpumon.collectors.samples import ModelWeights, OllamaModelFacts

GeometryValue = int | float | str | bool | tuple[int | bool, ...]

MAX_LIST_LENGTH = 1024
MAX_RAW_VALUE_BYTES = 32 * 1024
"""A longer value is a token list or a template, whatever its type."""
MAX_TEXT_LENGTH = 200
MAX_KEYS = 512
MAX_CAPABILITIES = 32
MAX_BLOBS = 16
MAX_TENSORS = 262_144
INTEGERS = range(-(2**63), 2**63)
PARAMETERS = frozenset({"num_ctx", "num_gpu", "num_batch", "num_predict"})
"""The ``PARAMETER`` lines of a Modelfile that bear on memory."""

BLOB = re.compile(r"(?:^|[/\\])(sha256)[-:]([0-9a-f]{64})\"?\s*$")


def parse_show(body: bytes, name: str, digest: str, time: float, source: str) -> OllamaModelFacts:
    """Return the facts of one model; raise ``BodyError`` if the body is no JSON object.

    ``digest`` and ``name`` are those of the ``/api/ps`` row that was asked about.
    """
    values = fields.read(body, fields.OBJECT)
    if values is None:
        raise BodyError("the answer is not a JSON object")
    info = fields.nested(values, "model_info")
    architecture = fields.text(info, "general.architecture")
    return OllamaModelFacts(
        time=time,
        source=source,
        name=name,
        digest=digest,
        architecture=architecture,
        blobs=_blobs(fields.field(values, "modelfile", fields.LONG_TEXT) or ""),
        capabilities=tuple(fields.texts(values, "capabilities", MAX_CAPABILITIES)),
        trained_context_length=fields.amount(info, f"{architecture}.context_length"),
        layer_count=fields.amount(info, f"{architecture}.block_count"),
        embedding_length=fields.amount(info, f"{architecture}.embedding_length"),
        parameter_count=fields.amount(info, "general.parameter_count"),
        geometry=dict(_geometry(info)),
        weights=_weights(values),
        parameters=dict(_parameters(fields.field(values, "parameters", fields.LONG_TEXT) or "")),
    )


class _ListedTensor(msgspec.Struct):
    """One of ``tensors`` (ollama: api/types.go, Tensor); the fastest dimension of the shape comes first."""

    name: Annotated[str, msgspec.Meta(max_length=MAX_TEXT_LENGTH)]
    type: Annotated[str, msgspec.Meta(max_length=MAX_TEXT_LENGTH)]
    shape: Annotated[list[fields.Amount], msgspec.Meta(max_length=MAX_DIMENSIONS)]


_TENSORS: msgspec.json.Decoder[list[_ListedTensor] | None] = msgspec.json.Decoder(
    Annotated[list[_ListedTensor], msgspec.Meta(max_length=MAX_TENSORS)] | None
)


def _weights(values: RawObject) -> ModelWeights | None:
    """Return the sums over ``tensors`` (Ollama 0.6.1 and later); ``None`` if the list is not good whole."""
    listed = fields.field(values, "tensors", _TENSORS) or []
    return summarize(Tensor(tensor.name, tensor.type, tensor.shape) for tensor in listed)


def _parameters(text: str) -> Iterator[tuple[str, str]]:
    """Yield the lines ``num_ctx   4096`` that matter; the last one of a name counts."""
    for line in text.splitlines():
        name, _, value = line.strip().partition(" ")
        if name in PARAMETERS and 0 < len(value.strip()) <= MAX_TEXT_LENGTH:
            yield name, value.strip()


def _blobs(modelfile: str) -> tuple[str, ...]:
    """Return the blobs of the ``FROM`` lines: ``FROM /…/blobs/sha256-<hex>``, weights first."""
    starts = (line for line in modelfile.splitlines() if line.startswith("FROM "))
    found = (BLOB.search(line[-MAX_TEXT_LENGTH:]) for line in starts)
    names = dict.fromkeys(f"{match[1]}-{match[2]}" for match in found if match)
    return tuple(names)[:MAX_BLOBS]


def _geometry(info: RawObject) -> Iterator[tuple[str, GeometryValue]]:
    for key, raw in list(info.items())[:MAX_KEYS]:
        small = len(key) <= MAX_TEXT_LENGTH and len(bytes(raw)) <= MAX_RAW_VALUE_BYTES
        value = _geometry_value(fields.read(raw, fields.ANYTHING)) if small else None
        if value is not None:
            yield key, value


def _geometry_value(value: object) -> GeometryValue | None:
    """Return a scalar or a short list of integers or flags; ``None`` for the rest."""
    match value:
        case bool():
            return value
        case int():
            return value if value in INTEGERS else None
        case float():
            return value if math.isfinite(value) else None
        case str():
            return value if len(value) <= MAX_TEXT_LENGTH else None
        case list():
            return _short_list(value)
    return None


def _short_list(items: list[object]) -> tuple[int | bool, ...] | None:
    """Return the list if it says something: an old server empties long ones."""
    whole = tuple(item for item in items if isinstance(item, int) and item in INTEGERS)
    return whole if 0 < len(whole) == len(items) <= MAX_LIST_LENGTH else None
