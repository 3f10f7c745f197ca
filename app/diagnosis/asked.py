"""Who asked for the context: the Modelfile, the server's settings, its default, or a request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from gpumon.app.diagnosis.diagnosis import CauseKind, Evidence
from gpumon.app.diagnosis.words import LOG, NVML, PS, size_evidence, tokens_evidence
from gpumon.app.insight.shapes import log_of
from gpumon.app.state.holders.addresses import server_of
from gpumon.app.state.records import ModelRecord, ServerLog
from gpumon.app.state.state import State
from gpumon.text.units import GIB

SMALLEST_DEFAULT_TOKENS = 4096
"""The server's default on the smallest cards: what nobody can call too large."""


class Asked(NamedTuple):
    """Who asked for as much context."""

    kind: CauseKind
    words: str
    """A clause: ``its Modelfile asks for 32768 tokens``."""
    evidence: Evidence


def who_asked(model: ModelRecord, context: int, state: State, source: str = PS) -> Asked:
    """Return who asked for ``context`` tokens, as ``source`` says; what no setting explains was a request."""
    found = (
        _starter(model, context, source)
        or _modelfile(model, context)
        or _environment(model, context, state)
        or _server(model, context, log_of(model, state))
        or _tier(model, context, state)
    )
    if found is not None:
        return found
    who = "a request" if model.facts is not None else "a request or its Modelfile"
    evidence = tokens_evidence("context", context, source)
    return Asked("context_request", f"{who} asked for {context} tokens", evidence)


def _starter(model: ModelRecord, context: int, source: str) -> Asked | None:
    """Name whoever started a server of one model."""
    if model.kind.manages_memory:
        return None
    evidence = tokens_evidence("context", context, source)
    return Asked("context_request", f"it was started with {context} tokens", evidence)


def _modelfile(model: ModelRecord, context: int) -> Asked | None:
    if model.facts is None or model.facts.parameters.get("num_ctx") != str(context):
        return None
    evidence = tokens_evidence("num_ctx", context, "Modelfile")
    return Asked("context_request", f"its Modelfile asks for {context} tokens", evidence)


def _environment(model: ModelRecord, context: int, state: State) -> Asked | None:
    """Look in the environment of the server's process, where that may be read."""
    runner = state.runner_of(model)
    server = server_of(state, runner) if runner else None
    return _variable(model, context, server.settings, "environment") if server else None


def _variable(model: ModelRecord, context: int, settings: Mapping[str, str], source: str) -> Asked | None:
    name = model.kind.context_variable
    if name is None or settings.get(name) != str(context):
        return None
    evidence = tokens_evidence(name, context, source)
    return Asked("context_default", f"{name} is {context} tokens", evidence)


def _server(model: ModelRecord, context: int, log: ServerLog | None) -> Asked | None:
    """Look in the log: the variable that a user has set, or the default that the server chose."""
    if log is None:
        return None
    if (found := _variable(model, context, log.settings, LOG)) is not None:
        return found
    if log.default_context is None or _clipped(log.default_context, model) != context:
        return None
    evidence = tokens_evidence("default context", log.default_context, LOG)
    return Asked("context_default", f"the server's default is {log.default_context} tokens", evidence)


def _tier(model: ModelRecord, context: int, state: State) -> Asked | None:
    """Compare with the default for the VRAM of all GPUs."""
    sizes = [gpu.total_bytes for gpu in state.gpus.values() if gpu.total_bytes is not None]
    total = sum(sizes)
    if model.kind.default_context(total) != context:
        return None
    words = f"{context} tokens are {model.kind.label}'s default for {total / GIB:.0f} GiB of VRAM"
    return Asked("context_default", words, size_evidence("VRAM", total, NVML))


def _clipped(context: int, model: ModelRecord) -> int:
    trained = model.facts.trained_context_length if model.facts else None
    return min(context, trained) if trained else context
