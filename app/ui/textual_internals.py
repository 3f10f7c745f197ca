"""Where Textual is mended, and all that rests on its private names: keyboard, writer, screens, hooks.

``tests/app/ui/test_textual_internals.py`` says which of them has changed with a new Textual.
"""

from __future__ import annotations

import codecs
import errno
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import cached_property, partial
from types import FrameType
from typing import Any, ClassVar

from rich.console import Console, RenderableType
from textual import events
from textual._compositor import ChopsUpdate
from textual._parser import ParseError
from textual._xterm_parser import XTermParser
from textual.app import App
from textual.await_complete import AwaitComplete
from textual.binding import Binding, BindingType
from textual.driver import Driver
from textual.drivers import linux_driver
from textual.drivers._writer_thread import WriterThread
from textual.drivers.linux_driver import LinuxDriver
from textual.message import Message
from textual.screen import Screen, ScreenResultType
from textual.widgets import Input

from gpumon.widgets.kit.updates import update_text


class SteadyParser(XTermParser):
    """Reads keys from what the terminal sends, and passes over what cannot be understood.

    Textual's own ends with the program for a number that is no character, or a size of nothing.
    """

    def feed(self, data: str) -> Iterable[Message]:
        """Yield the keys in ``data``; the end of the input for an empty one.

        Raises:
            ParseError: the input has ended before.
        """
        if not data:
            yield from super().feed(data)
        for character in data:
            yield from self._steadily(partial(super().feed, character))

    def tick(self) -> Iterable[Message]:
        """Yield the keys that were waited for long enough: Escape alone, or a sequence that is none."""
        yield from self._steadily(super().tick)

    def _steadily(self, read: Callable[[], Iterable[Message]]) -> Iterable[Message]:
        """Yield what ``read`` finds; start again after what it cannot understand."""
        try:
            yield from [*read()]
        except ParseError:
            raise
        except Exception:
            self._tokens.clear()
            self._timeout_time = None
            self._gen = self.parse(self._tokens.append)
            self._awaiting = next(self._gen)


class SteadyWriter(WriterThread):
    """Writes to the terminal; if that fails it says so once, and goes on with what comes after.

    Textual's own dies with its queue full: the program waits for ever, the terminal is never restored.
    """

    def run(self) -> None:
        """Write what is queued until told to stop."""
        is_told = False
        while (text := self._queue.get()) is not None:
            try:
                self._file.write(text)
                if self._queue.empty():
                    self._file.flush()
            except Exception as error:
                if not is_told:
                    is_told = True
                    threading.excepthook(
                        threading.ExceptHookArgs((type(error), error, error.__traceback__, self))
                    )
        with suppress(Exception):
            self._file.flush()


class SteadyDecoder:
    """Leaves out bytes that are no UTF-8; an end of the input is a terminal that has gone.

    Textual's driver takes that for a pause, and asks again as fast as it can.
    """

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="ignore")

    def decode(self, data: bytes, final: bool = False) -> str:
        """Return the characters that are complete.

        Raises:
            OSError: EIO, as reading says of some terminals by itself: there is no more to come.
        """
        if not data:
            raise OSError(errno.EIO, "the terminal has been closed")
        return self._decoder.decode(data, final)


# What Textual's driver makes by these names: its methods are too long to be written again here.
_names: Any = linux_driver
_names.XTermParser = SteadyParser
_names.WriterThread = SteadyWriter
_names.getincrementaldecoder = lambda _encoding: SteadyDecoder


class SteadyDriver(LinuxDriver):
    """Textual's driver, whose threads die like any other thread, with a report, and are started once."""

    def _run_input_thread(self) -> None:
        self.run_input_thread()

    def _sigcont_application(self, number: int, frame: FrameType | None) -> None:
        """Take the terminal back after a stop that has given it up; after another, draw on it again."""
        if self._must_signal_resume:
            super()._sigcont_application(number, frame)
        else:
            self._app.call_later(self._app.refresh, repaint=True, layout=True)


class KeysAway:
    """The keys that screens were handed, and of which the app has not heard again.

    A screen hands on to the app what it is given, and there a key is obeyed. Those that come meanwhile go the
    same way: handed to another widget they would overtake it.
    """

    def __init__(self) -> None:
        self._keys: list[events.Key] = []
        self._screen: Screen[Any] | None = None

    def way(self, screen: Screen[Any], there: Sequence[Screen[Any]]) -> Screen[Any]:
        """Return through which of the screens ``there`` a key for this one goes."""
        return self._screen if self._keys and self._screen in there and self._screen else screen

    def went(self, key: events.Key, screen: Screen[Any]) -> None:
        """Note that a screen was handed a key."""
        self._keys.append(key)
        self._screen = screen

    def came_back(self, key: events.Key) -> bool:
        """Return whether a key is one of them, and forget it with those before it, which were lost."""
        place = next((place for place, one in enumerate(self._keys) if one is key), None)
        if place is not None:
            del self._keys[: place + 1]
        return place is not None

    def __bool__(self) -> bool:
        return bool(self._keys)


