"""The thread that keeps the history: nobody waits for it, and what could not be written is tried again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from tests.app.history.rows import MINUTE, model_minute, run, tokens

from gpumon.app.history.file import Bounds, HistoryFile, NewRow
from gpumon.app.history.keeper import HistoryKeeper
from gpumon.app.history.reader import HistoryError

Write = Callable[[HistoryFile, Sequence[NewRow], float], str | None]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "gpumon" / "history.db"


def keeper(path: Path) -> HistoryKeeper:
    return HistoryKeeper(path, run(), Bounds(90 * 86_400, 2**40), lambda: MINUTE)


def test_what_is_put_is_there_after_the_close(path: Path) -> None:
    one = keeper(path)
    one.put([model_minute(0)])
    one.put([model_minute(1)])
    one.close()
    assert len(tokens(path)) == 2
    assert one.trouble() is None


def test_without_a_row_no_file_is_made(path: Path) -> None:
    keeper(path).close()
    assert not path.parent.exists()


def test_what_could_not_be_written_is_tried_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write: Write = HistoryFile.write
    failures = iter([True, False])

    def sometimes(file: HistoryFile, rows: Sequence[NewRow], seen: float) -> str | None:
        if next(failures):
            raise HistoryError("the history is not kept: no space left on device")
        return write(file, rows, seen)

    monkeypatch.setattr(HistoryFile, "write", sometimes)
    one = keeper(path)
    one.put([model_minute(0)])
    one.put([model_minute(1)])
    one.close()
    assert len(tokens(path)) == 2
    assert one.trouble() is None


def test_while_it_fails_it_says_so_in_a_line(path: Path) -> None:
    path.parent.parent.joinpath("gpumon").write_text("a file in place of the folder")
    one = keeper(path)
    one.put([model_minute(0)])
    one.close()
    trouble = one.trouble()
    assert trouble is not None
    assert trouble.state == "failing"
    assert trouble.detail is not None
    assert trouble.detail.startswith(f"the history is not kept: {path}: ")
    assert "\n" not in trouble.detail


def test_what_waits_is_bounded_and_the_oldest_goes(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gpumon.app.history.keeper.WAITING_ROWS", 3)
    seen: list[int] = []

    def refuse(_file: HistoryFile, rows: Sequence[NewRow], _seen: float) -> str | None:
        seen.append(len(rows))
        raise HistoryError("full")

    monkeypatch.setattr(HistoryFile, "write", refuse)
    one = keeper(path)
    for minute in range(5):
        one.put([model_minute(minute)])
    one.close()
    assert seen == [1, 2, 3, 3, 3]


def test_that_a_damaged_file_was_moved_aside_is_told(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"no database" * 100)
    one = keeper(path)
    one.put([model_minute(0)])
    one.close()
    trouble = one.trouble()
    assert trouble is not None
    assert trouble.detail == f"{path} is damaged: moved to history.db.bad"
