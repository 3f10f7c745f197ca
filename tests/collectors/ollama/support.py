"""What several tests of the Ollama collector need."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from hypothesis import strategies as st

from gpumon.collectors.http.client import TimeLimits
from gpumon.collectors.servers.ollama.server import OllamaSource

BRIEF = TimeLimits(connect=0.2, total=0.25, probe=0.25)
"""For servers that never answer."""
PATIENT = TimeLimits(connect=10.0, total=20.0, probe=20.0)
"""For servers that answer: a slow machine must not make a test fail."""

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)
"""Anything that JSON can say, and NaN and the infinities, which it cannot."""


class FakeClock:
    """Time that moves when told to."""

    def __init__(self) -> None:
        self.seconds = 1_800_000_000.0

    def now(self) -> float:
        return self.seconds


MakeSource = Callable[..., OllamaSource]


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
    return port


@contextmanager
def full_backlog() -> Iterator[int]:
    """A port whose queue of connections is full: the kernel drops further attempts to connect."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]
        for filler in fillers:
            filler.close()
