"""The answers of llama-server as sample values. Prompts, answers and templates are left where they are."""

from __future__ import annotations

import math
from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta, Struct

from gpumon.collectors.http import fields
from gpumon.collectors.http.fields import RawObject
from gpumon.collectors.samples import LoadFacts, Slot, WorkCounters
from gpumon.collectors.servers.llama_server.kind import IK_LLAMA

_BOOLEAN: msgspec.json.Decoder[bool] = msgspec.json.Decoder(bool)
_INTEGER: msgspec.json.Decoder[int] = msgspec.json.Decoder(int)

MAX_SLOTS = 256
MAX_MODELS = 1024


class Properties(NamedTuple):
    """What ``GET /props`` says."""

    facts: LoadFacts
    sleeping: bool
    alias: str | None = None
    """What clients may call the model."""
    is_router: bool = False
    """Whether the server has no model of its own and starts one child per model."""


class _NextToken(Struct, gc=False):
    n_decoded: fields.Amount | None = None
    n_remain: Annotated[int, Meta(ge=-1, le=fields.MOST)] = -1
    """-1 is no limit."""


class _SlotRow(Struct, gc=False):
    """A slot as builds since late 2024 write it."""

    id: fields.Amount
    is_processing: bool
    n_ctx: fields.Amount | None = None
    id_task: fields.Amount | None = None
    n_prompt_tokens: fields.Amount | None = None
    n_prompt_tokens_processed: fields.Amount | None = None
    n_prompt_tokens_cache: fields.Amount | None = None
    next_token: list[_NextToken] | _NextToken | None = None


_SLOT_ROWS = msgspec.json.Decoder(list[_SlotRow])
_NOTHING = _NextToken()


def parse_slots(body: bytes) -> tuple[Slot, ...] | None:
    """Return the slots (``GET /slots``, llama.cpp: tools/server/server-context.cpp, slot.to_json).

    ``None`` if the body is no list of slots; what is no slot in the list is left out. It is asked every
    second: what is as it should be is read in one go, and only what is not a field at a time.
    """
    try:
        rows = _SLOT_ROWS.decode(body)
    except (ValueError, RecursionError):
        return _one_by_one(body)
    return tuple(map(_slot_of, rows[:MAX_SLOTS]))


def _slot_of(row: _SlotRow) -> Slot:
    following = row.next_token or _NOTHING
    if isinstance(following, list):
        following = following[0]
    return Slot(
        slot_id=row.id,
        context_length=row.n_ctx,
        processing=row.is_processing,
        task_id=row.id_task,
        prompt_tokens=row.n_prompt_tokens,
        prompt_tokens_processed=row.n_prompt_tokens_processed,
        prompt_tokens_cached=row.n_prompt_tokens_cache,
        decoded_tokens=following.n_decoded,
        remaining_tokens=None if following.n_remain < 0 else following.n_remain,
    )


def _one_by_one(body: bytes) -> tuple[Slot, ...] | None:
    """Return the slots of a body in which something is missing, odd, or as builds of 2024 wrote it."""
    rows = fields.read(body, fields.ROWS)
    if rows is None:
        return None
    objects = [fields.read(row, fields.OBJECT) for row in rows[:MAX_SLOTS]]
    slots = [slot for values in objects if values is not None and (slot := _slot(values))]
    return tuple(slots) if slots or not rows else None


def _slot(values: RawObject) -> Slot | None:
    slot_id = fields.amount(values, "id")
    processing = _processing(values)
    if slot_id is None or processing is None:
        return None
    following = _next_token(values)
    return Slot(
        slot_id=slot_id,
        context_length=fields.amount(values, "n_ctx"),
        processing=processing,
        task_id=fields.amount(values, "id_task"),
        prompt_tokens=fields.amount(values, "n_prompt_tokens"),
        prompt_tokens_processed=fields.amount(values, "n_prompt_tokens_processed"),
        prompt_tokens_cached=fields.amount(values, "n_prompt_tokens_cache"),
        decoded_tokens=0 if _is_left_over(values, following) else fields.amount(following, "n_decoded"),
        remaining_tokens=fields.amount(following, "n_remain"),  # -1, no limit, is no amount
    )


def _is_left_over(values: RawObject, following: RawObject) -> bool:
    """Whether a slot at work shows what the request before it had generated.

    ik_llama.cpp counts anew only when a prompt has been read, and until then says of the tokens before that
    no more are to come (examples/server/server-context.cpp, August 2026: ``n_decoded``, ``has_next_token``).
    Its counters hold those tokens already.
    """
    state, more = fields.field(values, "state", _INTEGER), fields.field(following, "has_next_token", _BOOLEAN)
    return state not in {None, 0} and more is False


class Leftovers:
    """Takes out of a fork's slots what is left there of requests that were broken off.

    Such a one leaves a count behind, as one that has ended does, and no sign that it is over: it is known by
    not having fallen since it was another's.
    """

    def __init__(self) -> None:
        self._seen: dict[int, Slot] = {}
        self._doubted: dict[int, Slot] = {}

    def taken_out(self, slots: tuple[Slot, ...] | None) -> tuple[Slot, ...] | None:
        """Return the slots of one look, with no more tokens than those of their own requests."""
        if slots is None:
            return None
        own = tuple(map(self._own, slots))
        self._seen = {slot.slot_id: slot for slot in slots}
        return own

    def _own(self, slot: Slot) -> Slot:
        doubted = self._doubted.pop(slot.slot_id, None)
        if not slot.decoded_tokens:
            return slot
        if slot.processing and (self._is_anothers(slot) or _is_unmoved(doubted, slot)):
            self._doubted[slot.slot_id] = slot
        elif slot.processing:
            return slot
        return msgspec.structs.replace(slot, decoded_tokens=0, remaining_tokens=None)

    def _is_anothers(self, slot: Slot) -> bool:
        before = self._seen.get(slot.slot_id)
        if before is None or before.task_id == slot.task_id or not before.decoded_tokens:
            return False
        ended = before.decoded_tokens
        return (slot.decoded_tokens or 0) >= ended if before.processing else slot.decoded_tokens == ended


