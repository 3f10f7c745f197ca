"""Sessions: live, recorded while live, replayed, demonstrated; and whom the collectors are to ask next."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from gpumon.app.config.settings import Settings
from gpumon.app.feeds.live import LiveFeed
from gpumon.app.monitor import Monitor
from gpumon.app.session.session import Describe, Session, Unload
from gpumon.app.state.holders.joins import name_of, sources_of
from gpumon.app.state.machine import gpu_pids
from gpumon.app.state.places import is_local, place
from gpumon.app.state.records import ModelKey, RunnerRecord
from gpumon.app.state.state import State
from gpumon.app.state.work import WORKING_CPU_PERCENT
from gpumon.collectors.clock import Clock, SystemClock
from gpumon.collectors.http.endpoint import Endpoint, parse_endpoint
from gpumon.collectors.runners.target import RunnerTarget, target_of
from gpumon.collectors.samples import ModelFacts
from gpumon.collectors.servers.kind import ServerKind
from gpumon.collectors.servers.registry import kind_named
from gpumon.collectors.servers.talk import KnownRunners
from gpumon.collectors.source import Cadence, Source

if TYPE_CHECKING:
    from gpumon.app.learned import Keeper


BUSY_GPU_PERCENT = 10
"""Utilisation from which a GPU works on something."""


def runner_targets(state: State) -> list[RunnerTarget]:
    """Return the runners to ask on their own ports: not those of a llama-server that is asked by its URL."""
    return [target_of(runner.process) for runner in state.runners.values() if not _is_served(state, runner)]


def served_seems_busy(state: State, source: str, name: str) -> bool | None:
    """Whether the process of a server's model works; ``None`` where it is not known."""
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


def seems_busy(state: State, pid: int) -> bool | None:
    """Return, by its CPU use or by its GPUs, whether a runner works; ``None`` where neither is known."""
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


def live_session(settings: Settings, record_to: Path | None = None) -> Session:
    """Watch this machine and the servers in ``settings``, and record to a file if one is given.

    Raises:
        RecordingError: the file cannot be written, or is something else than a recording.
    """
    from gpumon.app.learned import Keeper, learned_path

    monitor = Monitor(settings.alerts.limits())
    keeper = Keeper(lambda: monitor.state, learned_path()) if settings.learn.enabled else None
    if keeper is not None:
        monitor.listen(keeper.on_sample, "what is learned")
    feed = live_feed(settings, monitor, keeper)
    session = Session(
        monitor,
        feed,
        cadence=feed.cadence,
        unload=unloads(settings, monitor),
        describe=describes(settings, monitor),
        keeper=keeper,
    )
    if record_to is not None:
        _record(session, record_to)
    return session


def live_feed(settings: Settings, monitor: Monitor, keeper: Keeper | None = None) -> LiveFeed:
    """Return the feed of this machine and of every server in ``settings``, each server once.

    What ``monitor`` knows tells the later sources where to look: the processes that the driver names.
    """
    from gpumon.collectors.nvml.source import NvmlSource
    from gpumon.collectors.system.source import SystemSource

    clock = SystemClock()
    first: list[Source] = [SystemSource(clock), NvmlSource(clock)]
    others = partial(_other_sources, settings, monitor, keeper, clock)
    return LiveFeed(first, others, Cadence(settings.interval_seconds), clock)


def _other_sources(
    settings: Settings, monitor: Monitor, keeper: Keeper | None, clock: Clock
) -> Sequence[Source]:
    """Return what the driver's processes and the configured servers lead to."""
    from gpumon.collectors.meter import MeterSource
    from gpumon.collectors.processes.source import ProcessSource
    from gpumon.collectors.runners.source import RunnersSource
    from gpumon.collectors.server_log.source import LogSource
    from gpumon.collectors.servers.registry import PluginsSource
    from gpumon.collectors.servers.source import ServerSource
    from gpumon.collectors.servers.talk import Asked

    learned = [_learned_source(clock, keeper)] if settings.learn.enabled else []
    return [
        *learned,
        ProcessSource(clock, lambda: gpu_pids(monitor.state)),
        RunnersSource(
            clock, lambda: runner_targets(monitor.state), lambda pid: seems_busy(monitor.state, pid)
        ),
        LogSource(clock, lambda: monitor.state.servers, log_paths(settings)),
        MeterSource(clock, endpoints(settings), lambda: monitor.state.metered),
        PluginsSource(clock),
        *(
            ServerSource(
                Asked(
                    endpoint=endpoint,
                    clock=clock,
                    is_active=partial(_seems_busy, monitor, endpoint.url),
                    runners=partial(_known_runners, monitor, endpoint.url),
                    unnamed_blobs=partial(_unnamed_blobs, monitor, endpoint.url),
                )
            )
            for endpoint in endpoints(settings)
        ),
    ]


