"""The feed of a dashboard that another gpumon feeds: what it knows, then each sample as it comes.

What is sent are frames: a letter, four bytes of length, and so many bytes. They come through a socket that
the one who watches has made for this process alone, and hands it open; nothing else can write to it, so a
frozen state may be trusted as one that this process has frozen itself.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Literal, NamedTuple

import msgspec

from gpumon.app.errors import GpumonError
from gpumon.app.monitor import Monitor
from gpumon.app.recording.lines import decode_line, encode_line
from gpumon.collectors.samples import AnySample

Letter = Literal[b"C", b"M", b"S", b"L"]
"""Choices (once, first), marks, a frozen state, a sample as a line."""
HEAD_BYTES = 5
GONE = "the gpumon that watches has ended"


class Frame(NamedTuple):
    """What is sent at once."""

    letter: bytes
    payload: bytes


def frame(letter: Letter, payload: bytes) -> bytes:
    """Return a frame as it is sent."""
    return letter + len(payload).to_bytes(4, "big") + payload


def sample_frame(sample: AnySample) -> bytes:
    """Return a sample as it is sent."""
    return frame(b"L", encode_line(sample))


def state_frame(monitor: Monitor) -> bytes:
    """Return all that is known now as it is sent."""
    return frame(b"S", monitor.freeze())


def marks_frame(marks: tuple[str, ...]) -> bytes:
    """Return as it is sent what tells a viewer that this is not live."""
    return frame(b"M", msgspec.json.encode(marks))


def receive(connection: socket.socket) -> Frame:
    """Wait for the next frame, before there is a loop to wait in.

    Raises:
        GpumonError: there is none.
    """
    head = connection.recv(HEAD_BYTES, socket.MSG_WAITALL)
    length = _length(head)
    payload = connection.recv(length, socket.MSG_WAITALL) if length else b""
    if len(head) < HEAD_BYTES or len(payload) < length:
        raise GpumonError(GONE)
    return Frame(head[:1], payload)


class FollowedFeed:
    """Knows what the sender knows, as long as that sends. Ends with an error where that has ended."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._marks: tuple[str, ...] = ()

    def marks(self) -> tuple[str, ...]:
        """Return what the sender marks its screen with."""
        return self._marks

    async def run(self, monitor: Monitor) -> None:
        """Feed ``monitor`` until cancelled.

        Raises:
            GpumonError: the sender has ended.
        """
        reader, writer = await asyncio.open_connection(sock=self._connection)
        try:
            while True:
                self._take(monitor, await _next(reader))
        except (asyncio.IncompleteReadError, ConnectionError):
            raise GpumonError(GONE) from None
        finally:
            writer.close()

    async def close(self) -> None:
        """Release the connection."""
        self._connection.close()

    def _take(self, monitor: Monitor, one: Frame) -> None:
        if one.letter == b"S":
            monitor.thaw(one.payload)
        elif one.letter == b"M":
            self._marks = msgspec.json.decode(one.payload, type=tuple[str, ...])
        elif one.letter == b"L" and not isinstance(sample := decode_line(one.payload), str):
            monitor.feed(sample)


async def _next(reader: asyncio.StreamReader) -> Frame:
    head = await reader.readexactly(HEAD_BYTES)
    return Frame(head[:1], await reader.readexactly(_length(head)))


def _length(head: bytes) -> int:
    return int.from_bytes(head[1:HEAD_BYTES], "big")
