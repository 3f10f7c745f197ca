"""Writes a copy of a recording that names nobody and nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from gpumon.app.recording.lines import MAGIC, Header, RecordingError, encode_header, encode_line
from gpumon.app.recording.reader import Recording
from gpumon.app.recording.redaction import Redaction


class Redacted(NamedTuple):
    """What a copy holds, and what it lacks."""

    samples: int
    left_out: int
    """Lines that were damaged or of a newer version: what cannot be read cannot be redacted."""


def redact(recording: Recording, path: Path) -> Redacted:
    """Write the recording to the new file ``path`` with stand-ins for names.

    It is read twice: a name may be said in a sentence before it is known to be one.

    Raises:
        RecordingError: it cannot be read, or the copy cannot be written; there is such a file already.
    """
    redaction = Redaction()
    for _ in _lines(recording, redaction):
        pass
    written = 0
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            for line in _lines(recording, redaction):
                file.write(line)
                written += not line.startswith(MAGIC)
    except OSError as error:
        raise RecordingError(f"cannot write {path}: {(error.strerror or str(error)).lower()}") from None
    return Redacted(written, recording.unknown + recording.damaged)


def _lines(recording: Recording, redaction: Redaction) -> Iterator[bytes]:
    for item in recording.items():
        if isinstance(item, Header):
            yield encode_header(redaction.header(item))
        else:
            yield encode_line(redaction.sample(item))
