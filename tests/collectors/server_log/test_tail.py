"""A file that is written, rotated and truncated."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpumon.collectors.server_log.readers import (
    BACKLOG_BYTES,
    BYTES_PER_READ,
    LONGEST_LINE_BYTES,
    LineSplitter,
    Tail,
)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    file = tmp_path / "server.log"
    file.write_text("old\n")
    return file


@pytest.fixture
def make(log: Path) -> Callable[..., Tail]:
    return lambda **options: Tail(log, **options)


def append(file: Path, text: str) -> None:
    with file.open("a") as stream:
        stream.write(text)


def lines(tail: Tail) -> list[str]:
    return [entry.text for entry in tail.read()]


def all_lines(tail: Tail) -> list[str]:
    found: list[str] = []
    while new := lines(tail):
        found += new
    return found


def test_what_is_there_is_read_and_then_what_is_new(log: Path) -> None:
    tail = Tail(log)
    assert lines(tail) == ["old"]
    assert lines(tail) == []
    append(log, "new\n")
    assert lines(tail) == ["new"]


def test_from_the_end_only_what_is_new_is_read(log: Path) -> None:
    tail = Tail(log, backlog_bytes=0)
    assert lines(tail) == []
    append(log, "new\n")
    assert lines(tail) == ["new"]


def test_a_line_that_is_being_written_waits_for_its_end(log: Path) -> None:
    tail = Tail(log)
    append(log, "be")
    assert lines(tail) == ["old"]
    append(log, "gun\n")
    assert lines(tail) == ["begun"]


def test_of_a_long_file_the_last_mebibyte_is_read_from_its_first_whole_line(log: Path) -> None:
    log.write_text("".join(f"{number:09}\n" for number in range(200_000)))
    found = all_lines(Tail(log))
    assert len(found) == BACKLOG_BYTES // 10
    assert found[-1] == "000199999"
    assert all(len(line) == 9 for line in found)


def test_one_read_is_bounded(log: Path) -> None:
    log.write_text("x" * 99 + "\n")
    append(log, ("x" * 99 + "\n") * 9000)
    assert sum(len(line) + 1 for line in lines(Tail(log))) <= BYTES_PER_READ


def test_a_renamed_file_is_read_to_its_end_before_the_new_one(log: Path) -> None:
    tail = Tail(log)
    lines(tail)
    append(log, "last of the old\n")
    log.rename(log.with_suffix(".1"))
    log.write_text("first of the new\n")
    assert lines(tail) == ["last of the old"]
    assert lines(tail) == ["first of the new"]


def test_a_renamed_file_is_read_on_while_none_has_its_name(log: Path) -> None:
    tail = Tail(log)
    lines(tail)
    moved = log.rename(log.with_suffix(".1"))
    lines(tail)
    append(moved, "still written\n")
    assert lines(tail) == ["still written"]


def test_a_truncated_file_is_read_from_its_start(log: Path) -> None:
    tail = Tail(log)
    append(log, "unfinished")
    lines(tail)
    log.write_text("")
    append(log, "new\n")
    assert lines(tail) == ["new"]


def test_a_file_that_is_far_ahead_is_skipped_to_its_end(log: Path) -> None:
    tail = Tail(log)
    lines(tail)
    append(log, ("x" * 999 + "\n") * 10_000)
    append(log, "last\n")
    assert sum(len(line) + 1 for line in all_lines(tail)) <= BACKLOG_BYTES


def test_a_deleted_file_is_let_go_and_its_successor_is_read(log: Path) -> None:
    tail = Tail(log)
    lines(tail)
    log.unlink()
    lines(tail)
    with pytest.raises(FileNotFoundError):
        tail.read()
    log.write_text("again\n")
    assert lines(tail) == ["again"]


def test_a_directory_is_no_log(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="not a regular file"):
        Tail(tmp_path).read()


def test_a_line_that_is_too_long_is_dropped_and_the_next_one_read(log: Path) -> None:
    log.write_bytes(b"x" * (3 * LONGEST_LINE_BYTES) + b"\nshort\n")
    assert all_lines(Tail(log)) == ["short"]


def test_bytes_that_are_no_text_are_survived(log: Path) -> None:
    log.write_bytes(b"\xff\xfe\x00\nnext\n")
    assert lines(Tail(log))[-1] == "next"


def test_close_twice_is_harmless(log: Path) -> None:
    tail = Tail(log)
    tail.read()
    tail.close()
    tail.close()


@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=8))
def test_lines_do_not_depend_on_where_the_bytes_are_cut(data: bytes, cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(data)]
    splitter = LineSplitter()
    pieces = [data[start:end] for start, end in pairwise(places)]
    assert [line for piece in pieces for line in splitter.feed(piece)] == LineSplitter().feed(data)
