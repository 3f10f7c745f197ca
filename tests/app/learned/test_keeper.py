"""When what was learned is written, and what is said if it cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.scene import Model, loaded

from gpumon.app.learned import Keeper
from gpumon.collectors.learned import Document, read


@pytest.fixture
def desk() -> Model:
    return loaded()


@pytest.fixture
def keeper(desk: Model, tmp_path: Path) -> Keeper:
    return keeper_of(desk, tmp_path / "learned.json")


def keeper_of(desk: Model, path: Path) -> Keeper:
    keeper = Keeper(lambda: desk.monitor.state, path)
    desk.monitor.listen(keeper.on_sample)
    return keeper


def requests_kept(keeper: Keeper) -> list[int]:
    return [one.request_count for one in read(keeper.path).baselines]


def test_nothing_is_written_while_nothing_is_learned(desk: Model, keeper: Keeper) -> None:
    for _ in range(100):
        desk.machine.look()
        desk.machine.now += 1
    keeper.close()
    assert not keeper.path.exists()


def test_what_is_learned_is_there_at_the_end(desk: Model, keeper: Keeper) -> None:
    desk.usual(40.0, count=3)
    keeper.close()
    assert requests_kept(keeper) == [3]


def test_it_is_written_at_once_and_then_seldom(
    desk: Model, keeper: Keeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[Document] = []
    monkeypatch.setattr("gpumon.app.learned.save", lambda _, document: written.append(document))
    desk.usual(40.0, count=20)
    assert 0 < len(written) <= desk.machine.now / 30 + 1


def test_a_close_without_news_writes_nothing_more(desk: Model, keeper: Keeper) -> None:
    desk.usual(40.0, count=3)
    keeper.close()
    keeper.path.unlink()
    keeper.close()
    assert not keeper.path.exists()


def test_a_failure_is_said_and_tried_again(desk: Model, keeper: Keeper, tmp_path: Path) -> None:
    blocked = keeper_of(desk, tmp_path / "file" / "learned.json")
    (tmp_path / "file").write_text("")
    desk.request(40.0)
    blocked.close()
    trouble = blocked.trouble()
    assert trouble is not None
    assert (trouble.state, "cannot write" in (trouble.detail or "")) == ("failing", True)
    (tmp_path / "file").unlink()
    blocked.close()
    assert blocked.trouble() is None
    assert requests_kept(blocked) == [1]


def test_a_damaged_file_is_said_to_be_moved(desk: Model, keeper: Keeper) -> None:
    keeper.path.write_text("?")
    desk.request(40.0)
    keeper.close()
    trouble = keeper.trouble()
    assert trouble is not None
    assert (trouble.state, (trouble.detail or "").endswith("moved to learned.json.bad")) == ("nonsense", True)
