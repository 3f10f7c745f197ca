"""The journal of Ollama's service, over a fake library and, where there is one, the real one."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.fakes.systemd import FakeSystemd

from gpumon.collectors.server_log.readers import (
    BYTES_PER_READ,
    Entry,
    Journal,
    JournalHandle,
    check_permission,
    load_systemd,
)


@pytest.fixture
def systemd() -> FakeSystemd:
    return FakeSystemd()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    machine = tmp_path / "0123456789abcdef"
    machine.mkdir()
    (machine / "system.journal").touch()
    return tmp_path


@pytest.fixture
def open_journal(systemd: FakeSystemd, directory: Path) -> Callable[[float], Journal]:
    return lambda since: Journal(since, lambda: systemd, [directory])


Open = Callable[[float], Journal]


def test_what_the_service_wrote_since_then_is_read_and_then_what_is_new(
    systemd: FakeSystemd, open_journal: Open
) -> None:
    systemd.entries = [(9_000_000, b"an earlier run"), (10_500_000, b"this run")]
    journal = open_journal(10.0)
    assert journal.read() == [Entry("this run", 10.5)]
    assert journal.read() == []
    systemd.entries.append((11_000_000, b"new"))
    assert journal.read() == [Entry("new", 11.0)]
    assert systemd.matches == [b"_SYSTEMD_UNIT=ollama.service"]


def test_the_first_line_of_an_empty_journal_is_read(systemd: FakeSystemd, open_journal: Open) -> None:
    journal = open_journal(10.0)
    assert journal.read() == []
    systemd.entries.append((11_000_000, b"first"))
    assert journal.read() == [Entry("first", 11.0)]


def test_a_clock_that_is_set_back_hides_nothing_new(systemd: FakeSystemd, open_journal: Open) -> None:
    systemd.entries = [(10_500_000, b"now")]
    journal = open_journal(10.0)
    journal.read()
    systemd.entries.append((5_000_000, b"after the step"))
    assert journal.read() == [Entry("after the step", 5.0)]


def test_an_entry_without_a_message_is_passed_over(systemd: FakeSystemd, open_journal: Open) -> None:
    systemd.entries = [(11_000_000, None), (12_000_000, b"two\nlines \xff")]
    assert open_journal(10.0).read() == [Entry("two", 12.0), Entry("lines \ufffd", 12.0)]


def test_one_read_is_bounded_and_the_next_goes_on(systemd: FakeSystemd, open_journal: Open) -> None:
    systemd.entries = [(11_000_000 + number, b"x" * 1000) for number in range(400)]
    journal = open_journal(10.0)
    first = journal.read()
    assert sum(len(entry.text) for entry in first) <= BYTES_PER_READ + 1000
    assert len(first) + len(journal.read()) == 400


def test_after_a_failure_it_goes_on_where_it_was(systemd: FakeSystemd, open_journal: Open) -> None:
    systemd.entries = [(11_000_000, b"one"), (12_000_000, b"two")]
    journal = open_journal(10.0)
    journal.read()
    systemd.failing = "process"
    with pytest.raises(OSError, match="Input/output"):
        journal.read()
    journal.close()
    systemd.failing = None
    systemd.entries.append((13_000_000, b"three"))
    assert [entry.text for entry in journal.read()] == ["three"]
    assert systemd.opened == 1


def test_a_journal_that_cannot_be_opened_is_an_error(systemd: FakeSystemd, open_journal: Open) -> None:
    systemd.failing = "open"
    journal = open_journal(10.0)
    with pytest.raises(OSError, match="Input/output"):
        journal.read()
    journal.close()


def test_a_machine_without_a_journal_has_none(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Journal(0.0, FakeSystemd, [tmp_path]).read()


def test_a_journal_that_may_not_be_read_is_forbidden(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(PermissionError):
        check_permission([directory])


def test_the_real_library_opens_where_there_is_one() -> None:
    try:
        library = load_systemd()
    except OSError:
        pytest.skip("no libsystemd here")
    journal = JournalHandle(library)
    journal.match("_SYSTEMD_UNIT=no-such-unit.service", 1024)
    journal.look_for_changes()
    assert not journal.go_to_last(10)
    journal.close()
