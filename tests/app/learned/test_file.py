"""The file of what was learned: read, merged and written whole."""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.app.insight.learning.test_baselines import baseline

from gpumon.app.learned import SaveError, learned_path, remember_ram_bandwidth, save
from gpumon.collectors.learned import Document, DocumentError, decode, encode, read
from gpumon.collectors.samples import MemoryCorrection, RamObservation, RateScale

FULL = Document(
    baselines=(baseline(), baseline(digest="b", spill=None, gpus=())),
    scales=(RateScale(gpu_uuids=("GPU-0",), is_moe=False, is_split=True, scale=0.9, observation_count=3),),
    memory=(MemoryCorrection(digest="a", gpu_uuids=(), difference_bytes=-5, observation_count=1),),
    ram_observed=(RamObservation(is_moe=False, bytes_per_second=4e10, observation_count=2, recent=(4e10,)),),
    ram_bandwidth_bytes_per_second=5e10,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "gpumon" / "learned.json"


def test_what_is_written_is_read(path: Path) -> None:
    assert save(path, FULL) is None
    assert read(path) == FULL


def test_a_missing_file_holds_nothing(path: Path) -> None:
    assert read(path) == Document()


def test_the_version_stands_first() -> None:
    assert encode(Document()).startswith(b'{\n "gpumon_learned": 1')


def test_only_the_owner_can_read_it(path: Path) -> None:
    save(path, FULL)
    assert path.stat().st_mode & 0o077 == 0


def test_two_writers_lose_nothing_of_each_other(path: Path) -> None:
    save(path, Document(baselines=(baseline(digest="a"),)))
    save(path, Document(baselines=(baseline(digest="b"),)))
    assert {one.digest for one in read(path).baselines} == {"a", "b"}


def test_of_two_versions_of_one_thing_the_later_stays(path: Path) -> None:
    save(path, Document(baselines=(baseline(30.0, updated=2.0),)))
    save(path, Document(baselines=(baseline(40.0, updated=1.0),)))
    assert [one.decode_tokens_per_second for one in read(path).baselines] == [30.0]


def test_a_new_measurement_of_ram_is_not_undone_by_one_who_knows_the_old_one(path: Path) -> None:
    save(path, FULL)
    remember_ram_bandwidth(7e10, path)
    save(path, FULL)
    assert read(path).ram_bandwidth_bytes_per_second == 7e10
    assert len(read(path).baselines) == 2


def test_ram_is_remembered_in_the_state_directory() -> None:
    remember_ram_bandwidth(7e10)
    assert read(learned_path()).ram_bandwidth_bytes_per_second == 7e10


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "is damaged"),
        (b"{", "is damaged"),
        (b"\xff\xfe", "is damaged"),
        (b"[" * 100_000, "is damaged"),
        (b"{}", "is damaged"),
        (b'{"gpumon_learned": 1, "baselines": 7}', "is damaged"),
        (b'{"gpumon_learned": 2, "anything": 7}', "is of version 2, not 1"),
        (b'{"gpumon_learned": 1, "ram_bandwidth_bytes_per_second": -3}', "a figure in it cannot be"),
        (b'{"gpumon_learned": 1, "ram_bandwidth_bytes_per_second": 1e999}', "is damaged"),
    ],
)
class TestDamaged:
    def test_it_says_why(self, text: bytes, words: str) -> None:
        with pytest.raises(DocumentError, match=words):
            decode(text)

    def test_it_is_moved_aside_and_not_lost(self, path: Path, text: bytes, words: str) -> None:
        path.parent.mkdir()
        path.write_bytes(text)
        said = save(path, FULL)
        assert said is not None
        assert words in said
        assert said.endswith(": moved to learned.json.bad")
        assert path.with_name("learned.json.bad").read_bytes() == text
        assert read(path) == FULL


def test_an_earlier_one_that_was_moved_aside_stays(path: Path) -> None:
    for text in ("one", "two"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        save(path, FULL)
    aside = sorted(path.parent.glob("learned.json.bad*"))
    assert [one.read_text() for one in aside] == ["one", "two"]


def test_a_pipe_in_its_place_holds_nothing_up(path: Path) -> None:
    path.parent.mkdir()
    os.mkfifo(path)
    with pytest.raises(DocumentError, match="is no plain file"):
        read(path)


def test_a_file_beyond_all_measure_is_not_read_into_memory(path: Path) -> None:
    path.parent.mkdir()
    with path.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(DocumentError, match="is too large"):
        read(path)


@given(st.binary(max_size=200))
def test_no_bytes_make_it_fall_over(text: bytes) -> None:
    with contextlib.suppress(DocumentError):
        decode(text)


class TestTrouble:
    def test_a_full_disk_is_one_line_and_the_file_stays(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        save(path, FULL)

        def full(_: int) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(SaveError, match=r"cannot write .*learned\.json: no space left on device"):
            save(path, Document(baselines=(baseline(digest="c"),)))
        assert read(path) == FULL
        assert [one.name for one in path.parent.iterdir()] == ["learned.json"], "nothing is left behind"

    def test_a_directory_that_is_a_file_is_one_line(self, tmp_path: Path) -> None:
        (tmp_path / "gpumon").write_text("")
        with pytest.raises(SaveError, match="cannot write"):
            save(tmp_path / "gpumon" / "learned.json", FULL)

    def test_what_cannot_be_read_is_not_replaced(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        save(path, FULL)
        before = path.read_bytes()

        def refused(_: Path) -> Document:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

        monkeypatch.setattr("gpumon.app.learned.read", refused)
        with pytest.raises(SaveError, match="permission denied"):
            save(path, Document())
        assert path.read_bytes() == before
