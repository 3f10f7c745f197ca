"""Chart and window are kept over runs, by a live dashboard alone, and no file is worth a word."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.app.ui.screen import HandFeed

from gpumon.app.alerts.limits import Limits
from gpumon.app.monitor import Monitor
from gpumon.app.session.chosen import Chosen, chosen_path, keep, restore
from gpumon.app.session.session import Session
from gpumon.collectors.source import Cadence


def session(*, live: bool = True) -> Session:
    return Session(Monitor(Limits()), HandFeed(), cadence=Cadence() if live else None)


def test_what_was_chosen_is_chosen_in_the_next_run() -> None:
    first = session()
    before = restore(first)
    first.choices.chart, first.choices.window = "memory", 2
    keep(first, before)
    second = session()
    assert restore(second) == Chosen("memory", 2)
    assert (second.choices.chart, second.choices.window) == ("memory", 2)


def test_nothing_is_written_where_nothing_was_chosen() -> None:
    one = session()
    keep(one, restore(one))
    assert not chosen_path().exists()


def test_a_replay_neither_reads_nor_writes_it() -> None:
    live, replay = session(), session(live=False)
    before = restore(live)
    live.choices.window = 1
    keep(live, before)
    before = restore(replay)
    assert replay.choices.window == 0
    replay.choices.window = 2
    keep(replay, before)
    assert restore(session()).window == 1


def test_the_rest_begins_anew() -> None:
    one = session()
    before = restore(one)
    one.choices.filter_text, one.choices.sort, one.choices.chart = "qwen", "name", "power"
    keep(one, before)
    again = session()
    restore(again)
    assert (again.choices.filter_text, again.choices.sort) == ("", "trouble")


@pytest.mark.parametrize(
    "written",
    [
        b"",
        b"nonsense",
        b"[]",
        b'{"chart": 7}',
        b'{"chart": "nothing", "window": 99}',
        b'{"window": -1}',
        b"{" * 9999,
    ],
)
def test_a_file_that_says_nothing_usable_is_none(written: bytes) -> None:
    chosen_path().parent.mkdir(parents=True, exist_ok=True)
    chosen_path().write_bytes(written)
    assert restore(session()) == Chosen("tokens", 0)


def test_a_folder_that_cannot_be_written_costs_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    one = session()
    one.choices.window = 1
    keep(one, Chosen(), tmp_path / "file" / "screen.json")


def test_it_is_readable_by_its_owner_alone() -> None:
    one = session()
    one.choices.window = 1
    keep(one, Chosen("tokens", 0))
    assert chosen_path().stat().st_mode & 0o077 == 0
