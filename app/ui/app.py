"""The Textual application: runs the feed, asks the screen in front to draw, and owns the global keys."""

from __future__ import annotations

import asyncio
import errno
import gc
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, ClassVar

from textual import on
from textual.app import App
from textual.binding import BindingType
from textual.theme import Theme
from textual.timer import Timer

from gpumon.app.crash import watch_for_deaths, write_crash_report
from gpumon.app.errors import GpumonError
from gpumon.app.session.session import Session
from gpumon.app.ui.keys import APP_KEYS, DEMO_KEYS, REPLAY_KEYS, Key, bindings
from gpumon.app.ui.notices import LEVELS, Notice, Notices
from gpumon.app.ui.screens.base import LiveScreen
from gpumon.app.ui.screens.dashboard import DashboardScreen
from gpumon.app.ui.textual_internals import SteadyApp
from gpumon.app.ui.themes import next_theme, take_theme
from gpumon.collectors.samples import AnySample, NvmlSample, WorkSample
from gpumon.widgets.hints import HintBar
from gpumon.widgets.kit.lines import Glyphs

if TYPE_CHECKING:
    from textual.notifications import SeverityLevel

    from gpumon.app.alerts.alert import AlertEvent
    from gpumon.app.session.telling import MakeTeller
    from gpumon.app.ui.model_actions import ModelActions
    from gpumon.collectors.source import Cadence


GRACE_SECONDS = 3.0
"""How long leaving may take. A terminal that has gone can block Textual's writer for ever."""

HUNG_UP = 128 + signal.SIGHUP
"""The exit code for a terminal that has gone, by whichever way that is learnt."""

ENDINGS = (signal.SIGTERM, signal.SIGHUP)
"""Textual's driver leaves these alone, and the terminal with them in its own mode."""

TERMINAL_GONE = frozenset({errno.EIO, errno.ENXIO})
"""What reading and writing say once the terminal has been closed (Linux, tty_io.c: a hung-up tty)."""


def leave_on_signals(leave: Callable[[int], None]) -> None:
    """Call ``leave`` with the exit code when told to end; end the process if that does not."""
    loop = asyncio.get_running_loop()
    for number in ENDINGS:
        loop.add_signal_handler(number, leave_for_certain, leave, 128 + number)


def leave_for_certain(leave: Callable[[int], None], code: int) -> None:
    """Call ``leave`` with ``code``, and end the process if that does not."""
    end_for_certain(code)
    leave(code)


def end_for_certain(code: int) -> None:
    """End the process with ``code`` if it has not ended by itself within ``GRACE_SECONDS``."""
    last_resort = threading.Timer(GRACE_SECONDS, os._exit, [code])
    last_resort.daemon = True
    last_resort.start()


def is_terminal_gone(error: BaseException) -> bool:
    """Whether ``error`` is what a thread that reads or writes a closed terminal dies of."""
    return isinstance(error, OSError) and error.errno in TERMINAL_GONE


GATHER_SECONDS = 0.05
"""Samples that come within this time of each other are drawn together."""

SHORTEST_SECONDS = 0.2
LONGEST_SECONDS = 3.0
"""However long the interval, the screen is drawn at least this often, half as often without focus."""

UNFOCUSED_FACTOR = 2.0


class DrawPace:
    """Says when the next picture is due. Times are those of a monotonic clock, in seconds."""

    def __init__(self) -> None:
        self._drawn = float("-inf")

    def drew(self, now: float) -> None:
        """Record that the screen has just been drawn."""
        self._drawn = now

    def delay(self, now: float, interval: float | None, *, focused: bool, urgent: bool) -> float:
        """Return seconds until the next picture; ``interval`` is that of polls, ``None`` for a recording."""
        if urgent:
            return GATHER_SECONDS
        distance = min(max(0.9 * (interval or SHORTEST_SECONDS), SHORTEST_SECONDS), LONGEST_SECONDS)
        if not focused:
            distance *= UNFOCUSED_FACTOR
        return max(GATHER_SECONDS, self._drawn + distance - now)


SETTLED_SECONDS = 3.0
"""By then every source has been imported and heard from."""


def spare_what_lasts() -> None:
    """Exempt everything that exists now from garbage collection, and switch collection on.

    A full collection would spend 30 ms on some 100,000 objects of modules and widgets, and free none.
    """
    gc.freeze()
    gc.enable()


INTERVALS_SECONDS = (0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)


def step_interval(cadence: Cadence, step: int) -> None:
    """Switch to the next longer or shorter interval, if there is one."""
    longer = [value for value in INTERVALS_SECONDS if value > cadence.interval]
    shorter = [value for value in INTERVALS_SECONDS if value < cadence.interval]
    if step > 0 and longer:
        cadence.change(longer[0])
    elif step < 0 and shorter:
        cadence.change(shorter[-1])


