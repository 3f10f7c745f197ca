"""RAM, swap, CPU and memory pressure of this machine.

Read on the event loop: a poll takes 0.1 ms and none of these files can block.

The nominal bandwidth of RAM is that of the firmware's table of memory devices (SMBIOS reference
specification, DSP0134, 3.7, section 7.18: Memory Device, Type 17); no process is started.
"""

from __future__ import annotations

import re
import socket
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import psutil
from msgspec import Struct

from gpumon.collectors.samples import AnySample, MemoryPressure, SourceSilent, SystemSample
from gpumon.collectors.source import Clock

_T = TypeVar("_T")


class Swap(Struct, frozen=True):
    """Swap space in bytes, and the bytes moved since boot; ``None`` where the kernel hides them."""

    total_bytes: int | None = None
    used_bytes: int | None = None
    moved_in_bytes: int | None = None
    moved_out_bytes: int | None = None


class SystemSource:
    """Reads the system through ``psutil``. A rate needs two polls: the first one has none."""

    name = "system"

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._host = socket.gethostname()
        self._cpu_primed = False
        self._swap = Swap()
        self._polled_at: float | None = None
        self._ram_bandwidth = read_ram_bandwidth().bytes_per_second
        self._memory_known_at = clock.now()

    async def poll(self) -> Sequence[AnySample]:
        """Return one ``SystemSample``, or what is wrong if even RAM cannot be read."""
        now = self._clock.now()
        memory = attempt(psutil.virtual_memory)
        if memory is None:
            return [self._silent(now)]
        self._memory_known_at = now
        cores = self._cpu_percent_by_core()
        before, swap = self._swap, attempt(read_swap) or Swap()
        seconds = None if self._polled_at is None else now - self._polled_at
        self._swap, self._polled_at = swap, now
        return [
            SystemSample(
                time=now,
                source=self.name,
                host=self._host,
                ram_total_bytes=memory.total,
                ram_used_bytes=memory.used,
                ram_available_bytes=memory.available,
                swap_total_bytes=swap.total_bytes,
                swap_used_bytes=swap.used_bytes,
                swap_in_bytes_per_second=rate(before.moved_in_bytes, swap.moved_in_bytes, seconds),
                swap_out_bytes_per_second=rate(before.moved_out_bytes, swap.moved_out_bytes, seconds),
                cpu_percent=sum(cores) / len(cores) if cores else None,
                cpu_percent_by_core=cores,
                load_average=attempt(psutil.getloadavg),
                pressure=read_memory_pressure(),
                ram_bandwidth_bytes_per_second=self._ram_bandwidth,
            )
        ]

    def delay(self, interval: float) -> float:
        """Return the user's interval."""
        return interval

    async def close(self) -> None:
        """Hold nothing, release nothing."""

    def _silent(self, now: float) -> SourceSilent:
        detail = "psutil cannot read this machine's memory"
        return SourceSilent(time=now, source=self.name, seconds=now - self._memory_known_at, detail=detail)

    def _cpu_percent_by_core(self) -> tuple[float, ...] | None:
        """Return each core's busy share since the last poll; the first answer of psutil means nothing."""
        percents = attempt(lambda: psutil.cpu_percent(percpu=True))
        primed, self._cpu_primed = self._cpu_primed, percents is not None
        return tuple(percents) if percents and primed else None


def attempt(read: Callable[[], _T]) -> _T | None:
    """Return what ``psutil`` reads, ``None`` where it cannot: a container may hide parts of ``/proc``."""
    try:
        with warnings.catch_warnings():
            # psutil warns of what it cannot find; on standard error that would tear the screen.
            warnings.simplefilter("ignore")
            return read()
    except (OSError, RuntimeError, ValueError, KeyError, psutil.Error):
        return None


