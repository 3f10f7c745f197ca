"""A thread or task that dies is not passed over, and what it died of is kept."""

from __future__ import annotations

import asyncio
import errno
import gc
import stat
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.app.ui.screen import HandFeed, dashboard

from gpumon.app.crash import watch_for_deaths, write_crash_report
from gpumon.app.errors import GpumonError
from gpumon.app.monitor import Monitor
from gpumon.app.ui.app import is_terminal_gone

Deaths = list[Exception]


@pytest.fixture
async def deaths() -> AsyncIterator[Deaths]:
    deaths: Deaths = []
    with watch_for_deaths(deaths.append):
        yield deaths


def raises(error: BaseException) -> None:
    raise error


async def run_in_thread(error: BaseException) -> None:
    thread = threading.Thread(target=raises, args=[error])
    thread.start()
    thread.join()
    await asyncio.sleep(0)


@pytest.mark.internal_errors
async def test_a_thread_that_dies_is_told(deaths: Deaths) -> None:
    error = ValueError()
    await run_in_thread(error)
    assert deaths == [error]


async def test_a_thread_that_ends_itself_is_not(deaths: Deaths) -> None:
    await run_in_thread(SystemExit())
    assert deaths == []


@pytest.mark.internal_errors
async def test_a_task_that_dies_and_that_nobody_waits_for_is_told(deaths: Deaths) -> None:
    async def dies() -> None:
        raise ValueError

    task = asyncio.create_task(dies())
    await asyncio.sleep(0)
    del task
    gc.collect()
    assert [type(error) for error in deaths] == [ValueError]


async def test_a_task_that_is_cancelled_is_not(deaths: Deaths) -> None:
    task = asyncio.create_task(asyncio.sleep(10))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.sleep(0)
    del task
    gc.collect()
    assert deaths == []


async def test_after_the_watch_threads_die_as_they_always_did() -> None:
    before = threading.excepthook
    with watch_for_deaths(lambda _error: None):
        assert threading.excepthook is not before
    assert threading.excepthook is before


@pytest.mark.parametrize("number", [errno.EIO, errno.ENXIO])
def test_a_terminal_that_has_gone_is_no_defect(number: int) -> None:
    assert is_terminal_gone(OSError(number, ""))


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, ""), ValueError()])
def test_whatever_else_a_thread_dies_of_is_one(error: Exception) -> None:
    assert not is_terminal_gone(error)


async def test_a_terminal_that_has_gone_is_left_as_for_a_hang_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gpumon.app.ui.app.end_for_certain", lambda _code: None)
    app = dashboard()
    async with app.run_test() as pilot:
        app.crash(OSError(errno.EIO, ""))
        await pilot.pause()
    assert (app.return_value, app.crashed) == (129, False)


def test_a_report_is_for_its_owner_alone(tmp_path: Path) -> None:
    write_crash_report(ValueError(), tmp_path / "state")
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "state" / "crash.txt").stat().st_mode) == 0o600


def test_an_older_report_that_all_could_read_is_closed_to_them(tmp_path: Path) -> None:
    path = tmp_path / "crash.txt"
    path.write_text("old", encoding="utf-8")
    path.chmod(0o644)
    write_crash_report(ValueError(), tmp_path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "old" not in path.read_text(encoding="utf-8")


class BrokenFeed(HandFeed):
    def __init__(self, error: Exception) -> None:
        self._error = error

    async def run(self, monitor: Monitor) -> None:
        del monitor
        raise self._error


async def test_a_feed_that_the_user_can_put_right_ends_with_its_own_words() -> None:
    app = dashboard()
    app.session.feed = BrokenFeed(GpumonError("line 3 is no sample"))
    async with app.run_test() as pilot:
        await pilot.pause()
    assert app.return_value == 1
    assert not app.crashed


async def test_a_feed_that_dies_of_a_defect_is_a_crash() -> None:
    app = dashboard()
    app.session.feed = BrokenFeed(KeyError("inner"))
    with pytest.raises(KeyError):
        async with app.run_test() as pilot:
            await pilot.pause()


async def test_what_is_asked_for_after_a_crash_does_not_make_it_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gpumon.app.ui.app.end_for_certain", lambda _code: None)
    monkeypatch.setattr("gpumon.app.ui.app.write_crash_report", lambda _error: "internal error")
    app = dashboard()
    async with app.run_test() as pilot:
        app.crash(ValueError())
        app.exit()
        await pilot.pause()
    assert app.crashed
