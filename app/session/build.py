"""Sessions: live, recorded while live, replayed, demonstrated."""

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
from gpumon.app.session.targets import known_runners, runner_targets, seems_busy, served_seems_busy
from gpumon.app.state.machine import gpu_pids
from gpumon.collectors.clock import Clock, SystemClock
from gpumon.collectors.http.endpoint import Endpoint, parse_endpoint
from gpumon.collectors.samples import ModelFacts
from gpumon.collectors.servers.kind import ServerKind
from gpumon.collectors.servers.registry import kind_named
from gpumon.collectors.source import Cadence, Source

if TYPE_CHECKING:
    from gpumon.app.learned.keeper import Keeper
    from gpumon.collectors.servers.kind import KnownRunners


def live_session(settings: Settings, record_to: Path | None = None) -> Session:
    """Watch this machine and the servers in ``settings``, and record to a file if one is given.

    Raises:
        RecordingError: the file cannot be written, or is something else than a recording.
    """
    from gpumon.app.learned.keeper import Keeper
    from gpumon.app.learned.place import learned_path

    monitor = Monitor(settings.alerts.limits())
    keeper = Keeper(lambda: monitor.state, learned_path()) if settings.learn.enabled else None
    if keeper is not None:
        monitor.listen(keeper.on_sample)
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
    from gpumon.collectors.meter.source import MeterSource
    from gpumon.collectors.processes.source import ProcessSource
    from gpumon.collectors.runners.source import RunnersSource
    from gpumon.collectors.server_log.source import LogSource
    from gpumon.collectors.servers.kind import Asked
    from gpumon.collectors.servers.registry import PluginsSource
    from gpumon.collectors.servers.source import ServerSource

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
                )
            )
            for endpoint in endpoints(settings)
        ),
    ]


def _seems_busy(monitor: Monitor, url: str, name: str) -> bool | None:
    return served_seems_busy(monitor.state, url, name)


def _known_runners(monitor: Monitor, url: str) -> KnownRunners | None:
    return known_runners(monitor.state, url)


def _learned_source(clock: Clock, keeper: Keeper | None) -> Source:
    from gpumon.app.learned.place import learned_path
    from gpumon.collectors.learned.source import LearnedSource

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
    from gpumon.app.feeds.replay import ReplayFeed
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
    session.monitor.listen(session.recorder.write)
