"""How a recording lies in its file: plain, or packed by gzip or zstd in blocks that stand for themselves.

A block is a whole gzip member or zstd frame and begins with a line that can be begun from: the header of a
run, or a ``Key``. ``zcat`` and ``zstd -dc`` give the plain recording.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Protocol

from gpumon.app.recording.keys import begins_block
from gpumon.app.recording.lines import RecordingError

GZIP_LEVEL = 6
ZSTD_LEVEL = 9
"""Beyond it nothing gets smaller, and it takes five times as long."""
_GZIP = 31
"""What zlib calls a gzip member with the largest window."""


class Packer(Protocol):
    """Packs the bytes of one block."""

    def compress(self, data: bytes, /) -> bytes:
        """Take bytes in, and return what is packed by now."""
        ...

    def flush(self, mode: int = ..., /) -> bytes:
        """Return what is packed, so that all that was taken in can be read."""
        ...


class Unpacker(Protocol):
    """Unpacks one block, as it comes."""

    def decompress(self, data: bytes, /) -> bytes:
        """Return what of the block can be read by now."""
        ...

    @property
    def eof(self) -> bool:
        """Whether the block has ended."""
        ...

    @property
    def unused_data(self) -> bytes:
        """What came after its end."""
        ...


class Form:
    """One way in which a recording lies in its file."""

    def __init__(self, suffix: str, magic: bytes) -> None:
        self.suffix = suffix
        """Of the names of files that are written like this."""
        self.magic = magic
        """How each block begins; empty where nothing is packed."""

    def packer(self) -> tuple[Packer, int, int]:
        """Return what packs a block, and its modes of flushing: to be read so far, and to its end."""
        raise NotImplementedError

    def unpacker(self) -> Unpacker:
        """Return what unpacks a block."""
        raise NotImplementedError

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        """What unpacking raises where the bytes are damaged."""
        return (zlib.error,)


class _Gzip(Form):
    def packer(self) -> tuple[Packer, int, int]:
        return zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, _GZIP), zlib.Z_SYNC_FLUSH, zlib.Z_FINISH

    def unpacker(self) -> Unpacker:
        return zlib.decompressobj(_GZIP)


class _Zstd(Form):
    def packer(self) -> tuple[Packer, int, int]:
        zstd = _zstandard()
        packer: Packer = zstd.ZstdCompressor(level=ZSTD_LEVEL, write_checksum=True).compressobj()
        return packer, zstd.COMPRESSOBJ_FLUSH_BLOCK, zstd.COMPRESSOBJ_FLUSH_FINISH

    def unpacker(self) -> Unpacker:
        unpacker: Unpacker = _zstandard().ZstdDecompressor().decompressobj()
        return unpacker

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        return (_zstandard().ZstdError,)


PLAIN = Form("", b"")
GZIP = _Gzip(".gz", b"\x1f\x8b\x08")
ZSTD = _Zstd(".zst", b"\x28\xb5\x2f\xfd")
PACKED = (GZIP, ZSTD)


def form_of_name(path: Path) -> Form:
    """Return how a new recording of this name is written.

    Raises:
        RecordingError: a package is missing for it.
    """
    return _usable(next((form for form in PACKED if path.suffix == form.suffix), PLAIN), path)


def form_of_content(begin: bytes, path: Path) -> Form:
    """Return how a file lies there that begins with these bytes, whatever it is called.

    Raises:
        RecordingError: a package is missing for it.
    """
    return _usable(next((form for form in PACKED if begin.startswith(form.magic)), PLAIN), path)


def _usable(form: Form, path: Path) -> Form:
    if form is ZSTD:
        try:
            _zstandard()
        except ImportError:
            raise RecordingError(f"{path}: zstd needs a package: pip install 'gpumon-llm[zstd]'") from None
    return form


def _zstandard() -> ModuleType:
    import zstandard  # noqa: PLC0415 - an extra, and only for those who use it

    return zstandard


class Press:
    """Packs lines, a new block for each line that can be begun from; plain ones it gives back as they are."""

    def __init__(self, form: Form) -> None:
        self._form = form
        self._waiting: list[bytes] = []
        self._packer: Packer | None = None
        self._so_far = self._end = 0

    @property
    def holds(self) -> bool:
        """Whether something that was taken in is not in what was given back."""
        return bool(self._waiting)

    def add(self, line: bytes) -> bytes:
        """Take in one line or several; return what is to be written at once, mostly nothing."""
        if self._form is PLAIN:
            return line
        ended = b""
        if self._packer is None or begins_block(line):
            ended = self.finish()
            self._packer, self._so_far, self._end = self._form.packer()
        self._waiting.append(self._packer.compress(line))
        return ended

    def flush(self) -> bytes:
        """Return what makes all that was taken in readable."""
        return self._take(lambda packer: packer.flush(self._so_far))

    def finish(self) -> bytes:
        """Return what ends the block."""
        written = self._take(lambda packer: packer.flush(self._end))
        self._packer = None
        return written

    def _take(self, rest: Callable[[Packer], bytes]) -> bytes:
        written = b"".join(self._waiting)
        self._waiting.clear()
        return written if self._packer is None else written + rest(self._packer)
