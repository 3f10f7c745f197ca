"""An event loop whose time jumps to the next timer: hours of polling in milliseconds, exactly repeatable."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine, Mapping
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from _typeshed import FileDescriptorLike as FileObject

_T = TypeVar("_T")


class _JumpingSelector(selectors.BaseSelector):
    """Instead of waiting, tells how long it would have waited."""

    def __init__(self) -> None:
        self._real = selectors.DefaultSelector()
        self.waited_seconds = 0.0

    def register(self, fileobj: FileObject, events: int, data: object = None) -> selectors.SelectorKey:
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: FileObject) -> selectors.SelectorKey:
        return self._real.unregister(fileobj)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        events = self._real.select(None if timeout is None else 0)
        if not events and timeout is not None:
            self.waited_seconds += timeout
        return events

    def close(self) -> None:
        self._real.close()

    def get_map(self) -> Mapping[FileObject, selectors.SelectorKey]:
        return self._real.get_map()


class VirtualLoop(asyncio.SelectorEventLoop):
    """For code that waits for timers alone, not for sockets or threads."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.waited_seconds


class LoopClock:
    """A ``Clock`` that shows the running loop's time."""

    START = 1_000_000.0

    def now(self) -> float:
        return self.START + asyncio.get_running_loop().time()


def run(main: Coroutine[object, object, _T]) -> _T:
    """Run ``main`` in a virtual loop."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)
