"""RAM bandwidth by the firmware's table, byte for byte as SMBIOS 3 lays it out."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpumon.collectors.system.source import bandwidth_of_table, read_ram_bandwidth


def module(
    locator: str, bank: str = "BANK 0", speed: int = 3200, size: int = 16384, width: int = 64
) -> bytes:
    body = bytearray(0x28)
    body[0:4] = (17, len(body), 0x40, 0)
    body[0x0A:0x0C] = width.to_bytes(2, "little")
    body[0x0C:0x0E] = size.to_bytes(2, "little")
    body[0x10], body[0x11] = 1, 2
    body[0x15:0x17] = (4800).to_bytes(2, "little")
    body[0x20:0x22] = speed.to_bytes(2, "little")
    return bytes(body) + locator.encode() + b"\0" + bank.encode() + b"\0\0"


BIOS = bytes((0, 4, 0, 0)) + b"vendor\0\0"
END = bytes((127, 4, 0, 0)) + b"\0\0"


@pytest.mark.parametrize(
    ("modules", "gigabytes_per_second"),
    [
        ([module("ChannelA-DIMM0"), module("ChannelB-DIMM0")], 51.2),
        ([module("Controller0-ChannelA-DIMM0"), module("Controller1-ChannelA-DIMM0")], 51.2),
        ([module("DIMM 0", "P0 CHANNEL A"), module("DIMM 0", "P0 CHANNEL B")], 51.2),
        ([module("DIMM_A2", speed=6000), module("DIMM_B2", speed=6000)], 96.0),
        ([module("DIMMA1")], 25.6),
        ([module(f"P{socket}-DIMM{channel}1") for socket in (1, 2) for channel in "ABCDEF"], 307.2),
    ],
    ids=["two channels", "two controllers", "amd", "asus ddr5", "one module", "two sockets"],
)
def test_channels_add_up(modules: list[bytes], gigabytes_per_second: float) -> None:
    found = bandwidth_of_table(BIOS + b"".join(modules) + END)
    assert found.bytes_per_second == pytest.approx(gigabytes_per_second * 1e9)


def test_modules_that_share_a_channel_count_once() -> None:
    names = [f"Channel{channel}-DIMM{slot}" for channel in "AB" for slot in (0, 1)]
    found = bandwidth_of_table(b"".join(map(module, names)))
    assert found.bytes_per_second == pytest.approx(51.2e9)


def test_empty_slots_count_for_nothing() -> None:
    found = bandwidth_of_table(module("ChannelA-DIMM0") + module("ChannelB-DIMM0", size=0))
    assert found.bytes_per_second == pytest.approx(25.6e9)


def test_the_nominal_speed_serves_where_the_configured_one_is_not_known() -> None:
    assert bandwidth_of_table(module("ChannelA-DIMM0", speed=0)).bytes_per_second == pytest.approx(38.4e9)


def test_many_modules_without_named_channels_say_nothing() -> None:
    found = bandwidth_of_table(b"".join(module(f"DIMM {slot}") for slot in range(4)))
    assert found.bytes_per_second is None
    assert found.reason == "the firmware's memory table does not name the channels"


def test_a_table_without_modules_says_why_nothing_is_known() -> None:
    found = bandwidth_of_table(BIOS + END)
    assert found.reason == "the firmware's memory table names no module with its speed"


def test_a_missing_table_says_so(tmp_path: Path) -> None:
    assert read_ram_bandwidth(tmp_path / "DMI").reason == "this machine shows no firmware memory table"


@given(st.binary(max_size=300))
def test_any_bytes_are_read_without_an_error(data: bytes) -> None:
    bandwidth_of_table(module("ChannelA-DIMM0")[:40] + data)
