"""The lines that come from one host, fed to its monitor, whatever stands between them.

Samples keep the times of that host: figures are exact by one clock. How old they are is told by the clock
here, from their arrival.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from importlib import metadata

import msgspec

from gpumon.app.fleet.ssh import Cause
from gpumon.app.monitor import Monitor
from gpumon.app.recording.lines import FORMAT, MAGIC, Header, decode_line
from gpumon.text.safe import visible

MOST_NOISE_LINES = 1000
"""So much may a shell print before gpumon begins."""
CLOCK_WINDOW_SECONDS = 30.0
CLOCK_SETTLED_SECONDS = 5.0
"""What has waited on its way comes in a row, each sample less late: after that it tells of the clock."""
CLOCK_STEP_SECONDS = 0.2
CLOCK_WORTH_TELLING_SECONDS = 2.0
NOISE_SHOWN = 60

Now = Callable[[], float]


class CannotReadError(Exception):
    """What comes from a host cannot be read; ``cause`` says why."""

    def __init__(self, cause: Cause) -> None:
        super().__init__(cause.words)
        self.cause = cause


class Stream:
    """Takes the lines of one host."""

    def __init__(self, monitor: Monitor, now: Now, wall: Now) -> None:
        """``now`` never jumps; ``wall`` is the clock of this machine, in seconds since the epoch."""
        self._monitor = monitor
        self._now = now
        self._wall = wall
        self.header: Header | None = None
        """Of the run that is being read; ``None`` before its first line."""
        self.arrived: float | None = None
        """When the newest sample came, by ``now``."""
        self.samples = 0
        """How many came, of all connections."""
        self.unknown = 0
        """Lines of a newer version that were left out."""
        self.damaged = 0
        self.bytes = 0
        self.noise = ""
        """The first line that a shell has printed before gpumon began."""
        self._noise_lines = 0
        self._ahead: list[float] = []
        self._window_began = 0.0
        self._settled_since = 0.0
        """Since when the clock there seems to be what it is."""

    def begin(self) -> None:
        """Expect the header of another run."""
        self.header, self.noise, self._noise_lines, self._ahead = None, "", 0, []

    def take(self, line: bytes) -> None:
        """Take one line.

        Raises:
            CannotReadError: no recording comes, or one of another format.
        """
        self.bytes += len(line)
        if MAGIC in line and (header := _header(line)) is not None:
            self._begin_run(header)
        elif self.header is None:
            self._take_noise(line)
        elif line.strip():
            self._take_sample(line)

    def _begin_run(self, header: Header) -> None:
        if header.gpumon_recording != FORMAT:
            raise CannotReadError(_other_format(header))
        if self.samples:
            self._monitor.reset()  # as in a recording: what was known before it is void
        self.header, self.unknown, self.damaged = header, 0, 0

    def _take_noise(self, line: bytes) -> None:
        self._noise_lines += 1
        words = visible(line.decode("utf-8", "replace").strip(), NOISE_SHOWN)
        self.noise = self.noise or words
        if self._noise_lines > MOST_NOISE_LINES:
            raise CannotReadError(self.silence())

    def silence(self) -> Cause:
        """Say why there is no header yet."""
        if not self.noise:
            return Cause("gpumon there says nothing")
        hint = "its shell should print nothing where there is no terminal"
        return Cause(f'no gpumon begins there, but: "{self.noise}"', hint, needs_user=True)

    def _take_sample(self, line: bytes) -> None:
        sample = decode_line(line)
        if sample == "unknown":
            self.unknown += 1
        elif isinstance(sample, str):
            self.damaged += 1
        else:
            self.arrived, self.samples = self._now(), self.samples + 1
            self._note_clock(sample.time - self._wall())
            self._monitor.feed(sample)

    def _note_clock(self, ahead: float) -> None:
        """Keep the most of this window and of the one before: the sample that was on its way for least."""
        if ahead > max(self._ahead, default=-math.inf) + CLOCK_STEP_SECONDS:
            self._settled_since = self._now()  # what was on its way for long still comes in
        if not self._ahead or self._now() - self._window_began > CLOCK_WINDOW_SECONDS:
            self._window_began = self._now()
            self._ahead = [*self._ahead[-1:], ahead]
        self._ahead[-1] = max(self._ahead[-1], ahead)

    @property
    def clock_ahead_seconds(self) -> float | None:
        """How far its clock is ahead of ours, where that is worth a word."""
        ahead, settled = (
            max(self._ahead, default=0.0),
            self._now() - self._settled_since >= CLOCK_SETTLED_SECONDS,
        )
        return ahead if settled and abs(ahead) > CLOCK_WORTH_TELLING_SECONDS else None

    @property
    def other_version(self) -> str:
        """The version there, where it is another than here."""
        there = self.header.version if self.header is not None else ""
        return visible(there, 20) if there and there != _own_version() else ""


def _header(line: bytes) -> Header | None:
    """Return the header in a line; a shell may have written before it without ending its line."""
    try:
        return msgspec.json.decode(line[line.index(MAGIC) :], type=Header)
    except (ValueError, RecursionError):
        return None


def _other_format(header: Header) -> Cause:
    there, version = header.gpumon_recording, visible(header.version, 20)
    which = f"gpumon {version} there" if version else "the gpumon there"
    if there > FORMAT:
        return Cause(f"{which} is newer and writes format {there}, not {FORMAT}", "update this one", True)
    return Cause(f"{which} is older and writes format {there}, not {FORMAT}", "update it there", True)


def _own_version() -> str:
    try:
        return metadata.version("gpumon-llm")
    except metadata.PackageNotFoundError:
        return ""
