"""Whom to ask: the servers that are named, those that are found on this machine, and the runners here."""

from __future__ import annotations

import dataclasses
import socket
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from msgspec.structs import replace

from gpumon.app.config.settings import Settings
from gpumon.app.state.holders.addresses import runners_to_ask, servers_found
from gpumon.app.state.holders.joins import name_of, sources_of
from gpumon.app.state.places import is_local, place
from gpumon.app.state.records import ModelKey, RunnerRecord, is_server
from gpumon.app.state.state import State
from gpumon.collectors.http.endpoint import Endpoint, is_address, is_loopback_host, parse_endpoint
from gpumon.collectors.processes.model_files import WantedFile
from gpumon.collectors.processes.owners import entrance
from gpumon.collectors.runners.target import RunnerTarget, target_of
from gpumon.collectors.samples import KnownBy, RunnerProcess, ServerProcess
from gpumon.collectors.servers.registry import kind_named, kind_of_runner
from gpumon.collectors.servers.talk import Asked, KnownRunners
from gpumon.collectors.source import Clock, Source

if TYPE_CHECKING:
    from gpumon.app.monitor import Monitor  # which takes 40 ms: gpumon fit needs the addresses alone

_T = TypeVar("_T")

BUSY_GPU_PERCENT = 10
"""Utilisation from which a GPU works on something."""
ASKING_CPU_PERCENT = 5.0
"""From here on a runner is worth a question: short requests fill a small part of the time."""
RESTING_CPU_PERCENT = 1.0
"""Whoever has a GPU at work uses as much of the CPU; below, the work is another program's."""


def runner_targets(state: State) -> list[RunnerTarget]:
    """Return the runners to ask on their own ports."""
    wanting = {
        place(source.name)
        for source in state.sources.values()
        if source.health.state == "forbidden" and source.known_by != "process" and is_server(source.name)
    }
    targets = [target_of(runner.process) for runner in runners_to_ask(state)]
    return [replace(one, wants_key=True) if place(one.url) in wanting else one for one in targets]


def logging_servers(state: State) -> tuple[ServerProcess, ...]:
    """Return the servers whose logs are wanted: those that hold one model themselves too, where it tells."""
    alone = (one.process for one in state.runners.values() if one.kind.writes_log)
    return (*state.servers, *(_as_server(one) for one in alone))


def _as_server(process: RunnerProcess) -> ServerProcess:
    return ServerProcess(
        pid=process.pid,
        started=process.started,
        kind=kind_of_runner(process.kind).name,
        other_namespace=process.other_namespace,
        holds_model=True,
    )


def served_seems_busy(state: State, source: str, name: str) -> bool | None:
    """Whether the process of a server's model works; ``None`` where it is not known."""
    model = state.models.get(ModelKey(source, name))
    return seems_busy(state, model.runner.pid) if model is not None and model.runner else None


def known_runners(state: State, url: str) -> KnownRunners | None:
    """Return the processes that hold the models of the server at ``url``; ``None`` where they are not seen.

    Those in a container are where it is known under which port that is published.
    """
    looks = state.sources.get("processes")
    servers = {server.pid for server in state.servers if place(url) in map(place, server.reached)}
    if not servers or looks is None or not looks.healthy:
        return None
    own = [runner for runner in state.runners.values() if runner.process.server_pid in servers]
    return KnownRunners(
        frozenset((runner.key.pid, runner.key.started) for runner in own),
        loading=not all(runner.load_over for runner in own),
    )


def unnamed_blobs(state: State, url: str) -> frozenset[str]:
    """Return the files that processes of the server at ``url`` may hold, and that have no name on this disk.

    None before the disk was looked at: names that can be read there are asked of nobody.
    """
    if not is_local(url, state.servers) or not _is_disk_read(state):
        return frozenset()
    return frozenset(
        blob
        for runner in state.runners.values()
        if (blob := runner.process.settings.blob) is not None
        and name_of(state, runner.process.settings) is None
        and url in (sources_of(state, runner) or (url,))
    )


def _is_disk_read(state: State) -> bool:
    """Return whether the manifests of each server here have been read, or cannot be."""
    paths = (server.models_path for server in state.servers if server.models_path)
    return all(f"models {path}" in state.blob_names for path in paths)


DESCRIBED_WITHIN_SECONDS = 5.0
"""A server that describes its models has done so by then, or will not."""


def files_wanted(state: State) -> Iterator[WantedFile]:
    """Yield the processes of models of which no server has said what they hold, and whose file is known.

    Of one that is loading at once: from its file it is known whether it will fit.
    """
    for load in state.loads.values():
        runner, path = state.runners.get(load.key), load.settings.model_path
        if runner is not None and runner.file is None and path is not None:
            settings = load.settings
            yield WantedFile(
                load.key.pid, load.key.started, path, settings.projector_path, settings.draft_path
            )
    for model in state.models.values():
        runner = state.runner_of(model)
        if runner is None or runner.file is not None or model.facts is not None:
            continue
        settings, patience = runner.process.settings, DESCRIBED_WITHIN_SECONDS
        path = settings.model_path or (runner.facts.model_path if runner.facts else None)
        if path and state.now - model.first_seen >= (patience if model.kind.manages_memory else 0.0):
            key = runner.key
            yield WantedFile(key.pid, key.started, path, settings.projector_path, settings.draft_path)


def seems_busy(state: State, pid: int) -> bool | None:
    """Return, by its CPU use or by its GPUs, whether a runner works; ``None`` where neither is known."""
    runner = next((runner for key, runner in state.runners.items() if key.pid == pid), None)
    if runner is None:
        return None
    cpu, gpus_busy = runner.process.cpu_percent, _gpus_busy(state, runner)
    if cpu is None:
        return gpus_busy
    return cpu >= (RESTING_CPU_PERCENT if gpus_busy else ASKING_CPU_PERCENT)


