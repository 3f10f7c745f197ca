"""What a tab is sent: what is known, then what comes; and one that does not keep up costs itself alone."""

from __future__ import annotations

import asyncio

import pytest
from tests.fakes.playing import START

from gpumon.app.alerts.limits import Limits
from gpumon.app.demo.scenarios import scenario_named
from gpumon.app.monitor import Monitor
from gpumon.app.web.tabs import COLUMNS, WAITING_SAMPLES, Tab, Tabs, _within
from gpumon.collectors.samples import AnySample


def known() -> bytes:
    return b"all"


async def test_a_tab_is_sent_what_is_known_and_then_what_comes() -> None:
    tab = Tab()
    tab.add(b"before it asked")
    assert await tab.next(known) == b"all"
    tab.add(b"one")
    tab.add(b"two")
    assert await tab.next(known) == b"onetwo"


async def test_it_waits_where_there_is_nothing() -> None:
    tab = Tab()
    await tab.next(known)
    waiting = asyncio.ensure_future(tab.next(known))
    await asyncio.sleep(0)
    assert not waiting.done()
    tab.add(b"one")
    assert await waiting == b"one"


async def test_one_that_does_not_keep_up_is_sent_all_anew() -> None:
    tab = Tab()
    await tab.next(known)
    for _ in range(WAITING_SAMPLES + 10):
        tab.add(b"sample")
    assert await tab.next(known) == b"all"


async def test_after_a_reset_nothing_of_before_is_sent() -> None:
    monitor = Monitor(Limits())
    tabs = Tabs(monitor, b"{}", 8)
    tab = Tab()
    tabs._open.add(tab)
    await tab.next(known)
    for number, sample in enumerate(samples(20)):
        if number == 10:
            monitor.reset()
        monitor.feed(sample)
    assert await tab.next(known) == b"all"


def samples(count: int) -> list[AnySample]:
    stream = iter(scenario_named("spill").samples(START))
    return [next(stream) for _ in range(count)]


@pytest.mark.parametrize(
    ("said", "taken"), [(0, 20), (-5, 20), (10**9, 500), (120, 120), ("x", 20), (None, 20)]
)
def test_a_browser_is_believed_within_reason(said: object, taken: int) -> None:
    assert _within(said, COLUMNS) == taken
