"""The source: which logs it follows and what its samples say."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from tests.collectors.server_log.support import LOAD_FINISHED, LOADED, FakeClock, server

from gpumon.collectors.samples import LogSample, ServerProcess, SourceHealth
from gpumon.collectors.server_log.follower import Place
from gpumon.collectors.server_log.readers import Entry
from gpumon.collectors.server_log.source import LOOK_SECONDS, NO_LOG_SECONDS, LogSource
from gpumon.collectors.source import Source

LOG = Place(Path("/logs/ollama.log"), named=True)
SOURCE = "log /logs/ollama.log"


class FakeReader:
    """Says what it is given, once."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.error: OSError | None = None
        self.closed = 0

    def say(self, *lines: str, at: float | None = None) -> None:
        self.entries += [Entry(line, at) for line in lines]

    def read(self) -> list[Entry]:
        if self.error:
            raise self.error
        entries, self.entries = self.entries, []
        return entries

    def close(self) -> None:
        self.closed += 1


class Setting:
    """A source over fake places; each opened place gets a reader of its own."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.servers: list[ServerProcess] = []
        self.places: list[Place] = [LOG]
        self.readers: dict[str, FakeReader] = {}
        self.looks = 0
        self.source = LogSource(self.clock, lambda: self.servers, (), self._find, self._open)

    def _find(self, servers: Sequence[ServerProcess], named: Sequence[Path]) -> Sequence[Place]:
        self.looks += 1
        return self.places

    def _open(self, place: Place) -> FakeReader:
        return self.readers.setdefault(place.source, FakeReader())

    @property
    def reader(self) -> FakeReader:
        return self.readers.setdefault(SOURCE, FakeReader())

    async def samples(self) -> dict[str, LogSample]:
        return {sample.source: sample for sample in await self.source.poll()}

    async def sample(self) -> LogSample:
        return (await self.samples())[SOURCE]


@pytest.fixture
async def setting() -> AsyncIterator[Setting]:
    setting = Setting()
    yield setting
    await setting.source.close()


async def test_events_since_the_last_poll(setting: Setting) -> None:
    setting.reader.say(LOADED, "something else")
    assert await setting.sample() == LogSample(
        time=1000.0, source=SOURCE, health=SourceHealth(state="serving"), events=(LOAD_FINISHED,)
    )
    assert (await setting.sample()).events == ()


async def test_no_log_at_all_is_a_quiet_state_with_a_hint(setting: Setting) -> None:
    setting.places = []
    setting.servers = [server()]
    (sample,) = (await setting.samples()).values()
    assert (sample.source, sample.health.state) == ("server log", "absent")
    assert sample.health.hint


async def test_a_log_that_appears_later_is_found_and_the_source_serves(setting: Setting) -> None:
    setting.places = []
    await setting.samples()
    setting.places = [LOG]
    setting.clock.seconds += LOOK_SECONDS
    assert (await setting.samples())["server log"].health.state == "serving"
    assert SOURCE in await setting.samples()


async def test_logs_are_looked_for_seldom_unless_the_servers_change(setting: Setting) -> None:
    for _ in range(5):
        await setting.samples()
    assert setting.looks == 1
    setting.servers = [server()]
    await setting.samples()
    assert setting.looks == 2


async def test_a_log_that_is_no_more_is_closed(setting: Setting) -> None:
    await setting.samples()
    setting.places = []
    setting.servers = [server()]
    assert SOURCE not in await setting.samples()
    assert setting.reader.closed == 1


async def test_a_failure_is_said_and_the_next_poll_tries_again(setting: Setting) -> None:
    setting.reader.error = PermissionError(13, "no")
    assert (await setting.sample()).health.state == "forbidden"
    setting.reader.error = None
    setting.reader.say(LOADED)
    sample = await setting.sample()
    assert (sample.health.state, len(sample.events)) == ("serving", 1)


async def test_a_sample_holds_500_events_and_the_rest_comes_next(setting: Setting) -> None:
    setting.reader.say(*["CUDA error: out of memory"] * 1200)
    assert [len((await setting.sample()).events) for _ in range(4)] == [500, 500, 200, 0]


async def test_the_journals_time_is_given_to_lines_without_one(setting: Setting) -> None:
    setting.reader.say("CUDA error: out of memory", LOADED, at=5.0)
    assert [event.at for event in (await setting.sample()).events] == [5.0, LOAD_FINISHED.at]


async def test_a_log_in_an_unknown_format_is_told_once(setting: Setting) -> None:
    setting.reader.say(*["INFO: something else"] * 19, "", "  ")
    assert (await setting.sample()).health.state == "serving", "too few lines to tell"
    setting.reader.say("INFO: something else")
    samples = [await setting.sample(), await setting.sample()]
    assert [sample.unknown_format for sample in samples] == [True, False]
    assert [sample.health.state for sample in samples] == ["nonsense", "nonsense"]


async def test_a_short_file_that_no_longer_grows_is_told_to_be_unknown_too(setting: Setting) -> None:
    setting.reader.say("INFO: something else")
    assert (await setting.sample()).health.state == "serving"
    setting.clock.seconds += 9.0
    assert (await setting.sample()).health.state == "serving"
    setting.clock.seconds += 1.0
    assert (await setting.sample()).health.state == "nonsense"
    setting.reader.say(LOADED)
    assert (await setting.sample()).health.state == "serving"


async def test_of_a_file_that_nobody_has_named_nothing_is_made(setting: Setting) -> None:
    """What a launcher writes may be of its own; it is told to whoever asks (doctor), and is no news."""
    setting.places = [Place(LOG.path)]
    setting.reader.say(*["127.0.0.1 GET /v1/models"] * 20)
    sample = await setting.sample()
    assert (sample.health.state, sample.unknown_format) == ("idle", False)
    assert sample.health.detail == "nothing in it is understood"


async def test_an_empty_log_is_not_unknown_however_long(setting: Setting) -> None:
    await setting.sample()
    setting.clock.seconds += 100.0
    assert (await setting.sample()).health.state == "serving"


async def test_a_log_of_requests_alone_is_not_unknown(setting: Setting) -> None:
    setting.reader.say(*['[GIN] 2026/08/29 - 08:45:50 | 200 | 1ms | ::1 | GET "/api/ps"'] * 50)
    assert not (await setting.sample()).unknown_format


async def test_close_closes_the_logs() -> None:
    setting = Setting()
    await setting.samples()
    await setting.source.close()
    assert setting.reader.closed == 1


async def test_it_is_a_source_at_the_users_interval(setting: Setting) -> None:
    source: Source = setting.source
    assert (source.name, source.delay(3.0)) == ("server log", 3.0)


async def test_without_a_log_it_is_polled_seldom_until_there_are_other_servers(setting: Setting) -> None:
    setting.places = []
    await setting.samples()
    assert setting.source.delay(1.0) == NO_LOG_SECONDS
    setting.servers = [server()]
    assert setting.source.delay(1.0) == 1.0


async def test_a_named_file_is_followed_for_real(tmp_path: Path) -> None:
    file = tmp_path / "mine.log"
    source = LogSource(FakeClock(), list, [file])
    absent = {sample.source: sample for sample in await source.poll()}[f"log {file}"]
    file.write_text(LOADED + "\n")
    present = {sample.source: sample for sample in await source.poll()}[f"log {file}"]
    assert (absent.health.state, present.events) == ("absent", (LOAD_FINISHED,))
    await source.close()