def bind(app: App[int], keys: tuple[Key, ...]) -> None:
    """Bind keys that only some sessions have."""
    for one in bindings(keys):
        app.bind(one.key, one.action, description=one.description, show=one.show, key_display=one.key_display)


class GpumonApp(SteadyApp):
    """The dashboard of one session."""

    TITLE = "gpumon"
    CSS_PATH = "gpumon.tcss"
    ENABLE_COMMAND_PALETTE = False  # ours answers to the same key
    BINDINGS: ClassVar[list[BindingType]] = [*bindings(APP_KEYS, REPLAY_KEYS)]

    def __init__(
        self,
        session: Session,
        glyphs: Glyphs,
        *,
        theme: Theme | None = None,
        colors: Mapping[str, str] | None = None,
        bell: bool = False,
        teller: MakeTeller | None = None,
    ) -> None:
        # Without colour only the terminal's own palette is legible, and Textual must know before it starts.
        super().__init__(ansi_color=True if "NO_COLOR" in os.environ else None)
        self.set_class(glyphs.ascii_only, "-ascii")
        self.session = session
        session.look_back()
        self.glyphs = glyphs
        self._wanted_theme = theme
        self._colors = colors or {}
        self._bell = bell
        self._teller = teller(self.warn, self.write_past) if teller is not None else None
        self._model_actions: ModelActions | None = None
        self._draw_pace = DrawPace()
        self._draw_timer: Timer | None = None
        self._draw_due = 0.0
        self._heard: set[str] = set()
        self._feed: asyncio.Task[None] | None = None
        self._notices = Notices(self, glyphs)
        self._watching = ExitStack()
        self.crashed = False
        """Whether it ended of an error, whatever has been asked for since."""

    def _actions(self) -> ModelActions:
        """Return what acts on models, created on first use."""
        if self._model_actions is None:
            from gpumon.app.ui.model_actions import ModelActions  # noqa: PLC0415 - keeps the start quick

            self._model_actions = ModelActions(self, self.session, self.glyphs)
        return self._model_actions

    def get_default_screen(self) -> DashboardScreen:
        """Open with the dashboard."""
        return DashboardScreen(self.session, self.glyphs)

    def on_mount(self) -> None:
        """Start the feed at once: the driver is asked in a thread of its own while the frame is made."""
        take_theme(self, self._wanted_theme, self._colors)
        leave_on_signals(self.exit)
        self._watching.enter_context(watch_for_deaths(self.fail))
        self._listen()
        self.screen_change_signal.subscribe(self, self._notices.look)
        self.app_resume_signal.subscribe(self, self._repaint_after_suspension)
        if self.session.demo:
            bind(self, DEMO_KEYS)
        self._feed = asyncio.create_task(self._run_feed(), name="feed")
        if not self.is_headless:
            self.set_timer(SETTLED_SECONDS, spare_what_lasts)

    def _listen(self) -> None:
        self.session.monitor.listen(self._on_sample, "screen")

    def _repaint_after_suspension(self, _app: App[Any]) -> None:
        """Draw every cell: the shell had the terminal, and panels draw only what has changed."""
        self.action_repaint()

    async def on_unmount(self) -> None:
        """Stop the feed and release what it holds."""
        if self._feed is not None:
            self._feed.cancel()
            await asyncio.gather(self._feed, return_exceptions=True)
        if self._teller is not None:
            await self._teller.close()
        await self.session.close()
        self._watching.close()

    async def _run_feed(self) -> None:
        try:
            await self.session.feed.run(self.session.monitor)
        except GpumonError as error:
            self.exit(1, return_code=1, message=f"gpumon: {error}")
        except Exception as error:
            self.fail(error)

    def _on_sample(self, sample: AnySample) -> None:
        self.hear(sample, self.session.monitor.alerts.fresh())

    def hear(self, sample: AnySample, events: Sequence[AlertEvent], host: str = "") -> None:
        """Take note of a sample, and tell what is new; ``host`` is where, if there are several."""
        for event in events:
            if self._teller is not None:
                self._teller.tell(event, host)
            if self._bell and event.change != "ended" and event.alert.severity == "bad":
                self.bell()
            if self.session.is_past and event.change == "raised":
                self.notify(f"now: {host}{': ' * bool(host)}{event.alert.message}", severity="warning")
        if self._model_actions is not None:
            self._model_actions.look()
        source = f"{host} {sample.source}"
        is_first = not isinstance(sample, WorkSample) and source not in self._heard
        if is_first:
            self._heard.add(source)
        if is_first and isinstance(sample, NvmlSample):
            self.call_later(self._draw)  # what the user waits for, and no other source is worth a wait
        else:
            self._draw_soon(urgent=is_first or bool(events))

    def _draw_soon(self, *, urgent: bool) -> None:
        now = time.monotonic()
        delay = self._draw_pace.delay(
            now, self.session.picture_seconds, focused=self.app_focus, urgent=urgent
        )
        if self._draw_timer is not None:
            if self._draw_due <= now + delay:
                return
            self._draw_timer.stop()
        self._draw_due = now + delay
        self._draw_timer = self.set_timer(delay, self._draw)

    def _draw(self) -> None:
        if self._draw_timer is not None:
            self._draw_timer.stop()
            self._draw_timer = None
        self._draw_pace.drew(time.monotonic())
        in_front = self.screen_stack[-1:]  # there is none while the program ends
        if in_front and isinstance(in_front[0], LiveScreen):
            in_front[0].draw()

    def warn(self, words: str) -> None:
        """Show one line for a moment; what it names from outside is drawn as it is."""
        self.notify(words, severity="error")

    def crash(self, error: Exception) -> None:
        """Leave with one line on the terminal; the traceback goes into a file."""
        if is_terminal_gone(error):
            leave_for_certain(self.exit, HUNG_UP)
        elif not self.crashed:
            self.crashed = True
            end_for_certain(1)
            self.exit(1, return_code=1, message=f"gpumon: {write_crash_report(error)}")

    def notify(
        self,
        message: str,
        *,
        title: str = "",
        severity: SeverityLevel = "information",
        timeout: float | None = None,
        markup: bool = True,
    ) -> None:
        """Show a notice in the line of the hints: Textual's own would lie over figures."""
        del title, timeout, markup
        self._notices.say(Notice(message, LEVELS[severity]))

    def clear_notifications(self) -> None:
        """Show the hints again."""
        self._notices.clear()

    @on(HintBar.Pressed)
    async def press(self, message: HintBar.Pressed) -> None:
        """Do what the key of the clicked hint does."""
        for active in self.screen.active_bindings.values():
            if active.binding.action == message.action:
                await self.run_action(message.action, active.node)
                return

    # Keys

    def action_command_palette(self) -> None:
        """Offer everything by name."""
        from gpumon.app.ui.screens.palette import PaletteScreen, offers  # noqa: PLC0415 - keeps the start quick

        if isinstance(self.screen, PaletteScreen):
            return
        found = offers(self, self.session)

        def chosen(key: str | None) -> None:
            if key is not None:
                self.call_later(found[key].run)

        self.push_screen(PaletteScreen([offer.row for offer in found.values()], self.glyphs), chosen)

    def action_pause(self) -> None:
        """Freeze the screen, or the player of a recording."""
        player = self.session.player
        if self.session.is_past:  # it stands still already: as any other key
            self.session.to_now()
        elif player is None:
            self.session.choices.paused = not self.session.choices.paused
        elif player.paused:
            player.resume()
        else:
            player.pause()
        self._draw()

    def action_interval(self, step: int) -> None:
        """Switch to the next longer or shorter interval; a recording is played faster or slower."""
        if (player := self.session.player) is not None:
            (player.faster if step > 0 else player.slower)()
        elif self.session.cadence is not None:
            step_interval(self.session.cadence, step)
        self._draw()

    def action_step(self) -> None:
        """Pause the player and go one second on."""
        if self.session.player:
            self.session.to_now()
            self.session.player.step()

    def action_seek(self, seconds: float) -> None:
        """Move the player in time."""
        if self.session.player:
            self.session.to_now()
            self.session.player.seek_by(seconds)

    def action_scenario(self, step: int) -> None:
        """Play another scenario of the demonstration, so many further in the list."""
        if self.session.change_scenario(step):
            self._model_actions = None
            self.start_over()

    def action_next_theme(self) -> None:
        """Switch to the next colour theme."""
        self.theme = next_theme(self)

    def action_repaint(self) -> None:
        """Redraw every cell."""
        self.refresh(repaint=True, layout=True)

    def action_unload(self) -> None:
        """Unload the selected model, after a question."""
        if isinstance(self.screen, LiveScreen) and not self.screen.is_refused():
            self._actions().unload(self.screen.selected)

    def action_copy(self) -> None:
        """Copy the command that helps the selected model."""
        if isinstance(self.screen, LiveScreen) and not self.screen.is_refused():
            self._actions().copy(self.screen.selected, self.screen.cure)

    def action_help(self) -> None:
        """Explain the keys."""
        from gpumon.app.ui.screens.help import HelpScreen  # noqa: PLC0415 - keeps the start quick

        self.push_screen(HelpScreen(self.glyphs, self.session))