class Box(Input):
    """A box for letters."""

    def __init__(self, placeholder: str, *, id: str | None = None) -> None:  # noqa: A002
        # Without select_on_focus: what was typed before the focus came would be replaced by what comes after.
        super().__init__(placeholder=placeholder, id=id, compact=True, select_on_focus=False)

    def _forward_event(self, event: events.Event) -> None:
        """Take an event; a key behind those that are on their way through the screen."""
        app = self.app
        if isinstance(event, events.Key) and isinstance(app, SteadyApp) and app.keys_away:
            self.screen._forward_event(event)
        else:
            super()._forward_event(event)


class SteadyScreen(Screen[ScreenResultType]):
    """A screen that takes keys only while its widgets are there, and leaves once.

    A key may come before them or after them; told to leave again, Textual takes the screen below from the
    stack, or ends the program. A modal one keeps all keys from the app, but here not those that quit.
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("ctrl+c,f10", "app.quit", "quit", show=False)]

    def _forward_event(self, event: events.Event) -> None:
        """Take an event; a key through the screen that has those before it."""
        app = self.app
        if isinstance(event, events.Key) and isinstance(app, SteadyApp) and not event.is_forwarded:
            way = app.keys_away.way(self, app.screen_stack)
            if way is not self:
                way._forward_event(event)
                return
            app.keys_away.went(event, self)
        super()._forward_event(event)

    @property
    def composed(self) -> bool:
        """Whether its widgets are there: not before the start, nor when the program ends during it."""
        return self.is_mounted and bool(self.children)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Return whether a key may do what it does."""
        return self.composed and super().check_action(action, parameters)

    def dismiss(self, result: ScreenResultType | None = None) -> AwaitComplete:
        """Leave with ``result``, if this screen is still the one in front, and not one seen behind that."""
        if self.app.screen_stack[-1:] == [self]:
            return super().dismiss(result)
        done: AwaitComplete = AwaitComplete.nothing()  # type: ignore[no-untyped-call]
        return done


class TrimmedUpdate(ChopsUpdate):
    """A partial update of the screen in fewer bytes."""

    def render_segments(self, console: Console) -> str:
        """Return what to write to the terminal."""
        return update_text(self.chops, self.spans, self.chop_ends, console.color_system)


def trimmed(update: RenderableType | None) -> RenderableType | None:
    """Return a partial update in its shorter form, anything else as it is."""
    if type(update) is not ChopsUpdate:
        return update
    return TrimmedUpdate(update.chops, update.spans, update.chop_ends)


class SteadyApp(App[int]):
    """An app that writes only what has changed, and says itself how it ends of an error."""

    @cached_property
    def keys_away(self) -> KeysAway:
        """The keys that are on their way through screens."""
        return KeysAway()

    _stacks_made = 0

    def crash(self, error: Exception) -> None:
        """End because of ``error``, which nothing has caught."""
        raise NotImplementedError

    def fail(self, error: Exception) -> None:
        """End because of ``error``: a test without a terminal is handed it, as Textual would do."""
        if self.is_headless:
            super()._handle_exception(error)
        else:
            self.crash(error)

    def on_key(self, event: events.Key) -> None:
        """Hand a key to the box if it was typed before that had come: it is a letter, and no command.

        Textual decides where a key goes when it comes in, while those before it still wait to be obeyed; it
        comes here if nobody has taken it.
        """
        box, was_early = self.focused, self.keys_away.came_back(event)
        if isinstance(box, Box) and was_early:
            event.prevent_default()
            late = event.copy()
            late._set_forwarded()
            box.post_message(late)

    def start_over(self) -> None:
        """Show a new first screen, and take away every other.

        A stack of its own, as the first screen of a stack cannot be switched; Textual keeps the very first.
        """
        self.clear_notifications()
        while len(self.screen_stack) > 1:
            self.pop_screen()
        before, self._stacks_made = self.current_mode, self._stacks_made + 1
        mode = f"stack {self._stacks_made}"
        self.add_mode(mode, self.get_default_screen)
        self.switch_mode(mode)
        if before != self.DEFAULT_MODE:
            self.remove_mode(before)

    def write_past(self, text: str) -> None:
        """Write to the terminal what is not drawn, between two pictures."""
        if self._driver is not None:
            self._driver.write(text)

    def get_driver_class(self) -> type[Driver]:
        """Return the driver for this terminal."""
        driver = super().get_driver_class()
        return SteadyDriver if driver is LinuxDriver else driver

    def _display(self, screen: Screen[Any], renderable: RenderableType | None) -> None:
        super()._display(screen, trimmed(renderable))

    def _handle_exception(self, error: Exception) -> None:
        self.fail(error)
