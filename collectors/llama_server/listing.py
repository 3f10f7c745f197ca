"""Which models a llama-server has: the one that it was started with, or those that a router lists."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from gpumon.collectors.http import fields
from gpumon.collectors.http.fields import RawObject
from gpumon.collectors.processes.command_line import parse_runner
from gpumon.collectors.runners.bodies import Properties, model_rows
from gpumon.collectors.samples import RunnerSettings, RunnerState, ServedModel

STATES: Mapping[str, RunnerState] = {"loading": "loading", "loaded": "ready", "sleeping": "asleep"}
"""``status.value`` of a router's model that takes memory (llama.cpp: tools/server/server-models.cpp)."""

MAX_ARGUMENTS = 256


def parse_router_models(body: bytes) -> tuple[ServedModel, ...] | None:
    """Return the models that a router has loaded or is loading; ``None`` if the body is no list of models."""
    rows = model_rows(body)
    if rows is None:
        return None
    served = {model.name: model for row in rows if (model := _served(row)) is not None}
    return tuple(served.values())


def _served(row: RawObject) -> ServedModel | None:
    name, status = fields.text(row, "id"), fields.nested(row, "status")
    state = STATES.get(fields.text(status, "value") or "")
    if name is None or state is None:
        return None
    return ServedModel(name=name, state=state, settings=_settings(status))


def _settings(status: RawObject) -> RunnerSettings | None:
    """Return what the child was told; the rest of its command line is not kept."""
    runner = parse_runner([*fields.texts(status, "args", MAX_ARGUMENTS)])
    return runner[1] if runner else None


def name_of_only_model(properties: Properties | None, models_body: bytes | None) -> str | None:
    """Return what the model of a server without router is called; ``None`` where nothing tells."""
    names = _names(properties, models_body)
    return next((_without_folder(name) for name in names if name), None)


def _names(properties: Properties | None, models_body: bytes | None) -> Iterator[str | None]:
    yield properties.alias if properties else None
    for row in (model_rows(models_body) or [])[:1] if models_body else ():
        yield fields.text(row, "id")
    yield properties.facts.model_path if properties else None


def _without_folder(name: str) -> str:
    """Return the name of a file; builds up to 2025 call a model without alias by its whole path."""
    return name.replace("\\", "/").rpartition("/")[2] if name.lower().endswith(".gguf") else name
