"""The answers of Ollama's API as sample values, row by row."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Annotated, Generic, TypeVar

import msgspec

from gpumon.collectors.gguf.tensors import MAX_DIMENSIONS, Tensor, summarize
from gpumon.collectors.http import fields
from gpumon.collectors.http.fields import RawObject
from gpumon.collectors.samples import InstalledModel, ModelClaim, ModelFacts, ModelWeights

_Row = TypeVar("_Row", ModelClaim, InstalledModel)

MAX_DIGEST_LENGTH = 128


class BodyError(Exception):
    """A body that is not what the path answers; its text says in a few words how."""


@dataclass(frozen=True)
class Listing(Generic[_Row]):
    """The good rows of a list of models, and how many had to be left out."""

    models: tuple[_Row, ...]
    rejected_rows: int = 0


def parse_version(body: bytes) -> str | None:
    """Return the version of ``{"version": "0.32.15"}``, ``None`` if that is not what the body is."""
    values = fields.read(body, fields.OBJECT)
    return None if values is None else fields.text(values, "version")


def parse_ps(body: bytes, *, leaves_out_zeros: bool = False) -> Listing[ModelClaim]:
    """Return the loaded models (``/api/ps``, ollama: api/types.go, ProcessModelResponse).

    Raise ``BodyError`` if the body is no such list or has rows and not one good one. Else a bad row is
    counted and left out, a bad field is ``None``, and a row that is there twice is there once. From a
    server that ``leaves_out_zeros`` a size in VRAM that is missing is 0.
    """
    return _listing(body, partial(_claim, leaves_out_zeros=leaves_out_zeros))


def parse_tags(body: bytes) -> Listing[InstalledModel]:
    """Return the installed models (``/api/tags``, ollama: api/types.go, ListModelResponse)."""
    return _listing(body, _installed)


def _listing(body: bytes, convert: Callable[[RawObject], _Row | None]) -> Listing[_Row]:
    raw_rows = _rows(body)
    rows = [_converted(raw, convert) for raw in raw_rows]
    good = [row for row in rows if row is not None]
    if rows and not good:
        raise BodyError(f"none of {len(rows)} models could be understood")
    return Listing(tuple(_distinct(good)), len(rows) - len(good))


def _rows(body: bytes) -> list[msgspec.Raw]:
    """Return the rows of ``{"models": […]}``; a Go server writes an empty list as null too."""
    try:
        values = fields.OBJECT.decode(body)
    except msgspec.ValidationError:
        raise BodyError("the answer is not a JSON object") from None
    except (ValueError, RecursionError):
        raise BodyError("the answer is not valid JSON") from None
    if "models" not in values:
        raise BodyError("the answer has no list of models")
    try:
        return fields.ROWS.decode(values["models"]) or []
    except (ValueError, RecursionError):
        raise BodyError("the answer has no list of models") from None


def _converted(raw: msgspec.Raw, convert: Callable[[RawObject], _Row | None]) -> _Row | None:
    values = fields.read(raw, fields.OBJECT)
    return None if values is None else convert(values)


def _distinct(rows: Iterable[_Row]) -> list[_Row]:
    """Keep the first of rows with the same name and digest: a reload can show a model twice."""
    first: dict[tuple[str, str | None], _Row] = {}
    for row in rows:
        first.setdefault((row.name, row.digest), row)
    return list(first.values())


def _claim(values: RawObject, *, leaves_out_zeros: bool) -> ModelClaim | None:
    name = _name(values)
    if name is None:
        return None
    details = fields.nested(values, "details")
    is_left_out = leaves_out_zeros and "size_vram" not in values
    return ModelClaim(
        name=name,
        digest=_digest(values),
        size_bytes=fields.amount(values, "size"),
        size_vram_bytes=0 if is_left_out else fields.amount(values, "size_vram"),
        # 0 until an MLX runner has answered for the first time; no model has a context of 0.
        context_length=fields.amount(values, "context_length") or None,
        expires_at=parse_time(fields.text(values, "expires_at")),
        format=fields.text(details, "format"),
        family=fields.text(details, "family"),
        parameter_size=fields.text(details, "parameter_size"),
        quantization=fields.text(details, "quantization_level"),
    )


def _installed(values: RawObject) -> InstalledModel | None:
    name = _name(values)
    if name is None:
        return None
    remote = fields.text(values, "remote_host") or fields.text(values, "remote_model")
    return InstalledModel(
        name=name,
        digest=_digest(values),
        size_bytes=fields.amount(values, "size"),
        remote=remote is not None,
    )


def _name(values: RawObject) -> str | None:
    return fields.text(values, "name") or fields.text(values, "model")


def _digest(values: RawObject) -> str | None:
    digest = fields.text(values, "digest")
    return digest if digest and len(digest) <= MAX_DIGEST_LENGTH else None


def parse_time(text: str | None) -> float | None:
    """Return Unix seconds of an RFC 3339 time as Go writes it; ``None`` for Go's zero time and nonsense."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
        seconds = moment.timestamp() if moment.tzinfo else None
    except (ValueError, OverflowError):
        return None
    return seconds if seconds is not None and seconds > 0 else None


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


def parse_show(body: bytes, name: str, digest: str, time: float, source: str) -> ModelFacts:
    """Return the facts of one model; raise ``BodyError`` if the body is no JSON object.

    ``digest`` and ``name`` are those of the ``/api/ps`` row that was asked about.
    """
    values = fields.read(body, fields.OBJECT)
    if values is None:
        raise BodyError("the answer is not a JSON object")
    info = fields.nested(values, "model_info")
    architecture = fields.text(info, "general.architecture")
    return ModelFacts(
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
