"""Where what is known sends the collectors next."""

from __future__ import annotations

from gpumon.app.state.apply.work import WORKING_CPU_PERCENT
from gpumon.app.state.places import place
from gpumon.app.state.records import ModelKey, RunnerRecord
from gpumon.app.state.state import State
from gpumon.collectors.runners.target import RunnerTarget, target_of
from gpumon.collectors.servers.kind import KnownRunners

BUSY_GPU_PERCENT = 10
"""Utilisation from which a GPU works on something."""


def runner_targets(state: State) -> list[RunnerTarget]:
    """Return the runners to ask on their own ports: not those of a llama-server that is asked by its URL."""
    return [target_of(runner.process) for runner in state.runners.values() if not _is_served(state, runner)]


def served_seems_busy(state: State, source: str, name: str) -> bool | None:
    """Tell whether the process of a server's model works; ``None`` where it is not known."""
    model = state.models.get(ModelKey(source, name))
    return seems_busy(state, model.runner.pid) if model is not None and model.runner else None


def known_runners(state: State, url: str) -> KnownRunners | None:
    """Return the processes that hold the models of the server at ``url``; ``None`` where they are not seen.

    Those in a container are not: its port may be published elsewhere.
    """
    looks = state.sources.get("processes")
    servers = {
        server.pid
        for server in state.servers
        if not server.other_namespace and place(url) in map(place, server.urls)
    }
    if not servers or looks is None or not looks.healthy:
        return None
    own = [runner for runner in state.runners.values() if runner.process.server_pid in servers]
    return KnownRunners(
        frozenset((runner.key.pid, runner.key.started) for runner in own),
        loading=not all(runner.load_over for runner in own),
    )


def seems_busy(state: State, pid: int) -> bool | None:
    """Tell by its CPU use or by its GPUs whether a runner works; ``None`` where neither is known."""
    runner = next((runner for key, runner in state.runners.items() if key.pid == pid), None)
    if runner is None:
        return None
    cpu = runner.process.cpu_percent
    signs = [None if cpu is None else cpu >= WORKING_CPU_PERCENT, _gpus_busy(state, runner)]
    known = [sign for sign in signs if sign is not None]
    return any(known) if known else None


def _is_served(state: State, runner: RunnerRecord) -> bool:
    model = state.models.get(runner.model) if runner.model else None
    return model is not None and model.served is not None and state.sources[model.key.source].healthy


def _gpus_busy(state: State, runner: RunnerRecord) -> bool | None:
    readings = [state.gpus[uuid].reading for uuid in runner.vram_by_gpu if uuid in state.gpus]
    known = [r.utilization_percent for r in readings if r.utilization_percent is not None]
    return max(known) >= BUSY_GPU_PERCENT if known else None
