"""Reading the start of a file piece by piece, never further or more than is sensible."""

from __future__ import annotations

import struct
from typing import BinaryIO

from gpumon.collectors.gguf.errors import GgufError

MAX_HEADER_BYTES = 256 * 2**20
"""The largest vocabularies take 20 MiB; everything before the tensors' data has to end within this."""

_U32 = struct.Struct("<I")
_U64 = struct.Struct("<Q")


class HeaderReader:
    """A position in a file; every read raises ``GgufError`` where the file or patience ends."""

    def __init__(self, stream: BinaryIO, file_bytes: int) -> None:
        self._stream = stream
        self._end = min(file_bytes, MAX_HEADER_BYTES)
        self.position = 0

    def take(self, count: int) -> bytes:
        """Return the next ``count`` bytes."""
        self._advance(count)
        piece = self._stream.read(count)
        if len(piece) < count:
            raise GgufError("ends in the middle of its header")
        return piece

    def skip(self, count: int) -> None:
        """Leave out ``count`` bytes without reading them."""
        self._advance(count)
        self._stream.seek(count, 1)

    def u32(self) -> int:
        """Return the next four bytes as a count."""
        return int(_U32.unpack(self.take(4))[0])

    def u64(self) -> int:
        """Return the next eight bytes as a count."""
        return int(_U64.unpack(self.take(8))[0])

    def text(self, limit: int) -> str | None:
        """Return the next string; a longer one than ``limit`` bytes is left out and ``None``."""
        length = self.u64()
        if length > limit:
            self.skip(length)
            return None
        return self.take(length).decode("utf-8", "replace")

    def skip_texts(self, count: int) -> None:
        """Leave out a list of strings: their lengths are all that is read of them."""
        self.expect(count, 8)
        for _ in range(count):
            self.skip(self.u64())

    def expect(self, count: int, bytes_each: int) -> None:
        """Raise ``GgufError`` if so many items cannot be in what is left of the header."""
        if count * bytes_each > self._end - self.position:
            raise GgufError(f"announces {count} items, more than it can hold")

    def _advance(self, count: int) -> None:
        if count > self._end - self.position:
            raise GgufError("ends in the middle of its header")
        self.position += count
