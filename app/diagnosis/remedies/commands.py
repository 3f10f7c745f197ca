"""The exact lines that a user types, for Ollama and for a llama-server alone. gpumon runs none of them."""

from __future__ import annotations

import shlex
from typing import NamedTuple

from gpumon.app.diagnosis.diagnosis import AND
from gpumon.app.diagnosis.subject import Subject
from gpumon.app.physics.geometry import CacheType, LoadOptions
from gpumon.app.state.places import place
from gpumon.app.state.records import ModelRecord

USUAL_URL = "http://127.0.0.1:11434"
IN_RUN = "in ollama run"
IN_MODELFILE = "in its Modelfile"
IN_ENVIRONMENT = "in the server's environment"
ON_COMMAND_LINE = "on the command line of llama-server"
AS_SERVICE = "where Ollama is a systemd service"


class Command(NamedTuple):
    """A line, and where it goes where it is no shell line."""

    line: str | None = None
    where: str | None = None


def is_ollama(subject: Subject) -> bool:
    """Tell whether the model is served by Ollama."""
    return subject.model.runtime == "ollama"


def set_context(subject: Subject, tokens: int, slots: int) -> Command:
    """Return how to ask for a context; llama-server counts that of all slots."""
    if is_ollama(subject):
        return Command(f"/set parameter num_ctx {tokens}", IN_RUN)
    return Command(f"--ctx-size {tokens * slots}", ON_COMMAND_LINE)


def set_cache_type(subject: Subject, kind: CacheType) -> Command:
    """Return how to ask for a type of cache; one that is quantised needs flash attention."""
    if is_ollama(subject):
        flash = "" if _has_flash_attention(subject) else "OLLAMA_FLASH_ATTENTION=1 "
        return Command(f"{flash}OLLAMA_KV_CACHE_TYPE={kind}", IN_ENVIRONMENT)
    return Command(f"--cache-type-k {kind} --cache-type-v {kind}", ON_COMMAND_LINE)


def set_slots(subject: Subject, slots: int) -> Command:
    """Return how to ask for a number of slots."""
    if is_ollama(subject):
        return Command(f"OLLAMA_NUM_PARALLEL={slots}", IN_ENVIRONMENT)
    return Command(f"--parallel {slots}", ON_COMMAND_LINE)


def set_together(subject: Subject, wanted: LoadOptions, present: LoadOptions) -> Command:
    """Return how to ask for all that differs; Ollama takes the context elsewhere than the rest."""
    lines = []
    if wanted.parallel != present.parallel:
        lines.append(set_slots(subject, wanted.parallel))
    if wanted.cache_type_k != present.cache_type_k:
        lines.append(set_cache_type(subject, wanted.cache_type_k))
    where, context = lines[0].where, set_context(subject, wanted.context_length, wanted.parallel)
    if wanted.context_length != present.context_length:
        if is_ollama(subject):
            where = f"{where}{AND}{context.line} {context.where}"
        else:
            lines.append(context)
    return Command(" ".join(line.line for line in lines if line.line), where)


def set_layers(subject: Subject, layers: int) -> Command:
    """Return how to ask for layers on the GPU."""
    if is_ollama(subject):
        return Command(f"PARAMETER num_gpu {layers}", IN_MODELFILE)
    return Command(f"--n-gpu-layers {layers}", ON_COMMAND_LINE)


def set_expert_layers(subject: Subject, layers: int) -> Command:
    """Return how to keep the experts of some layers in RAM (llama.cpp: common/arg.cpp)."""
    if is_ollama(subject):
        return Command(f"LLAMA_ARG_N_CPU_MOE={layers}", IN_ENVIRONMENT)
    return Command(f"--n-cpu-moe {layers}", ON_COMMAND_LINE)


def stop(*models: ModelRecord) -> Command:
    """Return how to unload models of Ollama, one after another; nothing for a name that cannot be typed."""
    lines = [_stop(model) for model in models if model.runtime == "ollama"]
    if len(lines) != len(models) or None in lines:
        return Command()
    return Command(" && ".join(line for line in lines if line))


def restart(subject: Subject) -> Command:
    """Return how to start the server anew."""
    return Command("sudo systemctl restart ollama", AS_SERVICE) if is_ollama(subject) else Command()


def _stop(model: ModelRecord) -> str | None:
    name = model.claim.name
    if not name.isprintable() or name.startswith("-"):
        return None
    url = model.key.source
    host = "" if place(url) == place(USUAL_URL) else f"OLLAMA_HOST={shlex.quote(url)} "
    return f"{host}ollama stop {shlex.quote(name)}"


def _has_flash_attention(subject: Subject) -> bool:
    settings = subject.runner.process.settings if subject.runner else None
    return settings is None or settings.flash_attention not in {"off", "0", "false", "disabled"}
