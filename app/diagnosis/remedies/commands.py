"""The exact lines that a user types, as the kind of server has them. gpumon runs none of them."""

from __future__ import annotations

from gpumon.app.diagnosis.diagnosis import AND
from gpumon.app.diagnosis.subject import Subject
from gpumon.app.physics.geometry import CacheType, LoadOptions
from gpumon.app.state.records import ModelRecord
from gpumon.collectors.servers.kind import NO_LINE as NO_COMMAND
from gpumon.collectors.servers.kind import Line as Command

__all__ = ["NO_COMMAND", "Command", "caches", "set_cache_type", "set_slots", "set_together", "stop"]


def set_cache_type(subject: Subject, kind: CacheType) -> Command:
    """Return how to ask for a type of cache; one that is quantised needs flash attention."""
    settings = subject.runner.process.settings if subject.runner else None
    has_flash = settings is None or settings.flash_attention not in {"off", "0", "false", "disabled"}
    return subject.model.kind.set_cache_type(kind, has_flash_attention=has_flash)


def caches(options: LoadOptions) -> int:
    """Return how many caches of the context there are: one, where all slots share it."""
    return 1 if options.unified_cache else options.parallel


def set_slots(model: ModelRecord, wanted: LoadOptions) -> Command:
    """Return how to ask for a number of slots, each with as much context as now."""
    line = model.kind.set_slots(wanted.parallel)
    if not model.kind.shares_context or wanted.unified_cache:
        return line
    context = model.kind.set_context(wanted.context_length, wanted.parallel)
    return Command(f"{line.line} {context.line}", line.where)


def set_together(subject: Subject, wanted: LoadOptions, present: LoadOptions) -> Command:
    """Return how to ask for all that differs; a kind may take the context elsewhere than the rest."""
    kind, lines = subject.model.kind, list[Command]()
    if wanted.parallel != present.parallel:
        lines.append(kind.set_slots(wanted.parallel))
    if wanted.cache_type_k != present.cache_type_k:
        lines.append(set_cache_type(subject, wanted.cache_type_k))
    is_shared = kind.shares_context and wanted.parallel != present.parallel and not wanted.unified_cache
    if wanted.context_length != present.context_length or is_shared:
        lines.append(kind.set_context(wanted.context_length, caches(wanted)))
    if any(line.line is None for line in lines):
        return NO_COMMAND
    where = lines[0].where
    together = " ".join(line.line for line in lines if line.line and line.where == where)
    elsewhere = [f"{line.line} {line.where}" for line in lines if line.where != where]
    return Command(together, AND.join([where or "", *elsewhere]))


def stop(*models: ModelRecord) -> Command:
    """Return how to unload models one after another; nothing where one of them has no such line."""
    lines = [model.kind.stop(model.key.source, model.claim.name) for model in models]
    if None in lines:
        return NO_COMMAND
    return Command(" && ".join(line for line in lines if line))
