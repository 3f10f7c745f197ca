"""The file of what earlier runs have learned, as samples."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.app.insight.learning.test_baselines import baseline

from gpumon.collectors.learned import Document, LearnedSource, encode
from gpumon.collectors.samples import Learned, SourceHealth
from gpumon.collectors.source import SystemClock


class Watched:
    """A source, and the file that it reads."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.trouble: SourceHealth | None = None
        self.source = LearnedSource(SystemClock(), path, lambda: self.trouble)

    def write(self, *digests: str) -> None:
        document = Document(baselines=tuple(baseline(digest=digest) for digest in digests))
        new = self.path.with_name("new")
        new.write_bytes(encode(document))
        new.replace(self.path)

    async def poll(self) -> Learned | None:
        samples = await self.source.poll()
        assert len(samples) <= 1
        for sample in samples:
            assert isinstance(sample, Learned)
            return sample
        return None

    async def hear(self) -> Learned:
        sample = await self.poll()
        assert sample is not None
        return sample


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(tmp_path / "learned.json")


async def test_no_file_is_nothing_and_no_fault(watched: Watched) -> None:
    sample = await watched.hear()
    assert (sample.health.state, sample.baselines) == ("idle", ())


async def test_the_first_poll_gives_everything(watched: Watched) -> None:
    watched.write("a", "b")
    sample = await watched.hear()
    assert (sample.source, sample.health.state) == ("learned", "serving")
    assert [one.digest for one in sample.baselines] == ["a", "b"]


async def test_later_polls_give_what_is_new_alone(watched: Watched) -> None:
    watched.write("a")
    await watched.poll()
    assert await watched.poll() is None
    watched.write("a", "b")
    assert [one.digest for one in (await watched.hear()).baselines] == ["b"]


async def test_a_damaged_file_is_said_in_one_line_with_what_to_do(watched: Watched) -> None:
    watched.path.write_text("?")
    health = (await watched.hear()).health
    assert (health.state, health.detail) == ("nonsense", f"{watched.path} is damaged")
    assert health.hint == f"remove {watched.path}"


async def test_a_directory_in_its_place_is_said_too(watched: Watched) -> None:
    watched.path.mkdir()
    assert (await watched.hear()).health.state == "nonsense"


async def test_a_file_that_is_whole_again_is_read(watched: Watched) -> None:
    watched.path.write_text("?")
    await watched.poll()
    watched.write("a")
    sample = await watched.hear()
    assert (sample.health.state, len(sample.baselines)) == ("serving", 1)


async def test_what_the_writer_has_to_say_is_said_once(watched: Watched) -> None:
    await watched.poll()
    watched.trouble = SourceHealth(state="failing", detail="cannot write: no space left on device")
    assert (await watched.hear()).health == watched.trouble
    assert await watched.poll() is None
    watched.trouble = None
    assert (await watched.hear()).health.state == "idle"


def test_it_looks_once_a_minute(watched: Watched) -> None:
    assert watched.source.delay(0.25) == 60.0
