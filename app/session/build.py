"""Sessions: live, recorded while live, replayed, demonstrated; and whom the collectors are to ask next."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from msgspec.structs import replace

from gpumon.app.config.settings import Settings
from gpumon.app.feeds.live import LiveFeed
from gpumon.app.monitor import Monitor
from gpumon.app.session.session import Session
from gpumon.app.session.whom import (
    FoundServers,
    PerServer,
    asked,
    endpoint_at,
    endpoints,
    files_wanted,
    logging_servers,
    own_endpoint,
    runner_targets,
    seems_busy,
)
from gpumon.app.state.machine import gpu_pids
from gpumon.collectors.http.endpoint import Endpoint
from gpumon.collectors.samples import KnownBy, ModelFacts
from gpumon.collectors.servers.kind import ServerKind
from gpumon.collectors.servers.registry import kind_named
from gpumon.collectors.source import Cadence, Clock, Source, SystemClock

if TYPE_CHECKING:
    from gpumon.app.feeds.demo import DemoFeed
    from gpumon.app.feeds.followed import FollowedFeed
    from gpumon.app.history.live import LiveHistory
    from gpumon.app.learned import Keeper


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
    at = partial(endpoint_at, settings, monitor.state)
    unload = {} if settings.read_only else PerServer(at, lambda endpoint: partial(_unload, monitor, endpoint))
    session = Session(
        monitor,
        feed,
        cadence=feed.cadence,
        unload=unload,
        read_only=settings.read_only,
        describe=PerServer(at, lambda endpoint: partial(_describe, monitor, endpoint)),
        keeper=keeper,
    )
    if record_to is not None:
        _record(session, record_to)
    if settings.history.enabled:
        session.history = keep_history(settings, monitor, "dashboard" if record_to is None else "record")
    return session


def keep_history(settings: Settings, monitor: Monitor, command: str) -> LiveHistory:
    """Keep a history of what ``monitor`` sees of this machine; ``command`` is what has started it."""
    from gpumon.app.history.live import LiveHistory

    kept = settings.history
    age_seconds, size_bytes = kept.days * 86_400, kept.size_mib * 1024**2
    return LiveHistory(monitor, command, age_seconds=age_seconds, size_bytes=size_bytes)


def live_feed(settings: Settings, monitor: Monitor, keeper: Keeper | None = None) -> LiveFeed:
    """Return the feed of this machine and of every server in ``settings``, each server once.

    What ``monitor`` knows tells the later sources where to look: the processes that the driver names.
    """
    from gpumon.collectors.nvml.source import NvmlSource
    from gpumon.collectors.system.source import SystemSource

    clock = SystemClock()
    first: list[Source] = [SystemSource(clock), NvmlSource(clock)]
    others = partial(_other_sources, settings, monitor, keeper, clock)
    finder = FoundServers(settings, monitor, clock) if settings.servers.find else None
    return LiveFeed(first, others, Cadence(settings.interval_seconds), clock, finder)


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

    known_by: KnownBy = "url" if settings.names_servers else "default"
    learned = [_learned_source(clock, keeper)] if settings.learn.enabled else []
    return [
        *learned,
        ProcessSource(clock, lambda: gpu_pids(monitor.state), wanted=lambda: files_wanted(monitor.state)),
        RunnersSource(
            clock,
            lambda: runner_targets(monitor.state),
            lambda pid: seems_busy(monitor.state, pid),
            endpoint_of=partial(own_endpoint, settings),
        ),
        LogSource(clock, lambda: logging_servers(monitor.state), log_paths(settings)),
        MeterSource(clock, endpoints(settings), lambda: monitor.state.metered),
        PluginsSource(clock),
        *(ServerSource(asked(endpoint, monitor, clock, known_by)) for endpoint in endpoints(settings)),
    ]


def _learned_source(clock: Clock, keeper: Keeper | None) -> Source:
    from gpumon.app.learned import learned_path
    from gpumon.collectors.learned import LearnedSource

    return (
        LearnedSource(clock, learned_path(), keeper.trouble)
        if keeper
        else LearnedSource(clock, learned_path())
    )


async def _unload(monitor: Monitor, endpoint: Endpoint, name: str) -> str | None:
    return await _kind_at(monitor, endpoint).unload(endpoint, name)


async def _describe(monitor: Monitor, endpoint: Endpoint, name: str, digest: str) -> ModelFacts | str:
    from gpumon.app.session.describing import describe

    return await describe(monitor.state, endpoint, name, digest)


def _kind_at(monitor: Monitor, endpoint: Endpoint) -> ServerKind:
    """Return the kind of server that has answered at a URL, or whose process does."""
    source = monitor.state.sources.get(endpoint.url)
    if source is not None:
        return kind_named(source.runtime)
    there = (one.kind for key, one in monitor.state.models.items() if key.source == endpoint.url)
    return next(there, kind_named(None))


def log_paths(settings: Settings) -> list[Path]:
    """Return the logs that the user names."""
    return [Path(name).expanduser() for name in settings.log_files]


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

    return session_of_demo(settings, DemoFeed(scenario, time.time()))


def session_of_demo(settings: Settings, feed: DemoFeed) -> Session:
    """Show a demonstration: what changes a real server can be asked for changes its machine."""
    from gpumon.app.demo.server import SOURCE

    monitor = Monitor(settings.alerts.limits())
    return Session(monitor, feed, player=feed.player, demo=feed, unload={SOURCE: feed.unload})


def looks_of(settings: Settings) -> Settings:
    """Return what a screen needs of the settings that is fed by another process: no server, no secret."""
    glyphs: Literal["unicode", "ascii"] = "ascii" if settings.glyphs == "ascii" else "unicode"
    return Settings(
        theme=settings.theme,
        glyphs=glyphs,
        mouse=settings.mouse,
        panels=settings.panels,
        colors=settings.colors,
        alerts=replace(settings.alerts, hook=()),
        read_only=True,
    )


def followed_session(settings: Settings, feed: FollowedFeed) -> Session:
    """Show what another gpumon watches."""
    return Session(Monitor(settings.alerts.limits()), feed, read_only=True)


def _record(session: Session, path: Path) -> None:
    from gpumon.app.recording.lines import new_header
    from gpumon.app.recording.writer import Recorder

    session.recorder = Recorder(path, new_header(time.time()))
    session.monitor.listen(session.recorder.write, "recording")
