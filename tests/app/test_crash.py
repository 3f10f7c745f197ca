"""A thread or task of ours that dies ends the program, with a report and a status of its own."""

from __future__ import annotations

import asyncio
import gc
import stat
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import NoReturn

import pytest

from gpumon.app.cli import dashboard
from gpumon.app.cli.main import main
from gpumon.app.crash import EXIT_CRASHED, run, write_crash_report

pytestmark = pytest.mark.internal_errors


def die() -> NoReturn:
    raise ZeroDivisionError


async def for_ever() -> int:
    await asyncio.Event().wait()
    return 0


async def with_a_dead_thread() -> int:
    threading.Thread(target=die, name="learned").start()
    return await for_ever()


async def dying() -> NoReturn:
    die()


async def with_a_dead_task() -> int:
    tasks = [asyncio.create_task(dying())]
    await asyncio.sleep(0)
    tasks.clear()
    gc.collect()
    return await for_ever()


def test_a_thread_that_dies_ends_it() -> None:
    with pytest.raises(ZeroDivisionError):
        run(with_a_dead_thread())


def test_a_task_that_dies_unseen_ends_it() -> None:
    with pytest.raises(ZeroDivisionError):
        run(with_a_dead_task())


async def with_a_broken_callback() -> str:
    asyncio.get_running_loop().call_soon(die)
    await asyncio.sleep(0.01)
    return "goes on"


async def with_a_broken_connection() -> str:
    asyncio.get_running_loop().create_future().set_exception(ConnectionResetError())
    gc.collect()
    await asyncio.sleep(0.01)
    return "goes on"


@pytest.mark.parametrize("breaking", [with_a_broken_callback, with_a_broken_connection])
def test_a_callback_or_connection_that_breaks_is_logged_and_goes_on(
    caplog: pytest.LogCaptureFixture, breaking: Callable[[], Coroutine[None, None, str]]
) -> None:
    assert run(breaking()) == "goes on"
    assert [record.name for record in caplog.records] == ["gpumon.crash"]


def test_what_it_returns_and_raises_is_what_its_coroutine_does() -> None:
    async def fine() -> str:
        return "x"

    assert run(fine()) == "x"
    with pytest.raises(ZeroDivisionError):
        run(dying())


def test_the_hook_of_threads_is_as_before_afterwards() -> None:
    before = threading.excepthook
    with pytest.raises(ZeroDivisionError):
        run(with_a_dead_thread())
    assert threading.excepthook is before


def test_a_command_in_which_a_thread_dies_ends_with_one_line(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(dashboard, "execute", lambda _options: run(with_a_dead_thread()))
    assert main([]) == EXIT_CRASHED
    said = capfd.readouterr()
    assert said.out == ""
    assert said.err.startswith("gpumon: internal error (ZeroDivisionError); please report it with ")
    assert said.err.count("\n") == 1


def test_the_report_is_the_owners_alone(tmp_path: Path) -> None:
    folder = tmp_path / "gpumon"
    folder.mkdir(mode=0o755)
    (folder / "crash.txt").touch(mode=0o644)
    write_crash_report(ZeroDivisionError(), folder)
    assert stat.S_IMODE((folder / "crash.txt").stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
