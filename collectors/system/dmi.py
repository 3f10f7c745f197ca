"""The nominal bandwidth of RAM by the firmware's table of memory devices; no process is started.

SMBIOS reference specification (DSP0134) 3.7, section 7.18: Memory Device (Type 17).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

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
