"""One model that is reached through several servers: it is one row, by the name that clients use.

llama-swap, a router, Lemonade and Ollama start a server for each model, and a meter stands before another
one. Where both are asked, the one in front names the model, and the one behind it tells its work.
"""

from __future__ import annotations

from dataclasses import replace

from gpumon.app.state.holders.addresses import own_addresses
from gpumon.app.state.places import place
from gpumon.app.state.records import ModelRecord, RunnerRecord, is_server
from gpumon.app.state.state import State
from gpumon.collectors.http.endpoint import parse_host
from gpumon.collectors.servers.registry import kind_named


def front_of(state: State, source: str, name: str) -> ModelRecord | None:
    """Return the model of another server that is the one called ``name`` at ``source``; ``None``: its own."""
    if sum(map(is_server, state.sources)) < 2:
        return None
    where = place(source)
    runner = _runner_at(state, where)
    for model in state.models.values():
        if model.key.source == source or model.process is not None:
            continue
        if _is_metered(state, model, where, name) or _is_behind(state, model, where, runner):
            return model
    return None


def hide_back_doors(state: State) -> bool:
    """Let go of rows that are another row's model; return whether there were any.

    Such a one has not left: it goes without a word.
    """
    hidden = [
        key
        for key, model in state.models.items()
        if model.process is None and front_of(state, key.source, model.claim.name) is not None
    ]
    for key in hidden:
        del state.models[key]
        state.touched.claimed.add(key)
    return bool(hidden)


def _runner_at(state: State, where: str) -> RunnerRecord | None:
    """Return the process that listens at a place itself."""
    there = (one for one in state.runners.values() if where in map(place, own_addresses(one.process)))
    return max(there, key=lambda runner: (runner.key.started, runner.key.pid), default=None)


def _is_metered(state: State, model: ModelRecord, where: str, name: str) -> bool:
    """Whether a model is shown as that of a meter before the server at a place."""
    upstream = state.upstreams.get(model.key.source)
    full_name = model.kind.full_name
    return (
        upstream is not None and place(upstream) == where and full_name(model.claim.name) == full_name(name)
    )


def _is_behind(state: State, model: ModelRecord, where: str, runner: RunnerRecord | None) -> bool:
    """Whether the server of a model has started what listens at a place.

    The process there tells; where it is not seen, the port that its server names. Such a port is one inside a
    container where the server is in one, and says nothing of this machine's.
    """
    if runner is not None:
        return model.runner == runner.key
    told, source = model.claim.settings, model.key.source
    if told is None or told.port is None or kind_named(model.runtime).runners_are != "routed":
        return False
    inside = any(
        server.other_namespace and place(source) in map(place, server.reached) for server in state.servers
    )
    return not inside and place(replace(parse_host(source), port=told.port, path="").url) == where
