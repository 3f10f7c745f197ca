from __future__ import annotations

from tests.fakes.samples import GIB, START
from tests.scene import Machine


def seen(looks: int, *, available_gib: float = 32.0, swap_in: float = 0.0, swap_out: float = 0.0) -> Machine:
    """Return a machine whose memory was so for so many looks, a second apart."""
    machine = Machine()
    machine.available_gib, machine.swap_in, machine.swap_out = available_gib, swap_in, swap_out
    return machine.run(looks - 1)


def test_low_ram_is_bad_after_five_seconds() -> None:
    assert seen(5, available_gib=3.2).alert("ram_low") is None
    alert = seen(6, available_gib=3.2).raised("ram_low")
    assert (alert.severity, alert.since) == ("bad", START)
    assert alert.message == "RAM is running out: 3.2 GiB (5%) available"


def test_low_ram_ends_only_above_the_higher_limit() -> None:
    between, well = seen(6, available_gib=3), seen(6, available_gib=3)
    between.available_gib, well.available_gib = 5.8, 7
    assert between.goes_on(54).alert("ram_low") is not None
    assert well.goes_on(11).alert("ram_low") is None


def test_sustained_swapping_is_worth_watching() -> None:
    alert = seen(6, swap_in=2.0 * GIB, swap_out=1.0 * GIB).raised("swapping")
    assert alert.message == "swapping: 2.0 GiB/s in, 1.0 GiB/s out"
    assert alert.severity == "watch"


def test_a_burst_of_swapping_is_not_worth_an_alert() -> None:
    machine = seen(4, swap_in=2.0 * GIB)
    machine.swap_in = 0.0
    assert machine.goes_on(16).alert("swapping") is None


def test_an_unknown_swap_rate_is_not_zero() -> None:
    machine = seen(6, swap_in=2.0 * GIB)
    machine.swap_in = None
    assert machine.goes_on(54).alert("swapping") is not None
