"""A kind of server in one file is seen wherever gpumon shows anything, without a change elsewhere."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from tests.fakes.live import Live, running
from tests.fakes.nvml.driver import GIB, FakeDriver
from tests.fakes.processes.actor import Actor, build, compiler
from tests.fakes.toy_kind import ToyKind
from tests.fakes.toy_server import CLAIMED, COUNTED, STATED_RATE, TOKENS_PER_SECOND, ToyServer

from gpumon.app.alerts.limits import Limits
from gpumon.app.config.settings import ServerSettings, Settings
from gpumon.app.diagnosis.diagnose import diagnose
from gpumon.app.diagnosis.report import report_lines
from gpumon.app.doctor.sources import source_checks
from gpumon.app.insight.activity import activity
from gpumon.app.insight.wording import model_id
from gpumon.app.monitor import Monitor
from gpumon.app.picture.pictures import Pictures
from gpumon.app.recording.reader import read_recording
from gpumon.app.recording.redaction import redact
from gpumon.app.session.build import live_session
from gpumon.app.session.session import Session
from gpumon.app.snapshot.build import build_snapshot
from gpumon.app.state.records import ModelRecord
from gpumon.app.state.state import State
from gpumon.app.views.model_page import model_page
from gpumon.app.views.models import model_row
from gpumon.collectors.servers.registry import REGISTRY
from gpumon.collectors.servers.talk import Asked
from gpumon.widgets.views import ModelRow

pytestmark = pytest.mark.usefixtures("secluded")

ALONE = ServerSettings(find=False)
"""Whoever is found is left out."""

NOBODY = Settings(urls=("http://127.0.0.1:9",), interval_seconds=0.25, servers=ALONE)

VRAM_BYTES = 2 * GIB


@pytest.fixture(autouse=True)
def toy() -> Iterator[ToyKind]:
    """The kind, registered as a program of one's own would do it."""
    kind = ToyKind()
    REGISTRY.reset()
    REGISTRY.add(kind)
    yield kind
    REGISTRY.reset()


class Watched(Live):
    """A live session, and what it makes of the models."""

    def __init__(self, session: Session) -> None:
        super().__init__(session.monitor)
        self.session = session

    def known(self, name: str) -> ModelRecord:
        found = self.model(name)
        assert found is not None
        return found

    async def watch(self, holds: Callable[[], object]) -> None:
        """Run the session until something holds, and close it."""
        async with running(self.session):
            await self.until(holds)

    def has_rate(self, name: str) -> bool:
        """Whether the model's rate is known and, where it is counted, has settled."""
        model = self.model(name)
        rate = model.history.decode.last if model is not None else None
        is_near = rate is not None and abs(rate - TOKENS_PER_SECOND) < 0.2 * TOKENS_PER_SECOND
        return is_near or (rate is not None and name == CLAIMED)


@pytest.fixture
async def server() -> AsyncIterator[ToyServer]:
    async with ToyServer(COUNTED, CLAIMED) as server:
        yield server


async def watched(url: str, record_to: Path | None = None, *names: str) -> Watched:
    """Watch until each model has a rate."""
    found = Watched(live_session(Settings(urls=(url,), interval_seconds=0.25, servers=ALONE), record_to))
    await found.watch(lambda: all(map(found.has_rate, names or (COUNTED, CLAIMED))))
    return found


async def test_it_is_seen_in_the_row_the_rate_and_the_page(server: ToyServer) -> None:
    seen = await watched(server.url)
    counted, claimed = seen.known(COUNTED), seen.known(CLAIMED)

    row = row_of(counted, seen.state)
    assert (row.name, row.runtime, row.context_length) == (COUNTED, "Toy Server", 4096)
    assert row.decode_tokens_per_second == pytest.approx(TOKENS_PER_SECOND, rel=0.2), "from its counter"
    assert row.gpu_bytes is None, "it claims nothing, and no process is known"
    assert activity(counted, seen.state) == "busy"

    row = row_of(claimed, seen.state)
    assert row.decode_tokens_per_second == STATED_RATE, "as it says itself"
    assert (row.gpu_bytes, row.ram_bytes, row.spill_percent) == (3 * GIB, GIB, "25%")

    page = model_page(model_id(claimed.key), seen.session.monitor.pictures, 60.0)
    facts = {fact.label: (fact.value, fact.origin) for fact in page.facts}
    assert facts["size claimed"] == ("4.0 GiB", "/toy/status")
    assert facts["decode rate"] == ("12 tok/s", "/toy/status")


async def test_snapshot_doctor_and_why_speak_of_it_by_its_own_words(server: ToyServer) -> None:
    seen = await watched(server.url)
    monitor = seen.session.monitor

    snapshot = build_snapshot(monitor.pictures)
    own = [one for one in snapshot.models if one.url == server.url]  # other tests run servers here too
    assert {(one.name, one.runtime) for one in own} == {(COUNTED, "toy"), (CLAIMED, "toy")}

    checks = {check.name: check for check in source_checks(monitor.pictures, in_container=False)}
    [check] = [one for name, one in checks.items() if name.startswith("Toy Server at ")]
    assert (check.status, check.gives) == ("works", ToyKind.gives)
    assert check.found == "version 2.1, 2 models loaded"

    found = diagnose(seen.known(CLAIMED), seen.state)
    words = "\n".join(report_lines(CLAIMED, found))
    assert "spills 1.0 GiB (25%) to RAM" in words
    assert "/toy/status" in words, "where the figures are from"


