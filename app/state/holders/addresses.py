"""Where llama-servers on this machine are reached, those that no Ollama has started."""

from __future__ import annotations

from gpumon.app.state.places import is_loopback, place
from gpumon.app.state.records import RunnerRecord
from gpumon.app.state.state import State
from gpumon.collectors.runners.target import target_of
from gpumon.collectors.samples import ServerProcess


def stands_alone(state: State, runner: RunnerRecord) -> bool:
    """Tell whether a runner is a llama-server that Ollama has not started, or a model of such a router.

    One with a file of Ollama's may have been, where Ollama's own process is hidden from us.
    """
    if runner.process.kind != "llama_server":
        return False
    server = server_of(state, runner)
    if server is not None:
        return server.kind != "ollama"
    return runner.process.settings.blob is None or not _is_ollama_hidden(state)


def server_of(state: State, runner: RunnerRecord) -> ServerProcess | None:
    """Return the server that has started a runner, where there is one."""
    pid = runner.process.server_pid
    return next((server for server in state.servers if server.pid == pid), None) if pid else None


def addresses_of(state: State, runner: RunnerRecord) -> tuple[str, ...]:
    """Return the URLs at which clients reach a runner: of a router's model those of the router.

    None of one in a container, whose ports are published elsewhere.
    """
    server = server_of(state, runner)
    if server is not None and server.kind == "llama_server":
        return () if server.other_namespace else server.urls
    target = target_of(runner.process)
    return () if target.other_namespace or target.port is None else (target.url,)


def standalone_runner_at(state: State, source: str) -> RunnerRecord | None:
    """Return the llama-server without router that is reached at a URL, the newest if one is about to end."""
    where = place(source)
    there = (
        runner
        for runner in state.runners.values()
        if server_of(state, runner) is None
        and stands_alone(state, runner)
        and where in {place(url) for url in addresses_of(state, runner)}
    )
    return max(there, key=lambda runner: (runner.key.started, runner.key.pid), default=None)


def _is_ollama_hidden(state: State) -> bool:
    if any(server.kind == "ollama" for server in state.servers):
        return False
    return any(source.runtime == "ollama" and is_loopback(source.name) for source in state.sources.values())