def read_swap() -> Swap:
    """Return swap figures; psutil warns, and writes 0, where ``/proc/vmstat`` is hidden."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        swap = psutil.swap_memory()
    return Swap(swap.total, swap.used) if caught else Swap(swap.total, swap.used, swap.sin, swap.sout)


def rate(before: int | None, after: int | None, seconds: float | None) -> float | None:
    """Return the rise of a counter per second; ``None`` without two readings or after a reset."""
    if before is None or after is None or not seconds or seconds < 0 or after < before:
        return None
    return (after - before) / seconds


MEMORY_PRESSURE_FILE = Path("/proc/pressure/memory")


def read_memory_pressure(file: Path = MEMORY_PRESSURE_FILE) -> MemoryPressure | None:
    """Return the averages over 10 s; ``None`` where the kernel has none (Linux < 4.20, ``psi=0``)."""
    try:
        return parse_memory_pressure(file.read_text(encoding="ascii"))
    except (OSError, UnicodeError):
        return None


def parse_memory_pressure(text: str) -> MemoryPressure | None:
    """Read ``some avg10=0.12 avg60=… avg300=… total=…`` and the ``full`` line that follows."""
    averages = {words[0]: _average(words[1]) for line in text.splitlines() if len(words := line.split()) > 1}
    some = averages.get("some")
    if some is None:
        return None
    return MemoryPressure(some_percent=some, full_percent=averages.get("full"))


def _average(word: str) -> float | None:
    name, _, value = word.partition("=")
    try:
        percent = float(value) if name == "avg10" else None
    except ValueError:
        return None
    return percent if percent is not None and 0 <= percent <= 100 else None


TABLE = Path("/sys/firmware/dmi/tables/DMI")
"""Readable by root only on most systems."""

_MAX_TABLE_BYTES = 1024**2
_MEMORY_DEVICE = 17
_END = 127
_HEADER_BYTES = 4
_DATA_WIDTH, _SIZE, _LOCATOR, _BANK = 0x0A, 0x0C, 0x10, 0x11
_SPEED, _CONFIGURED_SPEED = 0x15, 0x20
_NOTHING, _UNKNOWN = 0, 0xFFFF
_CHANNEL = re.compile(r"(?:channel[\s_-]*(?:[a-z](?![a-z])|\d+)|dimm[\s_-]*[a-z](?![a-z]))", re.IGNORECASE)
"""Up to its end, a locator names the channel: "Controller0-ChannelA-DIMM0", "P0 CHANNEL B", "DIMM_A2"."""


class RamBandwidth(NamedTuple):
    """What the table says; without ``bytes_per_second`` the reason, one line."""

    bytes_per_second: float | None
    reason: str | None = None


class _Module(NamedTuple):
    channel: str | None
    bits: int
    transfers_per_second: float


def read_ram_bandwidth(table: Path = TABLE) -> RamBandwidth:
    """Return the sum over the memory channels of width times speed."""
    try:
        with table.open("rb") as file:
            data = file.read(_MAX_TABLE_BYTES)
    except PermissionError:
        return RamBandwidth(None, "only root may read the firmware's memory table")
    except OSError:
        return RamBandwidth(None, "this machine shows no firmware memory table")
    return bandwidth_of_table(data)


def bandwidth_of_table(data: bytes) -> RamBandwidth:
    """Return the bandwidth by the table's bytes. Modules that share a channel count once.

    Where the firmware does not name channels, one or two modules are taken for a channel each.
    """
    modules = [module for body, strings in _structures(data) if (module := _module(body, strings))]
    if not modules:
        return RamBandwidth(None, "the firmware's memory table names no module with its speed")
    named = {module.channel: module for module in modules}
    if None not in named:
        modules = list(named.values())
    elif len(modules) > 2:
        return RamBandwidth(None, "the firmware's memory table does not name the channels")
    return RamBandwidth(sum(module.bits / 8 * module.transfers_per_second for module in modules))


def _structures(data: bytes) -> Iterator[tuple[bytes, list[str]]]:
    """Yield each memory device: its fixed part, and its strings."""
    at = 0
    while at + _HEADER_BYTES <= len(data):
        kind, length = data[at], data[at + 1]
        end = data.find(b"\0\0", at + length)
        if length < _HEADER_BYTES or end < 0 or kind == _END:
            return
        if kind == _MEMORY_DEVICE:
            strings = data[at + length : end].decode("ascii", "replace").split("\0")
            yield data[at : at + length], strings
        at = end + 2


def _module(body: bytes, strings: list[str]) -> _Module | None:
    """Return a module that is there and whose speed is known; speeds are MT/s."""
    size, bits = _word(body, _SIZE), _word(body, _DATA_WIDTH)
    speed = _word(body, _CONFIGURED_SPEED) or _word(body, _SPEED)
    if not size or not bits or not speed:
        return None
    return _Module(
        _channel(_string(body, _LOCATOR, strings), _string(body, _BANK, strings)), bits, speed * 1e6
    )


def _word(body: bytes, offset: int) -> int | None:
    """Return a field of two bytes; ``None`` where the structure is older, or the firmware does not know."""
    if offset + 2 > len(body):
        return None
    value = int.from_bytes(body[offset : offset + 2], "little")
    return None if value in {_NOTHING, _UNKNOWN} else value


def _string(body: bytes, offset: int, strings: list[str]) -> str:
    number = body[offset] if offset < len(body) else 0
    return strings[number - 1] if 0 < number <= len(strings) else ""


def _channel(*locators: str) -> str | None:
    """Return the part that the modules of one channel have in common."""
    found = ((locator, _CHANNEL.search(locator)) for locator in locators)
    return next((locator[: match.end()].lower() for locator, match in found if match), None)
