"""Daemon threads for calls that may block for ever."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Generic, TypeVar

_T = TypeVar("_T")

CLOSE_SECONDS = 0.2
"""How long ``finish`` waits for a thread that may hang."""


class Worker:
    """Runs functions one after another off the event loop.

    The thread is a daemon, so that a driver call that never returns cannot keep the program from ending;
    ``concurrent.futures`` joins its threads at exit and would.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._jobs: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._closed = False

    async def run(self, function: Callable[[], _T]) -> _T:
        """Run ``function`` in the thread and return its result or raise its exception.

        Raise ``RuntimeError`` after ``close``.
        """
        if self._closed:
            raise RuntimeError(f"worker {self._name} is closed")
        future: Future[_T] = Future()
        self._start()
        self._jobs.put((future, function))
        return await asyncio.wrap_future(future)

    async def finish(self, last: Callable[[], object]) -> None:
        """Run ``last`` and close; where the thread hangs, leave both to the end of the process."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await self.run(last)
        self.close()

    def close(self) -> None:
        """Let the thread end after the call it is in; does not wait for it."""
        self._closed = True
        self._jobs.put(None)

    def _start(self) -> None:
        if self._thread is None:
            thread = threading.Thread(target=self._loop, name=self._name, daemon=True)
            thread.start()
            self._thread = thread

    def _loop(self) -> None:
        while (job := self._jobs.get()) is not None:
            future, function = job
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(function())
            except BaseException as error:
                future.set_exception(error)


class Errand(Generic[_T]):
    """One job at a time in a thread of its own, whose outcome is fetched later: nobody waits for a disk."""

    def __init__(self, name: str) -> None:
        self._worker = Worker(name)
        self._running: asyncio.Task[list[_T]] | None = None

    @property
    def is_running(self) -> bool:
        """Whether a job runs, or its outcome has not been fetched."""
        return self._running is not None

    def start(self, job: Callable[[], list[_T]]) -> None:
        """Run ``job``; only where none is running."""
        self._running = asyncio.create_task(self._worker.run(job))

    def outcome(self) -> list[_T]:
        """Return what the job has returned, once, or raise its exception; nothing while it runs."""
        if self._running is None or not self._running.done():
            return []
        running, self._running = self._running, None
        return running.result()

    async def settle(self) -> None:
        """Wait until the job is over."""
        if self._running is not None:
            await asyncio.wait({self._running})

    def close(self) -> None:
        """Stop; does not wait for a disk."""
        if self._running is not None:
            self._running.cancel()
        self._worker.close()