def _seems_busy(monitor: Monitor, url: str, name: str) -> bool | None:
    return served_seems_busy(monitor.state, url, name)


def _known_runners(monitor: Monitor, url: str) -> KnownRunners | None:
    return known_runners(monitor.state, url)


def _unnamed_blobs(monitor: Monitor, url: str) -> frozenset[str]:
    return unnamed_blobs(monitor.state, url)


def _learned_source(clock: Clock, keeper: Keeper | None) -> Source:
    from gpumon.app.learned import learned_path
    from gpumon.collectors.learned import LearnedSource

    return (
        LearnedSource(clock, learned_path(), keeper.trouble)
        if keeper
        else LearnedSource(clock, learned_path())
    )


def unloads(settings: Settings, monitor: Monitor) -> dict[str, Unload]:
    """Return how to unload a model of each server in ``settings``, by the server's URL."""
    return {endpoint.url: partial(_unload, monitor, endpoint) for endpoint in endpoints(settings)}


async def _unload(monitor: Monitor, endpoint: Endpoint, name: str) -> str | None:
    return await _kind_at(monitor, endpoint).unload(endpoint, name)


def describes(settings: Settings, monitor: Monitor) -> dict[str, Describe]:
    """Return how to learn what an installed model's file holds, by the server's URL."""
    return {endpoint.url: partial(_describe, monitor, endpoint) for endpoint in endpoints(settings)}


async def _describe(monitor: Monitor, endpoint: Endpoint, name: str, digest: str) -> ModelFacts | str:
    return await _kind_at(monitor, endpoint).describe(endpoint, SystemClock(), name, digest)


def _kind_at(monitor: Monitor, endpoint: Endpoint) -> ServerKind:
    """Return the kind of server that has answered at a URL."""
    source = monitor.state.sources.get(endpoint.url)
    return kind_named(source.runtime if source else None)


def log_paths(settings: Settings) -> list[Path]:
    """Return the logs that the user names."""
    return [Path(name).expanduser() for name in settings.log_files]


def endpoints(settings: Settings) -> list[Endpoint]:
    """Return the servers to ask; two spellings of one address are one server."""
    ca_file = Path(settings.ca_file).expanduser() if settings.ca_file else None
    parsed = (
        parse_endpoint(url, settings.headers_for(url), ca_file, settings.insecure) for url in settings.urls
    )
    return list({endpoint.url: endpoint for endpoint in parsed}.values())


def replay_session(settings: Settings, path: Path, speed: float, at_seconds: float) -> Session:
    """Show the recording at ``path`` from ``at_seconds`` after its start.

    Raises:
        RecordingError: the file cannot be read, or is no recording.
    """
    from gpumon.app.feeds.player import ReplayFeed
    from gpumon.app.recording.reader import read_recording

    recording = read_recording(path)
    feed = ReplayFeed(recording, speed=speed)
    first = recording.first_time()
    if at_seconds and first is not None:
        feed.player.seek(first + at_seconds)
    return Session(Monitor(settings.alerts.limits()), feed, player=feed.player)


def demo_session(settings: Settings, scenario: str) -> Session:
    """Show a built-in scenario.

    Raises:
        GpumonError: there is no scenario of that name.
    """
    from gpumon.app.feeds.demo import DemoFeed

    feed = DemoFeed(scenario, time.time())
    return Session(Monitor(settings.alerts.limits()), feed, player=feed.player)


def _record(session: Session, path: Path) -> None:
    from gpumon.app.recording.lines import new_header
    from gpumon.app.recording.writer import Recorder

    session.recorder = Recorder(path, new_header(time.time()))
    session.monitor.listen(session.recorder.write, "recording")