async def test_a_recording_replays_it_and_a_redacted_one_names_nothing(
    server: ToyServer, tmp_path: Path
) -> None:
    seen = await watched(server.url, tmp_path / "run.jsonl")
    replayed = replay(tmp_path / "run.jsonl")
    record = replayed.models[seen.known(COUNTED).key]
    assert record.claim == seen.known(COUNTED).claim
    assert record.history.decode.last == seen.known(COUNTED).history.decode.last

    redact(read_recording(tmp_path / "run.jsonl"), tmp_path / "bare.jsonl")
    text = (tmp_path / "bare.jsonl").read_text()
    assert COUNTED not in text
    assert CLAIMED not in text
    assert "/toy/status" in text, "a path names nobody"
    assert {one.runtime for one in replay(tmp_path / "bare.jsonl").models.values()} == {"toy"}


async def test_a_recording_is_replayed_where_the_kind_is_not_installed(
    server: ToyServer, tmp_path: Path
) -> None:
    await watched(server.url, tmp_path / "run.jsonl")
    REGISTRY.reset()
    state = replay(tmp_path / "run.jsonl")
    rows = {row.name: row for row in (row_of(one, state) for one in state.models.values())}
    assert rows[COUNTED].runtime == "toy", "by its own name"
    assert rows[COUNTED].decode_tokens_per_second == pytest.approx(TOKENS_PER_SECOND, rel=0.2)
    assert diagnose(next(iter(state.models.values())), state).verdict


async def test_it_is_asked_by_get_alone_and_after_a_refusal_hardly_at_all(server: ToyServer) -> None:
    await watched(server.url)
    assert {request.method for request in server.requests} == {"GET"}
    paths = [request.path for request in server.requests]
    assert paths.count("/api/ps") == 1, "it was recognised once"
    server.status_code = 401
    found = Watched(live_session(Settings(urls=(server.url,), interval_seconds=0.25, servers=ALONE)))
    await found.watch(lambda: server.url in found.state.sources)
    assert found.state.sources[server.url].health.state == "forbidden"


@pytest.mark.skipif(compiler() is None, reason="needs a C compiler")
async def test_its_process_gives_what_the_driver_measures(fake_driver: FakeDriver, tmp_path: Path) -> None:
    server = ToyServer(COUNTED)
    descriptor = server.bind()
    argv = ["toyserve", "--model", "/m/secret.bin", "--port", str(server.port)]
    async with server:
        with Actor(build(tmp_path), argv, [descriptor]) as process:
            fake_driver.run(0, process.pid, VRAM_BYTES)
            seen = Watched(live_session(Settings(urls=(server.url,), interval_seconds=0.25, servers=ALONE)))
            await seen.watch(lambda: seen.has_rate(COUNTED) and _is_measured(seen))
        record = seen.known(COUNTED)
        row = row_of(record, seen.state)
    assert (record.joined_by, row.gpu_bytes) == ("address", VRAM_BYTES)


@pytest.mark.skipif(compiler() is None, reason="needs a C compiler")
async def test_a_process_that_no_url_names_is_asked_on_its_own_port(
    fake_driver: FakeDriver, tmp_path: Path
) -> None:
    server = ToyServer(COUNTED)
    descriptor = server.bind()
    argv = ["toyserve", "--model", "/m/alone.bin", "--port", str(server.port)]
    async with server:
        with Actor(build(tmp_path), argv, [descriptor]) as process:
            fake_driver.run(0, process.pid, VRAM_BYTES)
            seen = Watched(live_session(NOBODY))
            await seen.watch(lambda: seen.has_rate("alone.bin") and _is_measured(seen))
        row = row_of(seen.known("alone.bin"), seen.state)
    assert row.decode_tokens_per_second == pytest.approx(TOKENS_PER_SECOND, rel=0.2)
    assert (row.runtime, row.gpu_bytes, row.context_length) == ("Toy Server", VRAM_BYTES, 4096)
    assert {request.path for request in server.requests} == {"/toy/status"}


class Mute(ToyKind):
    """A kind that has nothing to ask."""

    def converse(self, asked: Asked) -> None:
        return None


@pytest.mark.skipif(compiler() is None, reason="needs a C compiler")
async def test_a_process_of_a_kind_that_cannot_be_asked_is_a_model_too(
    fake_driver: FakeDriver, tmp_path: Path
) -> None:
    REGISTRY.reset()
    REGISTRY.add(Mute())
    with Actor(build(tmp_path), ["toyserve", "--model", "/m/alone.bin", "--ctx", "512"]) as process:
        fake_driver.run(0, process.pid, VRAM_BYTES)
        seen = Watched(live_session(NOBODY))
        await seen.watch(lambda: seen.model("alone.bin") is not None and _is_measured(seen))
    record = seen.known("alone.bin")
    assert (record.runtime, record.claim.context_length) == ("toy", 512)
    assert row_of(record, seen.state).gpu_bytes == VRAM_BYTES


def row_of(record: ModelRecord, state: State) -> ModelRow:
    """Return its row on the dashboard."""
    picture = Pictures(state).model(record.key)
    assert picture is not None
    return model_row(picture)


def _is_measured(seen: Watched) -> bool:
    return any(model.history.measured_vram.last == VRAM_BYTES for model in seen.state.models.values())


def replay(path: Path) -> State:
    monitor = Monitor(Limits())
    for sample in read_recording(path):
        monitor.feed(sample)
    return monitor.state
