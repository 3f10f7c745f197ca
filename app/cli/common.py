"""What commands share when they run: the settings in effect, and what the terminal can do."""

from __future__ import annotations

import codecs
import os
import sys
from functools import partial
from typing import TYPE_CHECKING, Literal, TextIO, TypeAlias

from gpumon.app.errors import GpumonError

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Sequence
    from types import SimpleNamespace

    from gpumon.app.config.load import Loaded
    from gpumon.app.config.settings import Settings
    from gpumon.app.feeds.live import LiveFeed
    from gpumon.app.monitor import Monitor

    Options: TypeAlias = Namespace | SimpleNamespace

VERSION_FLAGS = ("-V", "-v", "--version")

_POOR_FONT_TERMINALS = {"linux"}
"""Consoles whose fonts have no braille and no eighth blocks."""


def print_version() -> int:
    """Print the installed version; looking it up takes a while."""
    from importlib.metadata import version

    sys.stdout.write(f"gpumon {version('gpumon-llm')}\n")
    return 0


def load_settings(options: Options) -> Loaded:
    """Return the settings in effect, with their origins.

    Raises:
        ConfigError: something that was set cannot be used.
    """
    from gpumon.app.config.load import flag_entries, load

    return load(flag_entries(vars(options)), os.environ, getattr(options, "config", None))


def looked(settings: Settings, *, silently: bool = False) -> tuple[Monitor, tuple[str, ...]]:
    """Look once at all there is to see; return what is known then, and the names of what was not seen.

    What is waited for is said on stderr after some seconds, unless ``silently``.
    """
    from gpumon.app.crash import run
    from gpumon.app.snapshot.take import look

    monitor, feed = live_monitor(settings)
    say = None if silently else partial(say_waiting, monitor)
    return monitor, run(look(feed, monitor, expected=lambda: feed.names, say=say))


def live_monitor(settings: Settings) -> tuple[Monitor, LiveFeed]:
    """Return a monitor that knows nothing yet, and what is to feed it: all there is to see here."""
    from gpumon.app.monitor import Monitor
    from gpumon.app.session.build import live_feed

    monitor = Monitor(settings.alerts.limits())
    return monitor, live_feed(settings, monitor)


def say_waiting(monitor: Monitor, names: Sequence[str]) -> None:
    """Say on stderr what is waited for; a server that has not answered is called by what its process is."""
    from gpumon.app.insight.wording import source_label

    if sys.stderr is not None:
        kinds = {url: server.kind for server in monitor.state.servers for url in server.reached}
        labels = (source_label(name, kinds.get(name)) for name in names)
        sys.stderr.write(f"gpumon: waiting for {', '.join(labels)}\n")
        sys.stderr.flush()


def screen_settings(options: Options) -> Settings:
    """Return the settings in effect, with glyphs that this terminal can show.

    Raises:
        ConfigError: something that was set cannot be used.
    """
    from msgspec.structs import replace

    settings = load_settings(options).settings
    return replace(settings, glyphs=resolved_glyphs(settings.glyphs))


def require_terminal() -> None:
    """Make sure that the dashboard can be drawn and its keys read.

    Raises:
        GpumonError: it cannot; says what to do instead.
    """
    if os.environ.get("TEXTUAL_DRIVER"):  # it draws elsewhere: in a browser
        return
    if os.environ.get("TERM") == "dumb":
        raise GpumonError("this terminal cannot draw (TERM=dumb); try: gpumon snapshot")
    # Textual reads keys from stdin and draws on stderr.
    for name in ("stdin", "stdout", "stderr"):
        if not _is_terminal(getattr(sys, name)):
            raise GpumonError(f"the dashboard needs a terminal, and {name} is none; try: gpumon snapshot")


def resolved_glyphs(wanted: Literal["auto", "unicode", "ascii"]) -> Literal["unicode", "ascii"]:
    """Return the glyphs to draw with: ``auto`` follows the encoding of stderr and the console's font."""
    if wanted != "auto":
        return wanted
    encoding = getattr(sys.stderr, "encoding", None) or "ascii"
    poor_font = os.environ.get("TERM") in _POOR_FONT_TERMINALS
    return "unicode" if _is_utf8(encoding) and not poor_font else "ascii"


def _is_terminal(stream: TextIO | None) -> bool:
    return stream is not None and not stream.closed and stream.isatty()


def _is_utf8(encoding: str) -> bool:
    try:
        return codecs.lookup(encoding).name == "utf-8"
    except LookupError:
        return False
