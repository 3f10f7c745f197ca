"""``gpumon notify``: alerts told by a command, ntfy or the terminal, without a screen."""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from typing import TYPE_CHECKING

from gpumon.app.cli.common import load_settings
from gpumon.app.cli.flags import Commands, add_command, add_history_flags, add_source_flags
from gpumon.app.cli.output import print_text
from gpumon.app.errors import GpumonError
from gpumon.text.safe import visible

if TYPE_CHECKING:
    from gpumon.app.config.settings import Settings
    from gpumon.app.session.telling import Write

EXIT_FAILED = 1
NOBODY = "nobody is to be told: set notify.ntfy, notify.terminal or alerts.hook; see gpumon config init"


def add_to(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(commands, "notify", "tell of alerts without a screen, as the settings have it")
    parser.add_argument("--test", action="store_true", help="tell of nothing once, and say what became of it")
    parser.set_defaults(execute=execute)
    add_source_flags(parser)
    add_history_flags(parser)


def execute(options: Namespace) -> int:
    """Watch until told to end, or try each way once.

    Raises:
        GpumonError: nobody is to be told.
    """
    from gpumon.app.crash import run
    from gpumon.app.session.telling import is_told

    settings = load_settings(options).settings
    if not is_told(settings):
        raise GpumonError(NOBODY)
    if not options.test:
        run(_watched(settings))
        return 0
    outcomes = run(_tried(settings))
    print_text("".join(f"{name}: {words}\n" for name, words, _ in outcomes), "outcome")
    return 0 if all(is_well for *_, is_well in outcomes) else EXIT_FAILED


def say(words: str) -> None:
    """Say on stderr what went wrong."""
    if sys.stderr is not None:
        sys.stderr.write(f"gpumon: {visible(words)}\n")
        sys.stderr.flush()


async def _watched(settings: Settings) -> None:
    from gpumon.app.cli.recordings import until_told_to_end
    from gpumon.app.session.build import live_session
    from gpumon.app.session.telling import telling

    session = live_session(settings)
    async with telling(session, settings, say, _terminal()):
        await until_told_to_end(session)


async def _tried(settings: Settings) -> list[tuple[str, str, bool]]:
    """Return for each way its name, what became of it, and whether that is well."""
    import platform

    from gpumon.app.alerts.notices import Notice

    notice = Notice(f"gpumon on {platform.node()}", "this is a test: alerts arrive here", "watch")
    found: list[tuple[str, str, bool]] = []
    if settings.notify.ntfy:
        from gpumon.app.alerts.ntfy import Ntfy

        problem = await Ntfy(settings.notify.ntfy, settings.notify.ntfy_token, say).deliver(notice)
        found.append(("ntfy", problem or "sent", problem is None))
    if settings.notify.terminal != "off":
        from gpumon.app.alerts.terminal import Way, sequence, way_of

        way, write = await way_of(settings.notify.terminal, os.environ), _terminal()
        if isinstance(way, Way) and write is not None:
            write(sequence(notice, way))
            through = " through tmux" if way.through_tmux else ""
            found.append(("terminal", f"sent as OSC {way.osc.removeprefix('osc')}{through}", True))
        else:
            found.append(("terminal", "there is none here" if isinstance(way, Way) else way, False))
    if settings.alerts.hook:
        found.append(await _hook_tried(settings.alerts.hook))
    return found


async def _hook_tried(command: tuple[str, ...]) -> tuple[str, str, bool]:
    import time

    from gpumon.app.alerts.alert import Alert, AlertEvent
    from gpumon.app.alerts.sinks import DEADLINE_SECONDS, AlertHook

    problems: list[str] = []
    hook = AlertHook(command, problems.append)
    now = time.time()
    test = Alert(
        kind="source",
        subject_id="test",
        subject="test",
        severity="watch",
        since=now,
        until=now,
        ended="event",
        message="this is a test",
    )
    hook.tell(AlertEvent("raised", test))
    await hook.close(DEADLINE_SECONDS + 1)
    return "hook", problems[0] if problems else "has run", not problems


def _terminal() -> Write | None:
    """Return what writes to the terminal, where there is one."""
    out = sys.stdout
    if out is None or out.closed or not out.isatty():
        return None

    def write(text: str) -> None:
        out.write(text)
        out.flush()

    return write
