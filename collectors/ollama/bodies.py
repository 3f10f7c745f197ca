"""The answers of ``/api/version``, ``/api/ps`` and ``/api/tags`` as sample values, row by row."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

import msgspec

from gpumon.collectors.http import fields
from gpumon.collectors.http.fields import RawObject
from gpumon.collectors.samples import InstalledModel, ModelClaim

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


def parse_ps(body: bytes) -> Listing[ModelClaim]:
    """Return the loaded models (``/api/ps``, ollama: api/types.go, ProcessModelResponse).

    Raise ``BodyError`` if the body is no such list or has rows and not one good one. Else a bad row is
    counted and left out, a bad field is ``None``, and a row that is there twice is there once.
    """
    return _listing(body, _claim)


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


def _claim(values: RawObject) -> ModelClaim | None:
    name = _name(values)
    if name is None:
        return None
    details = fields.nested(values, "details")
    return ModelClaim(
        name=name,
        digest=_digest(values),
        size_bytes=fields.amount(values, "size"),
        size_vram_bytes=fields.amount(values, "size_vram"),
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
