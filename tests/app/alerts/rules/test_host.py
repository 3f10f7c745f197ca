from __future__ import annotations

from tests.fakes.samples import GIB, START, system
from tests.scene import after


def test_low_ram_is_bad_after_five_seconds() -> None:
    low = [system(at, available_gib=3.2) for at in range(6)]
    assert after(*low[:5]).alert("ram_low") is None
    alert = after(*low).raised("ram_low")
    assert (alert.severity, alert.since) == ("bad", START)
    assert alert.message == "RAM is running out: 3.2 GiB (5%) available"


def test_low_ram_ends_only_above_the_higher_limit() -> None:
    low = [system(at, available_gib=3) for at in range(6)]
    between = [system(at, available_gib=5.8) for at in range(6, 60)]
    well = [system(at, available_gib=7) for at in range(6, 17)]
    assert after(*low, *between).alert("ram_low") is not None
    assert after(*low, *well).alert("ram_low") is None


def test_sustained_swapping_is_worth_watching() -> None:
    busy = [system(at, swap_in=2.0 * GIB, swap_out=1.0 * GIB) for at in range(6)]
    alert = after(*busy).raised("swapping")
    assert alert.message == "swapping: 2.0 GiB/s in, 1.0 GiB/s out"
    assert alert.severity == "watch"


def test_a_burst_of_swapping_is_not_worth_an_alert() -> None:
    burst = [system(at, swap_in=2.0 * GIB if at < 4 else 0.0) for at in range(20)]
    assert after(*burst).alert("swapping") is None


def test_an_unknown_swap_rate_is_not_zero() -> None:
    busy = [system(at, swap_in=2.0 * GIB) for at in range(6)]
    unknown = [system(at, swap_in=None) for at in range(6, 60)]
    assert after(*busy, *unknown).alert("swapping") is not None