def _is_unmoved(before: Slot | None, slot: Slot) -> bool:
    """Whether a count is what it was when it was first doubted."""
    known = None if before is None else (before.task_id, before.decoded_tokens)
    return known == (slot.task_id, slot.decoded_tokens)


def _processing(values: RawObject) -> bool | None:
    """Return whether a slot works; builds of 2024 say so with a number (llama.cpp PR 10162), 0 is idle."""
    flag = fields.field(values, "is_processing", _BOOLEAN)
    if flag is not None:
        return flag
    state = fields.field(values, "state", _INTEGER)
    return None if state is None else state != 0


def _next_token(values: RawObject) -> RawObject:
    """Return the progress of decoding: an object, in newer builds inside a list."""
    rows = fields.field(values, "next_token", fields.ROWS)
    if rows:
        return fields.read(rows[0], fields.OBJECT) or {}
    return fields.nested(values, "next_token")


def parse_properties(body: bytes) -> Properties | None:
    """Return what ``GET /props`` says of the model and the server; ``None`` if the body is no object."""
    values = fields.read(body, fields.OBJECT)
    if values is None:
        return None
    facts = LoadFacts(
        model_path=fields.text(values, "model_path"),
        build=fields.text(values, "build_info"),
        slot_count=fields.amount(values, "total_slots"),
        context_length=fields.amount(fields.nested(values, "default_generation_settings"), "n_ctx"),
        quantization=fields.text(values, "model_ftype"),
        slots_enabled=fields.field(values, "endpoint_slots", _BOOLEAN),
        metrics_enabled=fields.field(values, "endpoint_metrics", _BOOLEAN),
    )
    return Properties(
        facts,
        sleeping=fields.field(values, "is_sleeping", _BOOLEAN) is True,
        alias=fields.text(values, "model_alias"),
        is_router=fields.text(values, "role") == "router",
    )


def properties_of(body: bytes, server: str | None) -> Properties | None:
    """Return what ``/props`` says; a fork that tells no build goes by its name, the header ``Server``."""
    said = parse_properties(body)
    if said is None or said.facts.build is not None or server != IK_LLAMA:
        return said
    return said._replace(facts=msgspec.structs.replace(said.facts, build=IK_LLAMA))


def model_rows(body: bytes) -> list[RawObject] | None:
    """Return the models that ``GET /v1/models`` lists; ``None`` if the body is no such list."""
    values = fields.read(body, fields.OBJECT) or {}
    rows = fields.field(values, "data", fields.ROWS)
    if rows is None:
        return None
    return [row for raw in rows[:MAX_MODELS] if (row := fields.read(raw, fields.OBJECT)) is not None]


def with_models(facts: LoadFacts, body: bytes, name: str | None = None) -> LoadFacts:
    """Add what ``GET /v1/models`` says of the weights (``meta``) of a router's model, or of the only one."""
    rows = model_rows(body) or []
    model = next((row for row in rows if name is None or fields.text(row, "id") == name), {})
    meta = fields.nested(model, "meta")
    return msgspec.structs.replace(
        facts,
        quantization=facts.quantization or fields.text(meta, "ftype"),
        context_length=facts.context_length or fields.amount(meta, "n_ctx"),
        parameter_count=fields.amount(meta, "n_params"),
        weights_bytes=fields.amount(meta, "size"),
        trained_context_length=fields.amount(meta, "n_ctx_train"),
    )


PREFIX = "llamacpp:"


def parse_counters(body: bytes) -> WorkCounters | None:
    """Return the counters (llama.cpp: tools/server/README.md, GET /metrics); ``None`` if there are none."""
    values = dict(pair for line in _text(body).splitlines() if (pair := _pair(line)))
    if not values:
        return None
    return WorkCounters(
        prompt_tokens_total=values.get("prompt_tokens_total"),
        prompt_seconds_total=values.get("prompt_seconds_total"),
        prompt_tokens_cached_total=values.get("prompt_tokens_cached_total"),
        decoded_tokens_total=values.get("tokens_predicted_total"),
        decoded_seconds_total=values.get("tokens_predicted_seconds_total"),
        requests_processing=_whole(values.get("requests_processing")),
        requests_deferred=_whole(values.get("requests_deferred")),
        draft_tokens_total=values.get("spec_decode_num_draft_tokens_total"),
        draft_accepted_total=values.get("spec_decode_num_accepted_tokens_total"),
    )


def _text(body: bytes) -> str:
    """Decode the body; builds about b7010 to b7100 sent it as one JSON string (llama.cpp issue 17384)."""
    if body.startswith(b'"'):
        return fields.read(body, fields.LONG_TEXT) or ""
    return body.decode("utf-8", "replace")


def _pair(line: str) -> tuple[str, float] | None:
    """Return name and value of one line; series with labels are not among the counters that are read."""
    name, _, value = line.strip().partition(" ")
    if not name.startswith(PREFIX):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return (name.removeprefix(PREFIX), number) if math.isfinite(number) and number >= 0 else None


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)
