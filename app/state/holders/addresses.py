"""Where processes that hold a model are reached, those that no server tells of at its own URL."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from gpumon.app.state.places import is_loopback, place
from gpumon.app.state.records import RunnerRecord
from gpumon.app.state.state import State
from gpumon.collectors.http.endpoint import parse_host
from gpumon.collectors.runners.target import target_of
from gpumon.collectors.samples import RunnerProcess, ServerProcess
from gpumon.collectors.servers.registry import kind_named


def stands_alone(state: State, runner: RunnerRecord) -> bool:
    """Whether a runner is a model by itself, or one that a router reaches by its name.

    It is not where its server claims its models one by one (Ollama). One that loads a blob may have been
    started by such a server whose own process is hidden from us, or has ended.
    """
    if not runner.kind.stands_alone or is_orphan(state, runner):
        return False
    server = server_of(state, runner)
    if server is not None:
        return kind_named(server.kind).runners_are != "claimed"
    return runner.process.settings.blob is None or not _is_keeper_of_blobs_hidden(state)


INIT_PID = 1
"""Takes over the children of a process that has ended."""


def is_orphan(state: State, runner: RunnerRecord) -> bool:
    """Return whether the server that started a runner and alone speaks of its model has ended.

    Nothing is known of that where such a server is here and cannot be seen.
    """
    process = runner.process
    if process.server_pid is not None or _is_keeper_of_blobs_hidden(state):
        return False
    if runner.served_by is not None:
        return True
    is_ones_child = process.settings.child_of is not None or not runner.kind.stands_alone
    return is_ones_child and process.parent_pid == INIT_PID


def server_of(state: State, runner: RunnerRecord) -> ServerProcess | None:
    """Return the server that has started a runner, where there is one.

    Of one in a container that is a server here which names the port that the container publishes: llama-swap
    that was told to run ``docker``.
    """
    pid = runner.process.server_pid
    if pid is None:
        return _server_before(state, runner.process)
    return next((server for server in state.servers if server.pid == pid), None)


def published_ports(process: RunnerProcess) -> frozenset[int]:
    """Return the ports of this machine that lead to a process in a container."""
    if not process.other_namespace:
        return frozenset()
    return frozenset(parse_host(url).port for url in process.published if is_loopback(url))


def _server_before(state: State, process: RunnerProcess) -> ServerProcess | None:
    ports = published_ports(process) if state.routed else frozenset()
    naming = {place(source) for source, names in state.routed.items() if ports & names.keys()}
    return next(
        (
            server
            for server in state.servers
            if not server.other_namespace and naming & {place(url) for url in server.reached}
        ),
        None,
    )


def runners_to_ask(state: State) -> list[RunnerRecord]:
    """Return the runners to ask on their own ports: not those of a llama-server that is asked by its URL."""
    asked = {
        (place(name), source.runtime)
        for name, source in state.sources.items()
        if source.healthy and source.kind
    }
    return [
        runner
        for runner in state.runners.values()
        if not (_is_served(state, runner) or _is_asked(runner, asked))
    ]


def _is_asked(runner: RunnerRecord, asked: Collection[tuple[str, str | None]]) -> bool:
    """Whether a process is asked by its own URL, though its model is that of the server that started it."""
    kind = runner.server_kind.name
    return any((place(url), kind) in asked for url in own_addresses(runner.process))


def _is_served(state: State, runner: RunnerRecord) -> bool:
    model = state.models.get(runner.model) if runner.model else None
    is_told = model is not None and model.served is not None and model.kind.tells_work
    return model is not None and is_told and state.sources[model.key.source].healthy


def servers_found(state: State, named: Iterable[str]) -> dict[str, ServerProcess]:
    """Return the servers of this machine that nobody has named, by the URL at which to ask each.

    ``named`` are the URLs that are asked anyway. A server behind a meter of ours is asked through that.
    """
    taken = {place(url) for url in (*named, *state.upstreams.values())}
    found: dict[str, ServerProcess] = {}
    for server in state.servers:
        places, url = {place(url) for url in server.reached}, _url_to_ask(state, server)
        if kind_named(server.kind).has_url and url is not None and not places & taken:
            taken |= places
            found[url] = server
    return found


def _url_to_ask(state: State, server: ServerProcess) -> str | None:
    """Return the URL of a server that leads to this machine for certain.

    A container that is known by its own address may be published under a port that is asked already.
    """
    here = next(filter(is_loopback, server.reached), None)
    if here is not None or not server.other_namespace:
        return here
    may_be_it = any(state.sources[name].runtime == server.kind for name in unexplained(state))
    return None if may_be_it else next(iter(server.reached), None)


def unexplained(state: State) -> list[str]:
    """Return the servers that answer on this machine where no process is known to be reached."""
    runners = (url for runner in state.runners.values() for url in addresses_of(state, runner))
    known = {place(url) for url in (*runners, *(url for one in state.servers for url in one.reached))}
    names = (name for name in state.servers_here if state.sources[name].healthy)
    return [name for name in names if place(name) not in known]


def addresses_of(state: State, runner: RunnerRecord) -> tuple[str, ...]:
    """Return the URLs at which clients reach a runner: of a router's model those of the router.

    Of one in a container those that are known to be published.
    """
    server = server_of(state, runner)
    if server is not None and kind_named(server.kind).runners_are == "routed":
        return server.reached
    return own_addresses(runner.process)


def own_addresses(process: RunnerProcess) -> tuple[str, ...]:
    """Return the URLs at which a process itself is reached, whoever has started it."""
    target = target_of(process)
    if target.other_namespace:
        return process.published
    return () if target.port is None else (target.url,)


def standalone_runner_at(state: State, source: str) -> RunnerRecord | None:
    """Return the process that is itself reached at a URL, the newest if one is about to end."""
    where = place(source)
    there = (
        runner
        for runner in state.runners.values()
        if (stands_alone(state, runner) or server_of(state, runner) is not None)
        and where in {place(url) for url in own_addresses(runner.process)}
    )
    return max(there, key=lambda runner: (runner.key.started, runner.key.pid), default=None)


def _is_keeper_of_blobs_hidden(state: State) -> bool:
    """Whether a server here answers that keeps models as blobs, and its process is not seen."""
    if any(kind_named(server.kind).keeps_blobs for server in state.servers):
        return False
    return any(
        source.runtime is not None
        and source.health.state != "not_running"
        and kind_named(source.runtime).keeps_blobs
        and is_loopback(source.name)
        for source in state.sources.values()
    )
