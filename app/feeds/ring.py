"""The samples of the last hour, so packed that what was known at any instant of it is soon known again.

A block holds all that was known at its start, frozen, and the samples after it. An instant is reached from
the start of its block: no block but the one it lies in is read, and no fact that was said once is lost with
the blocks before it. Nothing of it is ever on disk.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Literal

from gpumon.app.monitor import Monitor
from gpumon.app.recording.lines import decode_line, encode_line
from gpumon.collectors.samples import AnySample

KEPT_SECONDS = 3600.0
BLOCK_SAMPLES = 1000
"""So many samples are fed at most to reach an instant, while memory lasts."""
BLOCK_BYTES = 1_500_000
"""So long are their lines at most: what a sample of a large machine costs to feed goes by its length."""
MERGED_SAMPLES = 8000
"""The same where memory was short and frozen states were given up."""
KEPT_BYTES = 24 * 1024**2
"""Of all blocks but the newest; what an hour takes is told in docs/recording.md."""
PACKED_AT_ONCE = 128 * 1024
"""A frozen state is packed by so many bytes with each sample: one of a large machine takes a while."""

Edge = Literal["began", "age", "size"]
"""Why nothing older is kept: there was nothing, it is too old, or there was no room."""


class _Stream:
    """Bytes that are packed as they come."""

    def __init__(self, level: int) -> None:
        self._packer = zlib.compressobj(level)
        self._packed = bytearray()
        self._is_open = True

    def __len__(self) -> int:
        """Return how many bytes it takes, but for what its packer holds."""
        return len(self._packed)

    def add(self, data: bytes | memoryview) -> None:
        self._packed += self._packer.compress(data)

    def close(self) -> None:
        """Pack what the packer still holds, and let go of it."""
        if self._is_open:
            self._packed += self._packer.flush()
            self._is_open = False
            del self._packer

    def read(self) -> bytes:
        rest = self._packer.copy().flush() if self._is_open else b""
        return zlib.decompress(bytes(self._packed) + rest)


class _Frozen:
    """A frozen state, packed bit by bit."""

    def __init__(self, frozen: bytes) -> None:
        self._left: bytes | None = frozen
        self._done = 0
        self._stream = _Stream(1)

    def __len__(self) -> int:
        return len(self._stream) if self._left is None else len(self._left)

    def pack(self) -> None:
        """Pack the next bytes, if any are left."""
        if self._left is None:
            return
        self._stream.add(memoryview(self._left)[self._done : self._done + PACKED_AT_ONCE])
        self._done += PACKED_AT_ONCE
        if self._done >= len(self._left):
            self._stream.close()
            self._left = None

    def read(self) -> bytes:
        return self._stream.read() if self._left is None else self._left


class Block:
    """What was known at ``start``, and the samples that came after it."""

    def __init__(self, start: float, frozen: bytes) -> None:
        self.start = start
        self.frozen = _Frozen(frozen)
        self.count = 0
        """How many samples it holds."""
        self.line_bytes = 0
        """How long they are as lines."""
        self._streams = [_Stream(6)]

    @property
    def size(self) -> int:
        """The bytes that it takes."""
        return len(self.frozen) + sum(map(len, self._streams))

    def add(self, line: bytes) -> None:
        """Add a sample as a line."""
        self._streams[-1].add(line)
        self.count += 1
        self.line_bytes += len(line)

    @property
    def is_full(self) -> bool:
        """Whether an instant at its end would take long to reach if it held more."""
        return self.count >= BLOCK_SAMPLES or self.line_bytes >= BLOCK_BYTES

    def close(self) -> None:
        """Add no more."""
        self._streams[-1].close()

    def absorb(self, following: Block) -> None:
        """Take over the samples of the block after this one, without what is frozen of it."""
        self._streams += following._streams
        self.count += following.count
        self.line_bytes += following.line_bytes

    def samples(self) -> Iterator[AnySample]:
        """Yield the samples, the oldest first."""
        for stream in self._streams:
            for line in stream.read().splitlines():
                sample = decode_line(line)
                if not isinstance(sample, str):
                    yield sample


class Place:
    """A monitor that is at an instant of a block, and can be moved on within it."""

    def __init__(self, block: Block, live: Monitor) -> None:
        self.block = block
        self.monitor = Monitor(live.limits)
        """Knows what was known at the instant; it has no listeners."""
        self.monitor.thaw(block.frozen.read())
        self.count = block.count
        """How many samples the block held when it was read."""
        self.fed = 0
        """How many of them were needed."""
        self._samples = block.samples()
        self._next = next(self._samples, None)

    def advance(self, time: float) -> None:
        """Go on to an instant."""
        while self._next is not None and max(self._next.time, self.monitor.state.now) <= time:
            self.monitor.feed(self._next)
            self.fed += 1
            self._next = next(self._samples, None)


class Ring:
    """Keeps what ``monitor`` is fed from now on; what it knew before is the oldest instant."""

    def __init__(self, monitor: Monitor, limit_bytes: int = KEPT_BYTES) -> None:
        self._monitor = monitor
        self._limit = limit_bytes
        self._blocks: list[Block] = []
        self._state: object = None
        self._acts = 0
        self._place: Place | None = None
        self.edge: Edge = "began"
        """Why there is nothing before ``oldest``."""

    @property
    def oldest(self) -> float | None:
        """The first instant that can be reached; ``None`` before any sample."""
        return self._blocks[0].start if self._blocks else None

    @property
    def size(self) -> int:
        """The bytes that are kept."""
        return sum(block.size for block in self._blocks)

    @property
    def longest(self) -> int:
        """How many samples may have to be fed to reach an instant."""
        return max((block.count for block in self._blocks), default=0)

    def take(self, sample: AnySample) -> None:
        """Keep a sample that the monitor has just been fed."""
        monitor = self._monitor
        if monitor.state is not self._state:  # it was reset: nothing of before holds
            self._blocks.clear()
            self.edge, self._state, self._place = "began", monitor.state, None
        newest = self._blocks[-1] if self._blocks else None
        if newest is not None:
            newest.add(encode_line(sample))
            newest.frozen.pack()
        if newest is None or newest.is_full or monitor.acts != self._acts:
            self._begin(newest)

    def reach(self, time: float) -> Place | None:
        """Return a monitor at an instant, at the oldest one for any before; ``None`` without any sample."""
        if not self._blocks:
            return None
        block = next((one for one in reversed(self._blocks) if one.start <= time), self._blocks[0])
        place = self._place
        if (
            place is None
            or place.block is not block
            or place.count != block.count
            or place.monitor.state.now > time
        ):
            place = self._place = Place(block, self._monitor)
        place.advance(time)
        return place

    def leave(self) -> None:
        """Forget the instant that was reached last."""
        self._place = None

    def _begin(self, newest: Block | None) -> None:
        """Begin a block with all that is known now, the newest sample included.

        The block before ends with that sample, too: where the two are merged it is needed.
        """
        if newest is not None:
            newest.close()
        monitor = self._monitor
        self._acts = monitor.acts
        self._blocks.append(Block(monitor.state.now, monitor.freeze()))
        while len(self._blocks) > 1 and self._blocks[1].start <= monitor.state.now - KEPT_SECONDS:
            self._drop("age")
        while sum(block.size for block in self._blocks[:-1]) > self._limit and len(self._blocks) > 1:
            if not self._merge():
                self._drop("size")

    def _drop(self, edge: Edge) -> None:
        del self._blocks[0]
        self.edge = edge

    def _merge(self) -> bool:
        """Give up the frozen state between the two blocks that are shortest together; return whether."""
        pairs = [
            (first.count + second.count, at)
            for at, (first, second) in enumerate(zip(self._blocks, self._blocks[1:-1], strict=False))
        ]
        count, at = min(pairs, default=(MERGED_SAMPLES + 1, 0))
        if count > MERGED_SAMPLES:
            return False
        self._blocks[at].absorb(self._blocks.pop(at + 1))
        return True