def _gpus_busy(state: State, runner: RunnerRecord) -> bool | None:
    readings = [state.gpus[uuid].reading for uuid in runner.vram_by_gpu if uuid in state.gpus]
    known = [r.utilization_percent for r in readings if r.utilization_percent is not None]
    return max(known) >= BUSY_GPU_PERCENT if known else None


def asked(endpoint: Endpoint, monitor: Monitor, clock: Clock, known_by: KnownBy) -> Asked:
    """Return a server to ask, with what is known of its processes."""
    return Asked(
        endpoint=endpoint,
        clock=clock,
        known_by=known_by,
        is_active=lambda name: served_seems_busy(monitor.state, endpoint.url, name),
        runners=lambda: known_runners(monitor.state, endpoint.url),
        unnamed_blobs=lambda: unnamed_blobs(monitor.state, endpoint.url),
    )


def endpoints(settings: Settings) -> list[Endpoint]:
    """Return the servers to ask; two spellings of one address are one server."""
    return list({found.url: found for found in (_endpoint(settings, url) for url in settings.urls)}.values())


def endpoint_at(settings: Settings, state: State, url: str) -> Endpoint | None:
    """Return how to reach a server that is asked: one that is named, or one that is found."""
    named = next((endpoint for endpoint in endpoints(settings) if endpoint.url == url), None)
    source = state.sources.get(url)
    if named is None and source is None and _holds_model_at(state, url):
        return own_endpoint(settings, url)
    if named is not None or source is None or source.known_by != "process":
        return named
    server = next((server for server in state.servers if url in server.reached), None)
    return _found_endpoint(settings, url, server)


def _holds_model_at(state: State, url: str) -> bool:
    """Whether a process that is asked on its own port alone has answered there, and unloads when asked."""
    own = (one for key, one in state.models.items() if key.source == url and one.process is not None)
    runners = ((one, state.runner_of(one)) for one in own if one.kind.unloads)
    return any(
        runner.answer is not None and runner.answer.state == "ready" for _, runner in runners if runner
    )


def own_endpoint(settings: Settings, url: str) -> Endpoint:
    """Return how to reach a program that nobody has named: it is sent what is set for its own URL only."""
    return _endpoint(settings, url, is_named=False)


def _found_endpoint(settings: Settings, url: str, server: ServerProcess | None) -> Endpoint:
    """Return how to reach a server that is found: at a container's own address from the inside, if we may."""
    is_inside = server is not None and server.other_namespace and server.at_own_address
    namespace = entrance(server.pid) if server is not None and is_inside else None
    return dataclasses.replace(own_endpoint(settings, url), namespace=namespace)


def _endpoint(settings: Settings, url: str, *, is_named: bool = True) -> Endpoint:
    ca_file = Path(settings.ca_file).expanduser() if settings.ca_file else None
    found = parse_endpoint(url, settings.headers_for(url, is_named=is_named), ca_file, settings.insecure)
    return found if is_named else dataclasses.replace(found, is_here=True)


class FoundServers:
    """The servers among this machine's processes that nobody has named, each once."""

    def __init__(self, settings: Settings, monitor: Monitor, clock: Clock) -> None:
        self._settings = settings
        self._monitor = monitor
        self._clock = clock
        self._named = tuple(endpoint.url for endpoint in endpoints(settings))
        self._taken = (*self._named, *map(_as_seen_here, endpoints(settings)))

    def found(self) -> Mapping[str, ServerProcess]:
        """Return them by the URL at which to ask each."""
        return servers_found(self._monitor.state, self._taken)

    def may_start(self) -> bool:
        """Whether each named server was heard, and is known to be a meter before another one or none."""
        state = self._monitor.state
        return state.sources.keys() >= set(self._named) and None not in state.metered.values()

    def source(self, url: str, server: ServerProcess) -> Source:
        """Return a new source that asks one of them as the kind that its process shows it to be."""
        from gpumon.collectors.servers.source import ServerSource  # noqa: PLC0415 - not before one is found

        whom = asked(_found_endpoint(self._settings, url, server), self._monitor, self._clock, "process")
        return ServerSource(whom, expected=kind_named(server.kind))


class PerServer(Mapping[str, _T]):
    """What can be done at each server that is asked now, by its URL."""

    def __init__(self, endpoint_of: Callable[[str], Endpoint | None], make: Callable[[Endpoint], _T]) -> None:
        self._endpoint_of = endpoint_of
        self._make = make

    def __getitem__(self, url: str) -> _T:
        """Return it for one server."""
        endpoint = self._endpoint_of(url)
        if endpoint is None:
            raise KeyError(url)
        return self._make(endpoint)

    def __iter__(self) -> Iterator[str]:
        """Return nothing: servers come and go, so ask for one."""
        return iter(())

    def __len__(self) -> int:
        """Return how many are listed."""
        return 0


def _as_seen_here(endpoint: Endpoint) -> str:
    """Return the loopback URL of a server that is named by another address of this machine; else its own."""
    address = endpoint.address
    if is_loopback_host(address.host) or not _is_this_machine(address.host):
        return endpoint.url
    return f"http://127.0.0.1:{address.port}"


def _is_this_machine(host: str) -> bool:
    """Whether a host is this machine by its name or by one of its addresses; no name is looked up."""
    own = socket.gethostname().lower()
    if not is_address(host):
        return host.lower() in {own, own.partition(".")[0], f"{own.partition('.')[0]}.local"}
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as own_end:
            own_end.bind((host, 0))  # nothing is sent: only an address of this machine can be taken
    except OSError:
        return False
    return True
